package sharedtree

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/polyinst"
	"gons/internal/safepath"
)

// The former owner of a directory that becomes an instance parent spins at changing its mode back and making an entry.
func TestTakeOverAgainstTheOwner(t *testing.T) {
	const attackerVar = "GONS_TEST_TAKEOVER"
	if dir := os.Getenv(attackerVar); dir != "" {
		attackTakeOver(dir)
	}
	base := t.TempDir()
	for dir := base; dir != "/tmp" && dir != "/"; dir = dir[:len(dir)-len("/")-len(lastName(dir))] {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	program := base + "/attacker" // the test binary's own directory may be closed to others
	copyProgram(t, program)
	for range 40 {
		dir := base + "/inst"
		check(t, os.RemoveAll(dir))
		check(t, os.Mkdir(dir, 0o700))
		check(t, os.Chown(dir, 2002, 2002))
		attacker := exec.Command(program, "-test.run=^TestTakeOverAgainstTheOwner$")
		attacker.Env = append(os.Environ(), attackerVar+"="+dir)
		attacker.Dir = "/"
		attacker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 2002, Gid: 2002}, Pdeathsig: syscall.SIGKILL}
		check(t, attacker.Start())
		time.Sleep(10 * time.Millisecond)
		takeOnce(t, root, dir)
		attacker.Process.Kill()
		attacker.Wait()
	}
}

func lastName(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	check(t, os.WriteFile(to, data, 0o755))
}

// takeOnce applies the change once: where it succeeds, the directory is root's, closed, and empty.
func takeOnce(t *testing.T, root *safepath.Root, dir string) {
	t.Helper()
	before, err := root.Open(dir)
	check(t, err)
	before.Close()
	if err := Apply(root, FixParent{dir, 0, before.Stat}); err != nil {
		return // the attacker had put something in, which an administrator has to look at
	}
	after, err := root.Open(dir)
	check(t, err)
	after.Close()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("taken over with %v in it, %v", entries, err)
	}
	if err := polyinst.CheckInstanceParent(after.Stat, 0); err != nil {
		t.Errorf("taken over, but %v", err)
	}
}

// attackTakeOver never returns.
func attackTakeOver(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		os.Exit(1)
	}
	for {
		var st unix.Stat_t
		unix.Fstat(fd, &st)
		for st.Mode&0o777 == 0 && unix.Fchmod(fd, 0o700) == nil {
			unix.Mkdirat(fd, "alice", 0o777)
			unix.Fchmod(fd, 0)
		}
	}
}
