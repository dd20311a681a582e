package linux

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFailingCallSaysWhatItWasFor(t *testing.T) {
	p := &Program{}
	p.About("show %s elsewhere", "/no/such")
	p.Mkdir("/no/such/directory", 0o700)
	err := Perform(p)
	if want := "cannot show /no/such elsewhere: mkdirat: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if !Is(err, ENOENT) {
		t.Error("the errno is lost")
	}
	if want := "mkdirat: show /no/such elsewhere\n"; p.String() != want {
		t.Errorf("%q, want %q", p, want)
	}
}

// What would use the result of a call that was forgiven is left out; what follows isn't.
func TestForgiveness(t *testing.T) {
	dir := t.TempDir()
	p := &Program{}
	missing := p.OpenTree(dir+"/no/such", false)
	p.Forgive(ENOENT)
	p.MoveMount(missing, dir)
	p.Close(missing)
	p.Mkdir(dir+"/made", 0o700)
	if err := Perform(p); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + "/made"); err != nil {
		t.Error(err)
	}
	p = &Program{}
	p.OpenTree(dir+"/no/such", false)
	p.Forgive(ENOTDIR)
	if err := Perform(p); !Is(err, ENOENT) {
		t.Errorf("%v, want ENOENT", err)
	}
}

func TestTheKernelsOwnMessageIsInTheError(t *testing.T) {
	p := &Program{}
	p.NewFileSystem("tmpfs", []string{"size=much"}, 0)
	var call *CallError
	if err := Perform(p); !errors.As(err, &call) || call.Call == "fsconfig" && !strings.Contains(call.Text, "Bad value for 'size'") {
		t.Errorf("%v", err)
	}
}

func command(args ...string) Command {
	return Command{Paths: []string{"/no/such/" + args[0], "/bin/" + args[0]}, Argv: args, Env: []string{}}
}

func TestSpawn(t *testing.T) {
	s := &Spawn{Stage: &Program{}, Setup: &Program{}, InitSetup: &Program{}, Command: command("sh", "-c", "exit 7")}
	started, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := started.Command.Wait(); err != nil || exit.Status != 7 {
		t.Errorf("%+v %v, want 7", exit, err)
	}
}

// asProcess1 runs the test once more, as process 1 of a pid namespace, and reports whether this is that run: what ends
// processes by number must not get at the machine's, should it be wrong.
func asProcess1(t *testing.T) bool {
	t.Helper()
	if os.Getpid() == 1 {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// Whatever fails, and wherever, no process is left.
func TestASpawnThatFailsLeavesNothing(t *testing.T) {
	if !asProcess1(t) {
		return
	}
	bad := func() *Program {
		p := &Program{}
		p.About("go where nothing is")
		p.Chdir("/no/such")
		return p
	}
	alone := func() *Program {
		p := &Program{}
		p.Unshare(NewPID | NewMount)
		return p
	}
	for name, s := range map[string]*Spawn{
		"stage":                {Stage: bad(), Setup: &Program{}, Command: command("true")},
		"setup":                {Stage: &Program{}, Setup: bad(), Command: command("true")},
		"setup beside an init": {Stage: alone(), Setup: bad(), Init: true, InitSetup: &Program{}, Command: command("true")},
		"init":                 {Stage: alone(), Setup: &Program{}, Init: true, InitSetup: bad(), Command: command("sleep", "1000")},
		"command":              {Stage: &Program{}, Setup: &Program{}, Command: command("no-such-program")},
		"command of an init":   {Stage: alone(), Setup: &Program{}, Init: true, InitSetup: &Program{}, Command: command("no-such-program")},
		"ready": {Stage: &Program{}, Setup: &Program{}, Command: command("sleep", "1000"),
			Ready: func(int) error { return unix.EDOM }},
	} {
		_, err := s.Start()
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		var status unix.WaitStatus
		if pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("%s: a child is left: %d %v", name, pid, err)
		}
	}
}
