package polyinst

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

	"gons/internal/linux"
	"gons/internal/safepath"
)

// The main thread stays with the main goroutine, so that no test's thread, which ends in another namespace, is the one
// that /proc/self shows.
func init() { runtime.LockOSThread() }

// alice is the user id of the session's user, who is also the attacker; bob is somebody else.
const (
	alice = 2001
	bob   = 2002
)

// TestMain runs the tests, as root, in a mount namespace of their own, which plays the host's, with a tmpfs at /mnt.
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
	unix.Umask(0o077) // as the worker's
	os.Exit(m.Run())
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need root and a mount namespace:", err)
		os.Exit(1)
	}
}

// newHost mounts a tmpfs that plays a host's root and makes files in it.
func newHost(t testing.TB, lines ...string) string {
	t.Helper()
	host, err := os.MkdirTemp("/mnt", "host")
	must(t, err)
	must(t, unix.Mount("test", host, "tmpfs", 0, "mode=0755"))
	t.Cleanup(func() { unix.Unmount(host, unix.MNT_DETACH) })
	tree(t, host, lines...)
	return host
}

// tree makes files below base, one a line, with what is left out being root's and 0755: "dir a 2001:2001 0700",
// "file a/f 0:0 0644", "link a/l /target 2001:2001", "fifo p", "tmpfs a nosuid,noexec".
func tree(t testing.TB, base string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		f := strings.Fields(line)
		path, kind, more := filepath.Join(base, f[1]), f[0], f[2:]
		extra := ""
		if kind == "link" || kind == "tmpfs" {
			extra, more = more[0], more[1:]
		}
		must(t, makeFile(kind, path, extra))
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
		return os.WriteFile(path, nil, 0o644)
	case "link":
		return os.Symlink(extra, path)
	case "fifo":
		return unix.Mkfifo(path, 0o644)
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

// snapshot describes all below a host but mounts: "/path mode uid:gid".
func snapshot(t testing.TB, host string) []string {
	t.Helper()
	var out []string
	must(t, filepath.Walk(host, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		out = append(out, fmt.Sprintf("%s %04o %d:%d", "/"+strings.TrimPrefix(path[len(host):], "/"), st.Mode&0o7777, st.Uid, st.Gid))
		return nil
	}))
	return out
}

// mounts are the mounts at and below a host, as a process sees them: "/point ROOT TYPE OPTIONS [shared|slave]...".
func mounts(t testing.TB, process, host string) []string {
	t.Helper()
	data, err := os.ReadFile("/proc/" + process + "/mountinfo")
	must(t, err)
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		f := strings.Fields(line)
		if f[4] != host && !strings.HasPrefix(f[4], host+"/") {
			continue
		}
		groups, after, _ := strings.Cut(strings.Join(f[6:], " "), "- ")
		point := "/" + strings.TrimPrefix(f[4][len(host):], "/")
		kind, _, _ := strings.Cut(after, " ")
		out = append(out, strings.TrimSpace(strings.Join([]string{point, f[3], kind, f[5], groups}, " ")))
	}
	return out
}

// inNamespace runs f on a thread in a mount namespace of its own, which ends with it.
func inNamespace(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := linux.UnshareMounts(); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// rootAt is a directory, in the calling thread's namespace, as the root of absolute paths.
func rootAt(base string) (*safepath.Root, error) {
	fd, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return safepath.NewRoot(linux.NewHandle(fd, base)), err
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
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
	for _, call := range [][4]uintptr{{unix.SYS_SETGROUPS}, {unix.SYS_SETRESGID, alice, alice, alice}, {unix.SYS_SETRESUID, alice, alice, alice}} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	return nil
}

// exchange swaps two names at once.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
