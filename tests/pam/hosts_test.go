package pam_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// A host whose working directory is below a covered one would go on looking at what is hidden from the session.
func TestTheWorkingDirectory(t *testing.T) {
	for _, c := range []struct {
		cwd, want string
		moved     bool
	}{
		{"{A}/tmp", "{A}/tmp", true},
		{"{A}/tmp/sub", "{A}/tmp", true},
		{"{A}/tmpfoo", "{A}/tmpfoo", false}, // a name that only begins like a covered one
		{"{A}", "{A}", false},
		{"{A}/ram", "{A}/ram", true},
		{"/", "/", false},
	} {
		t.Run(c.cwd, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777", "dir tmp/sub 0755", "file tmp/sub/hosts 0644", "dir tmpfoo 0755", "dir ram 1777")
			directories(t, dir, "path: {A}/tmp, method: user, instances: {A}/inst", "path: {A}/ram, method: tmpfs")
			at := func(s string) string { return strings.ReplaceAll(s, "{A}", dir) }
			r := host(t, "--cwd", at(c.cwd), "--run", "pwd | sed s/^/pwd=/").opened(t)
			if got := r.get("after.cwdname"); got != at(c.want) {
				t.Errorf("the host is in %q, expected %q", got, at(c.want))
			}
			if got := r.get("pwd"); got != at(c.want) {
				t.Errorf("the session begins in %q, expected %q", got, at(c.want))
			}
			if moved := r.get("before.cwd") != r.get("after.cwd"); moved != c.moved {
				t.Errorf("moved: %v, expected %v", moved, c.moved)
			}
		})
	}
}

// through has the run's command line start by way of another command, which executes the rest of its arguments.
func (p *pamhost) through(argv ...string) *pamhost {
	p.t.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd.Args = slices.Concat(argv, []string{p.cmd.Path}, p.cmd.Args[1:])
	p.cmd.Path = path
	return p
}

func TestAWorkingDirectoryThatWasRemoved(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "dir tmp/gone 0755")
	leave := "cd " + dir + "/tmp/gone && rmdir ../gone && exec \"$@\""
	for _, path := range []string{"tmp", "missing"} { // a session that opens, and one that fails
		os.Mkdir(dir+"/tmp/gone", 0o755)
		directories(t, dir, "path: {A}/"+path+", method: tmpfs")
		r := newPamhost(t, "alice").through("sh", "-c", leave, "sh").run()
		if want := map[string]string{"tmp": "0", "missing": "14"}[path]; r.get("open") != want {
			t.Errorf("%s: PAM code %s, expected %s", path, r.get("open"), want)
		}
		r.unchanged(t, "before", "after")
		if path == "missing" {
			r.unchanged(t, "before", "after", "cwd")
		} else if r.get("after.cwd") != r.get("after.root") { // what has no name may lie below what is covered
			t.Errorf("the working directory is %s, expected /", r.get("after.cwd"))
		}
	}
}

// root of a user namespace that maps nobody else, as in a container without privilege.
func TestARootlessContainer(t *testing.T) {
	oneOfEach(t)
	r := newPamhost(t, "alice").through("unshare", "--user", "--map-root-user", "--mount").run().opened(t)
	r.unchanged(t, "before", "after")
	if r.get("before.namespace") == r.get("after.namespace") {
		t.Error("the session has no namespace of its own")
	}
}

// chroot makes a minimal root directory below dir, with a configuration of its own. The module was loaded before.
func newChroot(t testing.TB, dir string) string {
	t.Helper()
	root := dir + "/root"
	tree(t, dir, "dir root 0755", "dir root/tmp 1777", "file root/tmp/hosts 0644", "dir root/run 0755", "dir root/etc 0755", "dir root/bin 0755")
	sandbox.Write(t, root+"/etc/passwd", "root:x:0:0::/:/bin/sh\nalice:x:2001:2001::/:/bin/sh\n", 0o644)
	sandbox.Write(t, root+"/etc/group", "root:x:0:\nalice:x:2001:\n", 0o644)
	sandbox.Write(t, root+"/etc/security/gons.yaml", "version: 1\ndirectories: [{path: /tmp, method: tmpdir, instances: /inst}]\n", 0o644)
	return root
}

func TestAChrootedHostIsServedInItsOwnRoot(t *testing.T) {
	dir := area(t)
	root := newChroot(t, dir)
	mustMount(t, root, root, "", unix.MS_BIND, "")
	configure(t, dir, "directories: [{path: /nonexistent, method: tmpfs}]") // the machine's own isn't for this host
	snap := sandbox.NewSnapshot(t, "/run", "/tmp")
	p := newPamhost(t, "alice", "--chroot", root, "--cwd", "/tmp", "--hold")
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.start()
	eventually(t, "the session is open", func() bool { return len(names(t, root+"/inst")) == 1 && len(names(t, root+"/run/gons/sessions")) == 1 })
	eventually(t, "the host holds", func() bool { return len(names(t, fmt.Sprintf("/proc/%d/root/tmp", p.cmd.Process.Pid))) == 0 })
	stdin.Close()
	r := p.wait().opened(t)
	r.unchanged(t, "before", "after")
	if r.get("after.cwdname") != "/tmp" || r.get("after.cwd") == r.get("before.cwd") {
		t.Errorf("the host is in %q (%s, before %s)", r.get("after.cwdname"), r.get("after.cwd"), r.get("before.cwd"))
	}
	if left := append(names(t, root+"/inst"), names(t, root+"/run/gons/sessions")...); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	snap.Check()
}

// Without a mount at its root the tree can't be made a slave: that must be an error, and the host stay in its chroot.
func TestAChrootThatIsNoMountPointIsAClearError(t *testing.T) {
	dir := area(t)
	root := newChroot(t, dir)
	configure(t, dir, "")
	log := sandbox.NewLog(t)
	r := host(t, "--chroot", root, "--cwd", "/tmp")
	if r.get("open") != "14" {
		t.Errorf("PAM code %s", r.get("open"))
	}
	r.untouched(t, "before", "after")
	log.Expect("chroot", "mount point")
	if left := append(names(t, root+"/inst"), names(t, root+"/run/gons/sessions")...); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func TestTwoSessionsOfOneUserShareTheirInstance(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777")
	directories(t, dir, "path: {A}/tmp, method: user, instances: {A}/inst")
	a, b := open(t, "alice"), open(t, "alice")
	a.sh(2001, "echo from a >"+dir+"/tmp/file")
	if got := b.sh(2001, "cat "+dir+"/tmp/file"); got != "from a" {
		t.Errorf("b reads %q", got)
	}
	a.close()
	if got := b.sh(2001, "cat "+dir+"/tmp/file"); got != "from a" {
		t.Errorf("after a's close b reads %q", got)
	}
	if a.namespace() == b.namespace() {
		t.Error("they share a namespace")
	}
}

// Twenty at once, the first sessions of a new user, where nothing exists yet: one instance, whole in all of them.
func TestConcurrentFirstOpens(t *testing.T) {
	const count = 20
	for round := range 3 {
		dir := area(t)
		tree(t, dir, "dir tmp 1777")
		directories(t, dir, "path: {A}/tmp, method: user, instances: {A}/inst, create: {}")
		var sessions []*session
		for range count {
			sessions = append(sessions, begin(t, "alice", nil))
		}
		var all sync.WaitGroup
		for i, s := range sessions {
			all.Add(1)
			go func() {
				defer all.Done()
				if err := s.open(0); err != nil {
					t.Errorf("round %d, session %d: %v", round, i, err)
				}
			}()
		}
		all.Wait()
		if got := fmt.Sprintf("%s, %s, %s", names(t, dir+"/inst"), looks(t, dir+"/inst/alice"), looks(t, dir+"/inst")); got != "[alice], 1777 0 0, 0000 0 0" {
			t.Errorf("round %d: instances, mode, parent: %s", round, got)
		}
		sessions[0].sh(2001, "echo one >"+dir+"/tmp/file")
		for i, s := range sessions {
			if got := s.sh(2001, "cat "+dir+"/tmp/file"); got != "one" {
				t.Errorf("round %d, session %d reads %q", round, i, got)
			}
			s.close()
		}
	}
}

// No descriptor, thread, process, mount or file is left over after 200 rounds.
func TestRoundsLeaveNothingBehind(t *testing.T) {
	for _, args := range [][]string{
		{"--rounds", "200"}, {"--rounds", "200", "--round-fork"}, {"--rounds", "50", "--round-fork", "--busy", "3"},
		{"--rounds", "20", "--round-fork", "--sigchld", "reap"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			makeRunDir(t)
			dir := oneOfEach(t)
			snap := sandbox.NewSnapshot(t, "/tmp", "/run", "/home")
			r := host(t, args...)
			if r.get("failed") != "0" {
				t.Errorf("%s of %s failed", r.get("failed"), r.get("rounds"))
			}
			r.untouched(t, "before", "after")
			snap.Check()
			nothingLeft(t, dir+"/inst-tmp")
			if grew := number(t, r.get("after.writable_kb")) - number(t, r.get("before.writable_kb")); grew > 600 && len(args) < 4 {
				t.Errorf("the host grew by %d kB", grew)
			}
		})
	}
}

func TestRoundsInThisProcessLeaveNothingBehind(t *testing.T) {
	dir := oneOfEach(t)
	open(t, "alice").close() // what libc opens once and keeps
	threads := len(names(t, "/proc/self/task"))
	snap := sandbox.NewSnapshot(t, "/tmp", "/home")
	for range 100 {
		s := open(t, "alice")
		s.close()
	}
	snap.Check()
	nothingLeft(t, dir+"/inst-tmp")
	if now := len(names(t, "/proc/self/task")); now > threads+100+8 { // each session's own thread waits for the test's end
		t.Errorf("%d threads before, %d after", threads, now)
	}
}

// PAM items that are hostile, and long, end up in the record and in the log, never in the way.
func TestUnusualItems(t *testing.T) {
	dir := fresh(t)
	s := begin(t, "alice", nil)
	log := sandbox.NewLog(t)
	s.try(func() error { return s.tx.SetItem(pam.Tty, "tty\nforged: line\x1b[2J") })
	s.try(func() error { return s.tx.SetItem(pam.Rhost, strings.Repeat("h", 8000)) })
	if err := s.open(0); err != nil {
		t.Error(err)
	}
	s.close()
	nothingLeft(t, dir+"/inst")
	for _, line := range log.Lines() {
		if strings.Contains(line, "\n") {
			t.Errorf("a line of the log holds a newline: %q", line)
		}
	}
}

// A stack may name the module twice, each line with a configuration of its own; one close ends both sessions.
func TestTheModuleTwiceInOneStack(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir a 1777", "dir b 1777")
	stack := "session required {M} config={A}/a.yaml\nsession required {M} config={A}/b.yaml\n"
	stack = strings.NewReplacer("{M}", sandbox.Module(t), "{A}", dir).Replace(stack)
	sandbox.Write(t, "/etc/pam.d/"+service, stack, 0o644)
	for _, name := range []string{"a", "b"} {
		sandbox.Write(t, dir+"/"+name+".yaml", "version: 1\ndirectories: [{path: "+dir+"/"+name+", method: tmpdir, instances: "+dir+"/inst}]\n", 0o644)
	}
	s := open(t, "alice")
	s.covered(dir + "/a")
	s.covered(dir + "/b")
	if got := names(t, dir+"/inst"); len(got) != 2 {
		t.Errorf("instances: %q", got)
	}
	s.close()
	nothingLeft(t, dir+"/inst")
	before, err := os.Readlink("/proc/self/ns/mnt")
	sandbox.Write(t, dir+"/b.yaml", "version: 1\nwrong: 1\n", 0o644)
	r := host(t)
	if r.get("open") != "14" || r.get("before.namespace") != before || err != nil {
		t.Errorf("with a second line that fails: PAM code %s", r.get("open"))
	}
}

func TestDebugLogsThePlan(t *testing.T) {
	configure(t, "", "directories: [{path: /tmp, method: tmpfs}]", "debug")
	log := sandbox.NewLog(t)
	host(t).opened(t)
	log.Expect("<87>", "plan:", "user alice", service)
	log.Expect("<87>", "plan:", "cover /tmp", yamlFile+":2:15")
}

// pam_namespace's option, for instance parents that something else made otherwise.
func TestIgnoreInstanceParentMode(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "dir inst 0755 2002")
	configure(t, dir, "directories: [{path: '{A}/tmp', method: user, instances: '{A}/inst'}]", "ignore_instance_parent_mode")
	if got := open(t, "alice").covered(dir + "/tmp").root; got != dir+"/inst/alice" {
		t.Errorf("tmp is covered by %s", got)
	}
}
