package safepath

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
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
)

// The main thread stays with the main goroutine, so that no test's thread, which may end in another namespace or as
// another user, is the one that /proc/self shows.
func init() { runtime.LockOSThread() }

// alice is the attacker's user id.
const alice = 2001

// TestMain runs the tests, as root, in a mount namespace of their own with an empty tmpfs of root's at /mnt.
func TestMain(m *testing.M) {
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
	exitOn(unix.Mount("test", "/mnt", "tmpfs", 0, "mode=0755"))
	unix.Umask(0o022)
	os.Exit(m.Run())
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need root and a mount namespace:", err)
		os.Exit(1)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newBase makes a directory for one test on the tmpfs.
func newBase(t testing.TB, lines ...string) string {
	t.Helper()
	base, err := os.MkdirTemp("/mnt", "case")
	must(t, err)
	must(t, os.Chmod(base, 0o755))
	tree(t, base, lines...)
	return base
}

// rootAt is base as the root of absolute paths.
func rootAt(t testing.TB, base string) *Root {
	t.Helper()
	fd, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	r := NewRoot(linux.NewHandle(fd, base))
	t.Cleanup(func() { r.Close() })
	return r
}

// tree makes files below base, one a line, with what is left out being root's and 0755:
// "dir a 2001:2001 0700", "file a/f 0:0 0644", "link a/l /target 2001:2001", "fifo p", "socket s", "device d".
func tree(t testing.TB, base string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		f := strings.Fields(line)
		path, kind, more := filepath.Join(base, f[1]), f[0], f[2:]
		target := ""
		if kind == "link" {
			target, more = more[0], more[1:]
		}
		must(t, makeFile(kind, path, target))
		own(t, path, append(more, []string{"0:0", "0755"}[len(more):]...), kind != "link")
	}
}

func makeFile(kind, path, target string) error {
	switch kind {
	case "dir":
		return os.Mkdir(path, 0o755)
	case "file":
		return os.WriteFile(path, []byte("content\n"), 0o644)
	case "link":
		return os.Symlink(target, path)
	case "fifo":
		return unix.Mkfifo(path, 0o644)
	case "socket":
		return unix.Mknod(path, unix.S_IFSOCK|0o644, 0)
	case "device":
		return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3)))
	}
	return fmt.Errorf("no such kind of file: %s", kind)
}

func own(t testing.TB, path string, ownerAndMode []string, hasMode bool) {
	t.Helper()
	uid, gid, _ := strings.Cut(ownerAndMode[0], ":")
	must(t, os.Lchown(path, number(t, uid, 10), number(t, gid, 10)))
	if hasMode {
		must(t, unix.Chmod(path, uint32(number(t, ownerAndMode[1], 8))))
	}
}

func number(t testing.TB, text string, base int) int {
	t.Helper()
	n, err := strconv.ParseInt(text, base, 32)
	must(t, err)
	return int(n)
}

// lines splits a table's one-line tree.
func lines(text string) []string {
	var out []string
	for _, line := range strings.Split(text, ";") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// within fails the test when f takes longer: a login never hangs.
func within(t testing.TB, limit time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("it took longer than %v", limit)
	}
}

// attack runs step as alice again and again until the returned function is called.
func attack(t testing.TB, step func()) (stop func()) {
	t.Helper()
	quit, ready, done := make(chan struct{}), make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ready <- becomeAlice()
		for {
			select {
			case <-quit:
				return
			default:
				step()
			}
		}
	}()
	must(t, <-ready)
	return func() {
		close(quit)
		<-done
	}
}

// becomeAlice changes the calling thread only, as no function of package syscall does.
func becomeAlice() error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, alice, alice, alice); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, alice, alice, alice); errno != 0 {
		return errno
	}
	return nil
}

// exchange swaps two names at once.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
