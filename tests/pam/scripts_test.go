package pam_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gons/tests/sandbox"
)

// script writes a shell script of root's into the area and returns its path.
func script(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	sandbox.Write(t, path, "#!/bin/sh\n"+text+"\n", 0o755)
	return path
}

// scripted configures the directory "new" of the area with a script.
func scripted(t testing.TB, dir, text string, options ...string) {
	t.Helper()
	tree(t, dir, "dir new 1777")
	script(t, dir, "init", text)
	configure(t, dir, "directories:\n  - {path: {A}/new, method: user, instances: {A}/i, init: {A}/init}\n", options...)
}

// A script is told what pam_namespace tells it, in an empty environment and in the session's namespace. It sees the
// instance at the directory, and the host doesn't.
func TestScriptArguments(t *testing.T) {
	dir := area(t)
	scripted(t, dir, `{ for a; do echo "[$a]"; done; echo "cwd $(pwd), umask $(umask), uid $(id -u), $(ls /proc/self/fd | wc -l) files"
		tr '\0' '\n' </proc/$$/environ; } >>`+dir+`/said; touch $1/marked`)
	for range 2 {
		host(t, "--ruid", "2002").opened(t)
	}
	want := ""
	for _, isNew := range []string{"1", "0"} {
		want += fmt.Sprintf("[%s/new]\n[%[1]s/i/alice]\n[%s]\n[alice]\n[1]\n[1]\ncwd /, umask 0022, uid 0, 4 files\n", dir, isNew)
	}
	said, err := os.ReadFile(dir + "/said")
	if err != nil || string(said) != want {
		t.Errorf("%v: the script says\n%s\nexpected\n%s", err, said, want)
	}
	if exists(dir+"/new/marked") || !exists(dir+"/i/alice/marked") {
		t.Error("the script did not see the instance at the directory")
	}
}

// A script that fails, in whatever way, is no session, and nothing stays; but for one that may fail.
func TestScriptsThatFail(t *testing.T) {
	for _, c := range []struct{ name, text, log string }{
		{"status", "echo of no use; exit 7", "status 7"},
		{"signal", "kill -9 $$", "SIGKILL"},
		{"half done", "mkdir -p $1/a/b; touch $1/a/b/c; exit 1", "status 1"},
		{"mounts", "mount -n -i -t tmpfs tmpfs $1 && touch $1/x; exit 1", "status 1"},
		{"hangs", "trap '' TERM HUP; (trap '' TERM; setsid sleep 1000) & touch $1/started; sleep 1000", "killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			makeRunDir(t)
			dir := area(t)
			scripted(t, dir, c.text, "timeout=2")
			log := sandbox.NewLog(t)
			snap := sandbox.NewSnapshot(t, "/tmp", "/run", dir)
			r := host(t)
			snap.Check()
			if r.get("open") != "14" {
				t.Errorf("PAM code %q", r.get("open"))
			}
			r.untouched(t, "before", "after")
			log.Expect(dir+"/init", c.log)
			noProcess(t, "sleep 1000")
		})
	}
}

// noProcess fails the test where a process with such a command line lives.
func noProcess(t testing.TB, line string) {
	t.Helper()
	for _, pid := range names(t, "/proc") {
		data, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		if strings.ReplaceAll(strings.Trim(string(data), "\x00"), "\x00", " ") == line {
			t.Errorf("process %s is left: %s", pid, line)
		}
	}
}

func TestScriptsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, log string
		make      func(t *testing.T, path string) error
	}{
		{"missing", "no such file", func(_ *testing.T, path string) error { return os.Remove(path) }},
		{"not executable", "executable", func(_ *testing.T, path string) error { return os.Chmod(path, 0o644) }},
		{"writable by others", "lets others than root write", func(_ *testing.T, path string) error { return os.Chmod(path, 0o777) }},
		{"another user's", "owned by user 2002", func(_ *testing.T, path string) error { return os.Chown(path, 2002, 0) }},
		{"in a directory of another user's", "others than root can write", func(_ *testing.T, path string) error { return os.Chown(filepath.Dir(path), 2002, 0) }},
		{"no interpreter", "interpreter", func(t *testing.T, path string) error { return os.WriteFile(path, []byte("#!/nosuch\n"), 0o755) }},
		{"a FIFO", "FIFO", func(_ *testing.T, path string) error {
			os.Remove(path)
			return syscall.Mkfifo(path, 0o755)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t)
			scripted(t, dir, "touch "+dir+"/run")
			if err := c.make(t, dir+"/init"); err != nil {
				t.Fatal(err)
			}
			log := sandbox.NewLog(t)
			if r := host(t); r.get("open") != "14" {
				t.Errorf("PAM code %q", r.get("open"))
			}
			log.Expect(dir+"/init", c.log)
			if exists(dir+"/run") || exists(dir+"/i/alice") {
				t.Error("it was run, or an instance is left")
			}
		})
	}
}

func TestScriptsThatMayFail(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777")
	script(t, dir, "init", "echo $3 >>"+dir+"/said; exit 1")
	configure(t, dir, "directories:\n  - {path: {A}/new, method: user, instances: {A}/i, init: {script: {A}/init, on_failure: ignore}}\n")
	for range 2 {
		host(t).opened(t)
	}
	if said, _ := os.ReadFile(dir + "/said"); string(said) != "1\n0\n" {
		t.Errorf("the script was told %q", said)
	}
	if left := names(t, dir+"/i"); len(left) != 1 {
		t.Errorf("instances: %q", left)
	}
}

// A script that may fail but was killed, or came too late to be run at all, is run for a new instance the next time.
func TestScriptsThatMayFailButDontEnd(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir a 1777", "dir b 1777")
	script(t, dir, "slow", "echo a$3 >>"+dir+"/said; [ -e "+dir+"/quick ] || exec sleep 1000")
	script(t, dir, "init", "echo b$3 >>"+dir+"/said")
	configure(t, dir, "directories:\n"+listed([]string{
		"path: {A}/a, method: user, instances: {A}/i, init: {script: {A}/slow, on_failure: ignore}",
		"path: {A}/b, method: user, instances: {A}/j, init: {script: {A}/init, on_failure: ignore}"}), "timeout=2")
	host(t).opened(t)
	tree(t, dir, "file quick 0600")
	for range 2 {
		host(t).opened(t)
	}
	if said, _ := os.ReadFile(dir + "/said"); !strings.HasSuffix(string(said), "a1\nb1\na0\nb0\n") { // of the second and third
		t.Errorf("the scripts were told %q", said)
	}
}

// Many sessions at the same moment for a user who has no instance: it is made once and initialised once, and nobody gets
// it before that is done.
func TestScriptRunsOnceForManySessions(t *testing.T) {
	dir := area(t)
	scripted(t, dir, "echo $3 >>"+dir+"/said; [ $3 = 0 ] && { [ -e $1/done ] || exit 9; exit 0; }; sleep 0.2; touch $1/done")
	var wait sync.WaitGroup
	for range 12 {
		p := newPamhost(t, "alice")
		p.start()
		wait.Add(1)
		go func() {
			defer wait.Done()
			p.wait().opened(t)
		}()
	}
	wait.Wait()
	if said, _ := os.ReadFile(dir + "/said"); strings.Count(string(said), "1") != 1 || strings.Count(string(said), "0") != 11 {
		t.Errorf("the script was told %q", said)
	}
}

// A worker that is killed while the script for a new instance runs leaves that unfinished; the next session finishes it.
func TestScriptOfAKilledWorker(t *testing.T) {
	dir := area(t)
	scripted(t, dir, "echo $3 >>"+dir+"/said; [ -e "+dir+"/quick ] || sleep 1000")
	p := newPamhost(t, "alice")
	p.start()
	eventually(t, "the script runs", func() bool { return exists(dir + "/said") })
	if err := syscall.Kill(childOf(t, p.cmd.Process.Pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := p.wait(); r.get("open") != "14" {
		t.Errorf("PAM code %q", r.get("open"))
	}
	tree(t, dir, "file quick 0600")
	for range 2 {
		host(t).opened(t)
	}
	if said, _ := os.ReadFile(dir + "/said"); string(said) != "1\n1\n0\n" {
		t.Errorf("the script was told %q", said)
	}
	if left := names(t, dir+"/i"); len(left) != 1 {
		t.Errorf("instances: %q", left)
	}

}

// What a killed session's script has started is root's, and mustn't go on in a directory that a later session gives to the
// user: whoever runs su can kill it, and its worker with it.
func TestNothingGoesOnOfAKilledSessionsScript(t *testing.T) {
	for _, c := range [][2]string{{"session", "host"}, {"session", "worker"}, {"user", "host"}, {"user", "worker"}} {
		scope, victim := c[0], c[1]
		t.Run(scope+", "+victim, func(t *testing.T) {
			dir := area(t)
			scripted(t, dir, "[ -e "+dir+"/quick ] || { touch "+dir+"/said; sleep 1001; touch $1/late; }")
			configure(t, dir, "namespace: {scope: "+scope+"}\ndirectories:\n  - {path: {A}/new, method: user, instances: {A}/i, init: {A}/init}\n")
			p := newPamhost(t, "alice")
			p.start()
			eventually(t, "the script runs", func() bool { return exists(dir + "/said") })
			kill := p.cmd.Process.Pid
			if victim == "worker" {
				kill = childOf(t, kill)
			}
			if err := syscall.Kill(kill, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			p.cmd.Wait()
			p.timer.Stop()
			tree(t, dir, "file quick 0600")
			host(t, "--run", "! pgrep -f 'sleep 1001'").opened(t)
			noProcess(t, "sleep 1001")
			nothingLeft(t)
		})
	}
}

// homes configures the home directory with the standard script, which the machine has unmodified.
func homes(t testing.TB, dir string) {
	t.Helper()
	sandbox.Stack(t, service, "required", "config="+dir+"/namespace.conf")
	sandbox.Write(t, dir+"/namespace.conf", "$HOME "+dir+"/homes/ user\n", 0o644)
	sandbox.Write(t, "/etc/login.defs", "UMASK 022\n", 0o644)
}

// A new home is filled as the distribution's namespace.init fills it, which isn't run for that.
func TestNewHome(t *testing.T) {
	dir := area(t)
	homes(t, dir)
	sandbox.Write(t, "/etc/skel/.config/deep/file", "text", 0o644)
	t.Cleanup(func() { os.RemoveAll("/etc/skel/.config") })
	log := sandbox.NewLog(t)
	host(t, "--run", "cat .config/deep/file >copy; stat -c '%a %U %G' . .bashrc .config/deep >stat", "--cwd", "/home/alice").opened(t)
	got, err := os.ReadFile(dir + "/homes/alice/stat")
	if want := "755 alice alice\n644 alice alice\n755 alice alice\n"; err != nil || string(got) != want {
		t.Errorf("%v: got\n%s\nwant\n%s", err, got, want)
	}
	if data, _ := os.ReadFile(dir + "/homes/alice/copy"); string(data) != "text" {
		t.Errorf("the session read %q", data)
	}
	if err := os.Remove(dir + "/homes/alice/.bashrc"); err != nil {
		t.Fatal(err)
	}
	host(t).opened(t)
	if exists(dir + "/homes/alice/.bashrc") {
		t.Error("a home that was there is filled again")
	}
	if lines := log.Lines(); len(lines) > 0 {
		t.Errorf("the log has %q", lines)
	}
}

// A home that is a tmpfs is new each time.
func TestNewHomeOnTmpfs(t *testing.T) {
	dir := area(t)
	homes(t, dir)
	sandbox.Write(t, dir+"/namespace.conf", "$HOME x tmpfs:mntopts=uid=$UID,size=1M\n", 0o644)
	for range 2 {
		s := open(t, "alice")
		if got := s.sh(2001, "cd /home/alice && cmp .bashrc /etc/skel/.bashrc && stat -c '%a %U %G' . .bashrc && touch mine"); got != "755 alice alice\n644 alice alice" {
			t.Errorf("got %s", got)
		}
	}
}

// changeStandard writes another namespace.init for the time of the test.
func changeStandard(t testing.TB, change func(original string) string) {
	t.Helper()
	const standard = "/etc/security/namespace.init"
	original, err := os.ReadFile(standard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sandbox.Write(t, standard, string(original), 0o755) })
	sandbox.Write(t, standard, change(string(original)), 0o755)
}

// A changed namespace.init is run.
func TestChangedStandardScript(t *testing.T) {
	dir := area(t)
	homes(t, dir)
	changeStandard(t, func(original string) string {
		return strings.TrimSuffix(original, "exit 0\n") + "touch $1/mine\nexit 0\n"
	})
	host(t).opened(t)
	if !exists(dir+"/homes/alice/mine") || !exists(dir+"/homes/alice/.bashrc") {
		t.Errorf("the script was not run: %q", names(t, dir+"/homes/alice"))
	}
}

// What a script has put into a tmpdir goes when its worker is killed, too.
func TestScriptOfAKilledWorkerInATmpdir(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777")
	script(t, dir, "init", "touch $1/of-the-script "+dir+"/ran; [ -e "+dir+"/quick ] || exec sleep 1000")
	directories(t, dir, "path: {A}/new, method: tmpdir, instances: {A}/i, init: {A}/init")
	p := newPamhost(t, "alice")
	p.start()
	eventually(t, "the script runs", func() bool { return exists(dir + "/ran") })
	if err := syscall.Kill(childOf(t, p.cmd.Process.Pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := p.wait(); r.get("open") != "14" {
		t.Errorf("PAM code %q", r.get("open"))
	}
	tree(t, dir, "file quick 0600")
	host(t).opened(t)
	nothingLeft(t, dir+"/i")
}

// A worker that is killed while it takes away again what a script has made leaves no half of it to the next session.
func TestUndoOfAKilledWorker(t *testing.T) {
	const files = 20000
	dir := area(t)
	tree(t, dir, "dir new 1777")
	script(t, dir, "init", fmt.Sprintf("[ $3 = 0 ] || { cd $1 && seq -f f%%.0f %d | xargs touch; }; echo $3 >>%s/said", files, dir))
	entry := "path: {A}/new, method: user, instances: {A}/i, init: {A}/init"
	directories(t, dir, entry, "path: {A}/missing, method: tmpfs")
	p := newPamhost(t, "alice")
	p.start()
	worker := childOf(t, p.cmd.Process.Pid)
	eventually(t, "the script has run", func() bool { return exists(dir + "/said") })
	eventually(t, "some of its files are gone", func() bool { return len(names(t, dir+"/i/alice")) < files })
	syscall.Kill(worker, syscall.SIGKILL)
	p.wait()
	directories(t, dir, entry)
	host(t).opened(t)
	if n := len(names(t, dir+"/i/alice")); n != files {
		said, _ := os.ReadFile(dir + "/said")
		t.Errorf("the next session has %d of %d files; the script was told %q", n, files, said)
	}
	if left := names(t, dir+"/i"); len(left) != 1 {
		t.Errorf("instances: %q", left)
	}
}

// A namespace.init may be a program of any size.
func TestLargeStandardScript(t *testing.T) {
	dir := area(t)
	homes(t, dir)
	changeStandard(t, func(string) string {
		return "#!/bin/sh\ntouch $1/mine\nexit 0\n" + strings.Repeat("# data that the script reads\n", 10000)
	})
	host(t).opened(t)
	if !exists(dir + "/homes/alice/mine") {
		t.Errorf("the script was not run: %q", names(t, dir+"/homes/alice"))
	}
}

// A name service holds any name; one user's instance isn't the mark of another's.
func TestUserNamedLikeAMark(t *testing.T) {
	addUser(t, ".gons-new-alice", 2100, "/home")
	dir := area(t)
	scripted(t, dir, "echo $3 $4 >>"+dir+"/said; touch $1/of-the-script")
	newPamhost(t, ".gons-new-alice").run()
	for range 2 {
		host(t).opened(t)
	}
	if said, _ := os.ReadFile(dir + "/said"); !strings.HasSuffix(string(said), "1 alice\n0 alice\n") {
		t.Errorf("the script was told %q", said)
	}
}

// What is wrong with the standard script is nothing to those who get no directory, root above all.
func TestBrokenStandardScriptOfOthers(t *testing.T) {
	dir := area(t)
	homes(t, dir)
	sandbox.Write(t, dir+"/namespace.conf", "$HOME "+dir+"/homes/ user root\n", 0o644)
	const standard = "/etc/security/namespace.init"
	if err := os.Chmod(standard, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(standard, 0o755) })
	newPamhost(t, "root").run().opened(t)
	if r := host(t); r.get("open") != "14" {
		t.Errorf("alice: PAM code %s", r.get("open"))
	}
}
