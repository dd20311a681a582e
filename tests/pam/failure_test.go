package pam_test

import (
	"cmp"
	"os"
	"strings"
	"testing"

	"github.com/msteinert/pam/v2"

	"gons/tests/sandbox"
)

const sentence = "Your private directories could not be set up. Please tell your administrator."

// failure is a session that must not open.
type failure struct {
	name  string
	tree  []string // what is on disk before, see tree()
	setup func(t *testing.T, dir string)
	// One of the two: entries of directories, or all of gons.yaml after the version, verbatim where it names one.
	directories []string
	yaml        string
	options     []string // of the PAM line
	args        []string // of pamhost
	without     string   // capabilities that the host lacks, see unprivileged
	user        string   // alice
	code        string   // PAM_SESSION_ERR
	log         []string // words of the one line of the log
}

// check opens and looks whether everything is as it was: the host, the disk, the mount table, the processes.
func (f failure) check(t *testing.T) {
	makeRunDir(t)
	dir := area(t)
	tree(t, dir, f.tree...)
	f.configure(t, dir)
	if f.setup != nil {
		f.setup(t, dir)
	}
	args := strings.Split(strings.ReplaceAll(strings.Join(f.args, "\n"), "{A}", dir), "\n")
	if len(f.args) == 0 {
		args = nil
	}
	before := records(t)
	log := sandbox.NewLog(t)
	snap := sandbox.NewSnapshot(t, "/tmp", "/var/tmp", "/run", "/home", dir)
	p := newPamhost(t, cmp.Or(f.user, "alice"), args...)
	if f.without != "" {
		p.unprivileged(f.without)
	}
	r := p.run()
	snap.Check()
	if got := r.get("open"); got != cmp.Or(f.code, "14") {
		t.Errorf("PAM code %q, expected %s", got, cmp.Or(f.code, "14"))
	}
	r.untouched(t, "before", "after")
	if said := r["conv"]; len(said) != 1 || said[0] != "3:"+sentence {
		t.Errorf("the user was told %q", said)
	}
	if after := records(t); len(after) != len(before) {
		t.Errorf("session records: %q before, %q after", before, after)
	}
	f.checkLog(t, log, dir)
}

func (f failure) configure(t *testing.T, dir string) {
	yaml := f.yaml
	if f.directories != nil {
		yaml = "directories:\n" + listed(f.directories)
	}
	configure(t, dir, yaml, f.options...)
	if strings.Contains(f.yaml, "version") {
		sandbox.Config(t, strings.ReplaceAll(f.yaml, "{A}", dir))
	}
}

// checkLog wants exactly one line of an error, a dying worker's last words apart, and the words in it.
func (f failure) checkLog(t *testing.T, log *sandbox.Log, dir string) {
	t.Helper()
	var failed []string
	for _, line := range log.Lines() {
		if strings.HasPrefix(line, "<83>") || strings.HasPrefix(line, "<82>") {
			failed = append(failed, line)
		}
	}
	if len(failed) != 1 {
		t.Errorf("%d lines of errors in the log, expected one", len(failed))
	}
	var words []string
	for _, w := range f.log {
		words = append(words, strings.ReplaceAll(w, "{A}", dir))
	}
	log.Expect(words...)
}

func checkAll(t *testing.T, all []failure) {
	for _, f := range all {
		t.Run(f.name, f.check)
	}
}

const yamlFile = "/etc/security/gons.yaml"

func TestAFailedOpenLeavesEverythingAsItWas(t *testing.T) {
	good := []string{
		"path: {A}/user, method: user, instances: {A}/inst, create: {}",
		"path: {A}/fresh, method: tmpdir, instances: {A}/inst2", "path: {A}/ram, method: tmpfs"}
	dirs := []string{"dir fresh 1777", "dir ram 1777"}
	checkAll(t, []failure{
		{name: "the second directory is missing", tree: dirs,
			directories: append(good[:3:3], "path: {A}/missing, method: user, instances: {A}/inst"),
			log:         []string{yamlFile + ":6:5", "{A}/missing", "no such file or directory"}},
		{name: "a directory below a covered one is missing", tree: dirs, // found only once that is covered
			directories: append(good[:3:3], "path: {A}/ram/sub, method: tmpfs"),
			log:         []string{yamlFile + ":6:5", "{A}/ram/sub", "no such file or directory"}},
		{name: "the last tmpfs has an option that the kernel refuses", tree: dirs,
			directories: append(good[:3:3], "path: {A}, method: tmpfs, options: [nonsense=1]"),
			log:         []string{yamlFile + ":6:5", "{A}", "nonsense", "fsconfig"}},
		{name: "in a covered working directory", tree: dirs, args: []string{"--cwd", "{A}/ram"},
			directories: append(good[:3:3], "path: {A}/missing, method: tmpfs"), log: []string{"{A}/missing"}},
		{name: "signals, limits and closed descriptors", tree: dirs,
			args:        []string{"--handlers", "--close-std", "--rlimit", "NOFILE=16", "--rlimit", "AS=60000000", "--sigchld", "handler"},
			directories: append(good[:3:3], "path: {A}/missing, method: tmpfs"), log: []string{"{A}/missing"}},
		{name: "fork before opening", tree: dirs, args: []string{"--fork-open"},
			directories: append(good[:3:3], "path: {A}/missing, method: tmpfs"), log: []string{"{A}/missing"}},
		{name: "among busy threads", tree: dirs, args: []string{"--busy", "3"},
			directories: append(good[:3:3], "path: {A}/missing, method: tmpfs"), log: []string{"{A}/missing"}},
	})
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	checkAll(t, []failure{
		{name: "malformed YAML", yaml: "directories: [", log: []string{yamlFile + ":"}},
		{name: "not YAML at all", yaml: "version: \x01\n", log: []string{yamlFile}},
		{name: "an unknown key", yaml: "directorys: []", log: []string{yamlFile + ":2:1", "directorys", "directories"}},
		{name: "a wrong type", yaml: "namespace: {always: 3}", log: []string{yamlFile + ":2:21", "always"}},
		{name: "a duplicate key", yaml: "exempt: {}\nexempt: {}", log: []string{yamlFile + ":3:1", "exempt"}},
		{name: "another version", yaml: "version: 2\n", log: []string{yamlFile + ":1:10", "version"}},
		{name: "a relative path", directories: []string{"path: tmp, method: tmpfs"}, log: []string{yamlFile + ":3:12", "tmp", `does not begin with "/"`}},
		{name: "a path with ..", directories: []string{"path: /tmp/../etc, method: tmpfs"}, log: []string{yamlFile + ":3:12", ".."}},
		{name: "instances with ..", directories: []string{"path: /tmp, method: user, instances: /srv/../etc"},
			log: []string{yamlFile + ":3:", ".."}},
		{name: "a missing directory", directories: []string{"path: {A}/missing, method: tmpfs"},
			log: []string{yamlFile + ":3:5", "{A}/missing", "no such file or directory"}},
		{name: "create below a missing directory", directories: []string{"path: {A}/missing/sub, method: tmpfs, create: {}"},
			log: []string{yamlFile + ":3:5", "{A}/missing", "no such file or directory"}},
		{name: "create for nobody known", directories: []string{"path: {A}/made, method: tmpfs, create: {owner: nosuch}"},
			log: []string{yamlFile + ":3:5", "nosuch"}},
		{name: "a user name with a slash", user: "../etc", directories: []string{"path: /tmp, method: user, instances: {A}/inst"},
			setup: func(t *testing.T, _ string) { addUser(t, "../etc", 2060, "/") }, log: []string{`"../etc"`}},
		{name: "a home that is /", user: "homeless", directories: []string{"path: $HOME, method: tmpfs"},
			setup: func(t *testing.T, _ string) { addUser(t, "homeless", 2060, "/") },
			log:   []string{yamlFile + ":3:5", "$HOME", "homeless"}},
		{name: "a home with ..", user: "homeless", directories: []string{"path: $HOME/x, method: tmpfs"},
			setup: func(t *testing.T, _ string) { addUser(t, "homeless", 2060, "/home/../etc") },
			log:   []string{yamlFile + ":3:5", "..", "homeless"}},
		{name: "a relative home", user: "homeless", directories: []string{"path: $HOME, method: tmpfs"},
			setup: func(t *testing.T, _ string) { addUser(t, "homeless", 2060, "etc") },
			log:   []string{yamlFile + ":3:5", "absolute", "homeless"}},
	})
}

func TestWrongOptionsAreRefused(t *testing.T) {
	entry := []string{"path: /tmp, method: tmpfs"}
	checkAll(t, []failure{
		{name: "a relative file", directories: entry, options: []string{"config=gons.yaml"}, log: []string{"config=gons.yaml", "absolute"}},
		{name: "a missing file", directories: entry, options: []string{"config={A}/none.yaml"}, log: []string{"{A}/none.yaml", "no such file"}},
		{name: "no number of seconds", directories: entry, options: []string{"timeout=soon"}, log: []string{"timeout=soon", "seconds"}},
		{name: "too few seconds", directories: entry, options: []string{"timeout=0"}, log: []string{"timeout=0", "seconds"}},
		{name: "SELinux required", directories: entry, options: []string{"require_selinux"}, log: []string{"require_selinux", "SELinux is off"}},
	})
}

// Whatever stands where a directory belongs, and whoever put it there: an error, at once, and nothing opened.
func TestHostileFilesAreRefused(t *testing.T) {
	user := func(path string) []string {
		return []string{"path: {A}/" + path + ", method: user, instances: {A}/inst"}
	}
	parent := func(path string) []string {
		return []string{"path: {A}/tmp, method: user, instances: {A}/" + path}
	}
	tmp := "dir tmp 1777"
	checkAll(t, []failure{
		{name: "FIFO as the directory", tree: []string{"fifo tmp"}, directories: user("tmp"), log: []string{":3:5", "{A}/tmp", "FIFO", "not a directory"}},
		{name: "FIFO on the way", tree: []string{"fifo tmp"}, directories: user("tmp/sub"), log: []string{":3:5", "{A}/tmp", "FIFO", "not a directory"}},
		{name: "FIFO of a user on the way", tree: []string{"dir her 0755 2001", "fifo her/x"}, directories: user("her/x/y"), log: []string{"{A}/her/x", "FIFO"}},
		{name: "file as the directory", tree: []string{"file tmp 0644"}, directories: user("tmp"), log: []string{":3:5", "{A}/tmp", "not a directory"}},
		{name: "symlink of a user", tree: []string{"link tmp /etc 2001"}, directories: user("tmp"), log: []string{":3:5", "symbolic link {A}/tmp"}},
		{name: "symlink of a user on the way", tree: []string{"dir her 0755 2001", "link her/x /etc 2001"}, directories: user("her/x/security"), log: []string{"symbolic link {A}/her/x"}},
		{name: "symlink of root in a user's directory", tree: []string{"dir her 0755 2001", "link her/x /etc"}, directories: user("her/x"), log: []string{"symbolic link {A}/her/x"}},
		{name: "symlink of root that leads through a user's", tree: []string{"dir her 0755 2001", "link her/x /etc 2001", "link tmp {A}/her/x/security"}, directories: user("tmp"), log: []string{"symbolic link {A}/her/x"}},
		{name: "symlink loop", tree: []string{"link tmp {A}/tmp"}, directories: user("tmp"), log: []string{"{A}/tmp", "40 symbolic links"}},
		{name: "FIFO as the instance parent", tree: []string{tmp, "fifo p"}, directories: parent("p"), log: []string{":3:5", "{A}/p", "FIFO"}},
		{name: "FIFO on the way to it", tree: []string{tmp, "fifo p"}, directories: parent("p/q"), log: []string{"{A}/p", "FIFO"}},
		{name: "symlink of a user as the instance parent", tree: []string{tmp, "link p /etc 2001"}, directories: parent("p"), log: []string{"symbolic link {A}/p"}},
		{name: "instance parent of a user", tree: []string{tmp, "dir p 0000 2001"}, directories: parent("p"), log: []string{":3:5", "instance parent {A}/p", "user 2001", "expected root"}},
		{name: "instance parent that isn't mode 000", tree: []string{tmp, "dir p 0700"}, directories: parent("p"), log: []string{":3:5", "instance parent {A}/p", "mode is 0700", "expected 0000"}},
		{name: "instance parent that others can read", tree: []string{tmp, "dir p 1005"}, directories: parent("p"), log: []string{"mode is 1005", "expected 0000"}},
		{name: "missing way to the instance parent", tree: []string{tmp}, directories: parent("p/q"), log: []string{"{A}/p", "no such file or directory"}},
		{name: "FIFO as the instance", tree: []string{tmp, "dir p 0000", "fifo p/alice"}, directories: parent("p"), log: []string{":3:5", "instance {A}/p/alice", "FIFO"}},
		{name: "symlink as the instance", tree: []string{tmp, "dir p 0000", "link p/alice /etc"}, directories: parent("p"), log: []string{":3:5", "instance {A}/p/alice", "symbolic link"}},
		{name: "file as the instance", tree: []string{tmp, "dir p 0000", "file p/alice 0644"}, directories: parent("p"), log: []string{"instance {A}/p/alice", "not a directory"}},
		{name: "another user's directory as the instance", tree: []string{tmp, "dir p 0000", "dir p/alice 0777 2002"}, directories: parent("p"), log: []string{"instance {A}/p/alice", "user 2002"}},
	})
}

func TestConfigurationFilesThatOthersCanWriteAreRefused(t *testing.T) {
	const content = "version: 1\ndirectories: [{path: /tmp, method: tmpfs}]\n"
	file := func(mode os.FileMode, uid int) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			sandbox.Write(t, dir+"/c.yaml", content, mode)
			if err := os.Chown(dir+"/c.yaml", uid, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	mainFile := func(mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, _ string) { sandbox.Write(t, yamlFile, content, mode) }
	}
	option := []string{"config={A}/c.yaml"}
	checkAll(t, []failure{
		{name: "by all", setup: mainFile(0o666), log: []string{yamlFile, "0666", "others than root"}},
		{name: "by a group", setup: mainFile(0o664), log: []string{yamlFile, "0664", "others than root"}},
		{name: "of a user", setup: file(0o600, 2001), options: option, log: []string{"{A}/c.yaml", "user 2001"}},
		{name: "a FIFO", tree: []string{"fifo c.yaml"}, options: option, log: []string{"{A}/c.yaml", "FIFO", "not a regular file"}},
		{name: "a directory", tree: []string{"dir c.yaml 0755"}, options: option, log: []string{"{A}/c.yaml", "not a regular file"}},
		{name: "a symlink of a user", setup: file(0o644, 0), tree: []string{"link l.yaml {A}/c.yaml 2001"},
			options: []string{"config={A}/l.yaml"}, log: []string{"{A}/l.yaml", "symbolic link of user 2001"}},
		{name: "a symlink to a user's file", setup: file(0o644, 2001), tree: []string{"link l.yaml {A}/c.yaml"},
			options: []string{"config={A}/l.yaml"}, log: []string{"{A}/c.yaml", "user 2001"}},
		{name: "in a user's directory", tree: []string{"dir her 0755 2001", "file her/c.yaml 0644"},
			options: []string{"config={A}/her/c.yaml"}, log: []string{"{A}/her", "others than root can write"}},
		{name: "a drop-in", setup: func(t *testing.T, _ string) {
			sandbox.Write(t, "/etc/security/gons.d/x.yaml", content, 0o666)
			t.Cleanup(func() { os.RemoveAll("/etc/security/gons.d") })
		}, log: []string{"/etc/security/gons.d/x.yaml", "0666", "others than root"}},
		{name: "a directory of drop-ins", setup: func(t *testing.T, _ string) {
			sandbox.Write(t, "/etc/security/gons.d/x.yaml", content, 0o644)
			os.Chmod("/etc/security/gons.d", 0o777)
			t.Cleanup(func() { os.RemoveAll("/etc/security/gons.d") })
		}, log: []string{"/etc/security/gons.d", "others than root can write"}},
	})
}

func TestAKernelWithoutTheMountAPIIsAClearError(t *testing.T) {
	var all []failure
	for _, call := range []string{"open_tree", "move_mount", "mount_setattr", "openat2"} {
		all = append(all, failure{name: call, tree: []string{"dir tmp 1777"}, args: []string{"--enosys", call},
			directories: []string{"path: {A}/tmp, method: user, instances: {A}/inst"},
			log:         []string{call, "not implemented"}})
	}
	for _, call := range []string{"fsopen", "fsconfig", "fsmount"} {
		all = append(all, failure{name: call, tree: []string{"dir tmp 1777", "dir tmp2 1777"}, args: []string{"--enosys", call},
			directories: []string{"path: {A}/tmp, method: tmpdir, instances: {A}/inst", "path: {A}/tmp2, method: tmpfs"},
			log:         []string{yamlFile + ":4:5", "{A}/tmp2", call, "not implemented"}})
	}
	for _, call := range []string{"pidfd_open", "close_range"} { // what the gate itself needs, as old as the rest
		all = append(all, failure{name: call, args: []string{"--enosys", call},
			directories: []string{"path: /tmp, method: tmpfs"}, log: []string{call, "not implemented"}})
	}
	all = append(all, failure{name: "all of it", tree: []string{"dir tmp 1777"},
		args: []string{"--enosys", "open_tree", "--enosys", "move_mount", "--enosys", "mount_setattr", "--enosys", "fsopen",
			"--enosys", "openat2", "--enosys", "pidfd_send_signal"},
		directories: []string{"path: {A}/tmp, method: tmpfs"}, log: []string{"not implemented"}})
	checkAll(t, all)
}

func TestTheUserIsToldOnlyWhenNotSilent(t *testing.T) {
	directories(t, "", "path: /missing, method: tmpfs")
	for flags, want := range map[pam.Flags]int{0: 1, pam.Silent: 0} {
		s := begin(t, "alice", nil)
		err := s.open(flags)
		if err != pam.ErrSession {
			t.Errorf("flags %v: %v", flags, err)
		}
		if len(s.said) != want {
			t.Errorf("flags %v: the user was told %q", flags, s.said)
		}
	}
}

// A session line that is optional: the login goes on exactly as if the module had not been there.
func TestOptionalLeavesTheHostInItsOldNamespaceWhole(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir fresh 1777", "file fresh/hosts 0644", "dir ram 1777")
	directories(t, dir, "path: {A}/fresh, method: tmpdir, instances: {A}/inst", "path: {A}/ram, method: tmpfs", "path: {A}/missing, method: tmpfs")
	stack := "session optional " + sandbox.Module(t) + "\nsession required pam_permit.so\n"
	sandbox.Write(t, "/etc/pam.d/"+service, stack, 0o644)
	snap := sandbox.NewSnapshot(t, dir)
	r := host(t, "--cwd", dir+"/fresh", "--run", "ls "+dir+"/fresh | sed s/^/sees=/; touch "+dir+"/ram/x; pwd | sed s/^/pwd=/").opened(t)
	r.untouched(t, "before", "after")
	r.untouched(t, "before", "closed")
	if r.get("sees") != "hosts" || r.get("pwd") != dir+"/fresh" {
		t.Errorf("the session sees %q and is in %q", r.get("sees"), r.get("pwd"))
	}
	if err := os.Remove(dir + "/ram/x"); err != nil {
		t.Error(err)
	}
	snap.Check()
}
