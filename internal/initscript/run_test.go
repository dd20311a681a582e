package initscript

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
)

// soon is a deadline for scripts that should need none.
func soon() time.Time { return time.Now().Add(20 * time.Second) }

// script writes a shell script of root's and returns its path.
func script(t testing.TB, lines ...string) string {
	t.Helper()
	return program(t, append([]string{"#!/bin/sh"}, lines...)...)
}

func program(t testing.TB, lines ...string) string {
	t.Helper()
	path := newBase(t) + "/script"
	must(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o755))
	must(t, os.Chmod(path, 0o755))
	return path
}

var numbers = regexp.MustCompile(`\[\d+\]`)

func TestWhatAScriptGets(t *testing.T) {
	left, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // a descriptor that an execve(2) would hand on
	must(t, err)
	defer unix.Close(left)
	must(t, os.Setenv("BASH_ENV", "/tmp/evil"))
	path := script(t, "umask; pwd; wc -c </proc/$$/environ",
		"while read key value; do case $key in SigBlk:|Uid:|Gid:) echo $key $value; esac; done </proc/$$/status", // no fork: dash blocks around it
		"for f in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/$$/fd/$f; done; echo error >&2; wc -c")
	before := descriptors(t)
	out, err := Run(Call{Script: path, Umask: 0o027, Deadline: soon()})
	must(t, err)
	want := []string{"0027", "/", "0", "Uid: 0 0 0 0", "Gid: 0 0 0 0", "SigBlk: 0000000000000000",
		"/dev/null", "pipe:[]", "pipe:[]", "error", "0"}
	if got := strings.Split(strings.TrimSpace(numbers.ReplaceAllString(out, "[]")), "\n"); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if mask := unix.Umask(0o077); mask != 0o077 {
		t.Errorf("the umask is %o afterwards", mask)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func TestArguments(t *testing.T) {
	path := script(t, `printf '[%s]' "$0" "$#" "$@"`)
	for _, c := range []struct {
		call Call
		want string
	}{
		{Call{Directory: "/tmp", Instance: "/tmp-inst/alice", New: true, User: "alice", DirectorySafe: true},
			"[6][/tmp][/tmp-inst/alice][1][alice][1][0]"},
		{Call{Directory: "/a b\n;$(id)", Instance: "tmpfs", User: "-x '\"", InstanceSafe: true},
			"[6][/a b\n;$(id)][tmpfs][0][-x '\"][0][1]"},
		{Call{}, "[6][][][0][][0][0]"},
	} {
		c.call.Script, c.call.Deadline = path, soon()
		out, err := Run(c.call)
		must(t, err)
		if want := "[" + path + "]" + c.want; out != want {
			t.Errorf("got %q, want %q", out, want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  string // of the error; the script's path is SCRIPT
	}{
		{[]string{"#!/bin/sh", "exit 0"}, ""},
		{[]string{"#!/bin/sh", "echo; echo no such user >&2; echo more; exit 3"}, "SCRIPT exited with status 3: no such user"},
		{[]string{"#!/bin/sh", `printf '\033[31mred\r\377'; exit 1`}, "SCRIPT exited with status 1: ?[31mred??"},
		{[]string{"#!/bin/sh", "kill -TERM $$"}, "SCRIPT was killed by SIGTERM"},
		{[]string{"#!/no/such/shell"}, "cannot run SCRIPT: the interpreter that its first line names is missing"},
		{[]string{"#!/etc/passwd"}, "cannot run SCRIPT: execve: permission denied (it or its interpreter isn't executable, or on a file system mounted noexec)"},
		{[]string{"echo no first line"}, "cannot run SCRIPT: execve: exec format error (it has no #! line, and is no program of this machine)"},
	} {
		path := program(t, c.lines...)
		_, err := Run(Call{Script: path, Deadline: soon()})
		got := ""
		if err != nil {
			got = strings.ReplaceAll(err.Error(), path, "SCRIPT")
		}
		if got != c.want || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: got %q, want %q", c.lines, got, c.want)
		}
	}
}

func TestStatus(t *testing.T) {
	path := script(t, "echo said; exit 7")
	_, err := Run(Call{Script: path, Deadline: soon()})
	var status *StatusError
	if !errors.As(err, &status) || status.Status != 7 {
		t.Errorf("got %v", err)
	}
}

// None of these may run: each would leave a file.
func TestScriptsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ tree, path, want string }{
		{"", "/missing", "no such file"},
		{"", "/dir/missing", "no such file"},
		{"dir dir", "/dir", "it is a directory"},
		{"fifo s", "/s", "it is a FIFO"},
		{"file s 0:0 0644", "/s", "it isn't executable (mode 0644)"},
		{"file s 2001:0 0755", "/s", "owned by user 2001"},
		{"file s 0:0 0775", "/s", "mode 0775 lets others"},
		{"dir dir 2001:0 0755; file dir/s", "/dir/s", "others than root"},
		{"dir dir 0:0 0777; file dir/s", "/dir/s", "others than root"},
		{"dir dir 0:0 0777; dir dir/sub; file dir/sub/s", "/dir/sub/s", "others than root"},
		{"dir dir 0:0 1777; link dir/l /bin/true 2001:2001", "/dir/l", "symbolic link of user 2001"},
		{"link l nowhere", "/l", "which is missing"},
	} {
		base := newBase(t, lines(c.tree)...)
		_, err := Run(Call{Script: base + c.path, Deadline: soon()})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %s: got %v, want %s", c.tree, c.path, err, c.want)
		}
		if errors.Is(err, fs.ErrNotExist) != (c.tree == "") {
			t.Errorf("%q %s: fs.ErrNotExist is %v", c.tree, c.path, err)
		}
	}
}

func TestLinkOfRoots(t *testing.T) {
	path := script(t, "echo $0")
	link := newBase(t) + "/link"
	must(t, os.Symlink(path, link))
	if out, err := Run(Call{Script: link, Deadline: soon()}); err != nil || out != link+"\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	out, err := Run(Call{Script: script(t, "head -c 10000000 /dev/zero | tr '\\0' x"), Deadline: soon()})
	if err != nil || out != strings.Repeat("x", outputMax) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	start := time.Now()
	_, err = Run(Call{Script: script(t, "while :; do echo flood; done"), Deadline: start.Add(200 * time.Millisecond)})
	if err == nil || !strings.Contains(err.Error(), "took too long and was killed: flood") {
		t.Errorf("got %v", err)
	}
}

// hiding are ways of a script's processes to get out of reach: deaf to signals, in other sessions, with other parents.
const hiding = `
setsid sh -c 'trap "" TERM; echo $$ >>PIDS; exec sleep 1000' &
(setsid sh -c 'echo $$ >>PIDS; (echo $$ >>PIDS; exec sleep 1000) & sleep 1000' &)
(trap '' TERM HUP; (sh -c 'echo $$ >>PIDS; exec sleep 1000') &)
exec >/dev/null 2>&1
while [ $(wc -w <PIDS) -lt 4 ]; do sleep 0.01; done
`

func hidingScript(t *testing.T, last string) (path, pids string) {
	t.Helper()
	pids = newBase(t) + "/pids"
	must(t, os.WriteFile(pids, nil, 0o644))
	return script(t, strings.ReplaceAll(hiding, "PIDS", pids), last), pids
}

func TestDeadline(t *testing.T) {
	path, pids := hidingScript(t, "sleep 1000")
	_, err := Run(Call{Script: path, Deadline: time.Now().Add(time.Second)})
	if err == nil || !strings.HasSuffix(err.Error(), "took too long and was killed") {
		t.Errorf("got %v", err)
	}
	expectDead(t, pids)
}

func TestFailureEndsWhatWasStarted(t *testing.T) {
	path, pids := hidingScript(t, "exit 1")
	_, err := Run(Call{Script: path, Deadline: soon()})
	if err == nil || !strings.HasSuffix(err.Error(), "exited with status 1") {
		t.Errorf("got %v", err)
	}
	expectDead(t, pids)
}

func expectDead(t *testing.T, pids string) {
	t.Helper()
	data, err := os.ReadFile(pids)
	must(t, err)
	words := strings.Fields(string(data))
	if len(words) < 4 {
		t.Fatalf("the script didn't start what it should: %q", data)
	}
	for _, pid := range words {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s is left", pid)
		}
	}
}

// A chain of processes, each of which starts the next and ends, can only be met on the run.
func TestDeadlineOfAChain(t *testing.T) {
	base := newBase(t)
	path := script(t, `echo $$ >`+base+`/last; if [ "$4" = first ]; then "$0" & sleep 1000; else "$0" & fi`)
	_, err := Run(Call{Script: path, User: "first", Deadline: time.Now().Add(300 * time.Millisecond)})
	if err == nil || !strings.HasSuffix(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
	before, err := os.ReadFile(base + "/last")
	must(t, err)
	time.Sleep(100 * time.Millisecond)
	if after, err := os.ReadFile(base + "/last"); err != nil || string(after) != string(before) {
		t.Errorf("the chain goes on: %s, %s, %v", before, after, err)
		must(t, os.Remove(path))
	}
}

func TestSuccessLeavesDaemonsAlone(t *testing.T) {
	base := newBase(t)
	path := script(t, "sleep 1000 & echo $! >"+base+"/pid; echo started") // it holds the pipe
	start := time.Now()
	out, err := Run(Call{Script: path, Deadline: start.Add(10 * time.Second)})
	if err != nil || out != "started\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if time.Since(start) > 5*time.Second {
		t.Error("it waited for the daemon")
	}
	// Nor does the failure of a later script end it.
	time.Sleep(20 * time.Millisecond) // more than a tick, by which older children are known
	if _, err := Run(Call{Script: script(t, "exit 1"), Deadline: soon()}); err == nil {
		t.Error("the second script hasn't failed")
	}
	data, err := os.ReadFile(base + "/pid")
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	must(t, err)
	must(t, unix.Kill(pid, 0))
	must(t, unix.Kill(pid, unix.SIGKILL))
	unix.Wait4(pid, nil, 0, nil) // a child of this process now: it was the subreaper
}

// When the worker is killed, so is the script.
func TestScriptEndsWithItsRunner(t *testing.T) {
	base := newBase(t)
	path := script(t, "echo $$ >"+base+"/new; mv "+base+"/new "+base+"/pid; exec sleep 1000")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{runVar + "=" + path}
	must(t, cmd.Start())
	pid := ""
	await(t, "the script starts", func() bool {
		data, err := os.ReadFile(base + "/pid")
		pid = strings.TrimSpace(string(data))
		return err == nil
	})
	must(t, cmd.Process.Kill())
	cmd.Wait()
	await(t, "the script ends", func() bool {
		_, err := os.Stat("/proc/" + pid)
		return err != nil
	})
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 10 s: %s", what)
		}
	}
}

// The script is in the namespace and root of the thread that runs it.
func TestNamespaceOfTheThread(t *testing.T) {
	path := script(t, "readlink /proc/$$/ns/mnt")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := linux.UnshareMounts(); err != nil {
			t.Error(err)
			return
		}
		ns, _ := os.Readlink("/proc/thread-self/ns/mnt")
		out, err := Run(Call{Script: path, Deadline: soon()})
		if err != nil || out != ns+"\n" {
			t.Errorf("not in %s: %q, %v", ns, out, err)
		}
		if host, _ := os.Readlink("/proc/self/ns/mnt"); host == ns {
			t.Error("the thread has no namespace of its own")
		}
	}()
	<-done
}

// A chroot may have no /dev. Nothing to read is then a pipe at its end.
func TestNoDevNull(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := linux.UnshareMounts(); err != nil {
			t.Error(err)
			return
		}
		path := script(t, "wc -c; readlink /proc/$$/fd/0")
		if err := unix.Mount("test", "/dev", "tmpfs", 0, ""); err != nil {
			t.Error(err)
			return
		}
		out, err := Run(Call{Script: path, Deadline: soon()})
		if err != nil || numbers.ReplaceAllString(out, "[]") != "0\npipe:[]\n" {
			t.Errorf("got %q, %v", out, err)
		}
	}()
	<-done
}
