// Package testkit is what the tests of the packages below internal/ share: a mount namespace to be root in, and files
// made from lines. Tests that log in for real need more, and use package sandbox.
package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The main thread stays with the main goroutine, so that no test's thread, which may end in another namespace or as
// another user, is the one that /proc/self shows.
func init() { runtime.LockOSThread() }

// Main runs the tests of m, as root, in a mount namespace of their own with an empty tmpfs of root's on each of dirs,
// and with that umask. Not being root is a failure and no skip: there is nothing left to test then.
func Main(m *testing.M, umask int, dirs ...string) {
	const inside = "GONS_TEST_INSIDE"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		exitOn(cmd.Start())
		cmd.Wait()
		os.Exit(cmd.ProcessState.ExitCode())
	}
	exitOn(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for _, dir := range dirs {
		exitOn(unix.Mount("test", dir, "tmpfs", 0, "mode=0755"))
	}
	unix.Umask(umask)
	os.Exit(m.Run())
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need root and a mount namespace:", err)
		os.Exit(1)
	}
}

// Must fails the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Number reads a number.
func Number(t testing.TB, text string, base int) int {
	t.Helper()
	n, err := strconv.ParseInt(text, base, 32)
	Must(t, err)
	return int(n)
}

// Lines splits a table's one-line tree at its semicolons.
func Lines(text string) []string {
	var out []string
	for _, line := range strings.Split(text, ";") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// Tree makes files below base, one a line, with what is left out being root's and 0755: "dir a 2001:2001 0700",
// "file a/f 0:0 0644", "link a/l /target 2001:2001", "fifo p", "socket s", "device d", "tmpfs a nosuid,noexec".
func Tree(t testing.TB, base string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		f := strings.Fields(line)
		path, kind, more := filepath.Join(base, f[1]), f[0], f[2:]
		extra := ""
		if kind == "link" || kind == "tmpfs" {
			extra, more = more[0], more[1:]
		}
		Must(t, makeFile(kind, path, extra))
		if kind == "tmpfs" {
			t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
		}
		own(t, path, append(more, []string{"0:0", "0755"}[len(more):]...), kind != "link")
	}
}

func makeFile(kind, path, extra string) error {
	switch kind {
	case "dir":
		return os.Mkdir(path, 0o755)
	case "file":
		return os.WriteFile(path, []byte("content\n"), 0o644)
	case "link":
		return os.Symlink(extra, path)
	case "fifo":
		return unix.Mkfifo(path, 0o644)
	case "socket":
		return unix.Mknod(path, unix.S_IFSOCK|0o644, 0)
	case "device":
		return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3)))
	case "tmpfs":
		return unix.Mount("test", path, "tmpfs", mountFlags(extra), "")
	}
	return fmt.Errorf("no such kind of file: %s", kind)
}

func mountFlags(text string) (flags uintptr) {
	for word, bit := range map[string]uintptr{"nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC} {
		if strings.Contains(text, word) {
			flags |= bit
		}
	}
	return flags
}

func own(t testing.TB, path string, ownerAndMode []string, hasMode bool) {
	t.Helper()
	uid, gid, _ := strings.Cut(ownerAndMode[0], ":")
	Must(t, os.Lchown(path, Number(t, uid, 10), Number(t, gid, 10)))
	if hasMode {
		Must(t, unix.Chmod(path, uint32(Number(t, ownerAndMode[1], 8))))
	}
}

// BecomeUser makes the calling thread, and no other, that user, which no function of package syscall does.
func BecomeUser(uid int) error {
	id := uintptr(uid)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, id, id, id); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, id, id, id); errno != 0 {
		return errno
	}
	return nil
}

// Attack runs step again and again, as that user, until the returned function is called.
func Attack(t testing.TB, uid int, step func()) (stop func()) {
	t.Helper()
	quit, ready, done := make(chan struct{}), make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ready <- BecomeUser(uid)
		for {
			select {
			case <-quit:
				return
			default:
				step()
			}
		}
	}()
	Must(t, <-ready)
	return func() {
		close(quit)
		<-done
	}
}
