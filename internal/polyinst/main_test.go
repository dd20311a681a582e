package polyinst

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/tests/testkit"
)

// alice is the user id of the session's user, who is also the attacker; bob is somebody else.
const (
	alice = 2001
	bob   = 2002
)

// TestMain runs the tests, as root, in a mount namespace of their own, which plays the host's, with a tmpfs at /mnt, and
// with the worker's umask.
func TestMain(m *testing.M) { testkit.Main(m, 0o077, "/mnt") }

// The test kit's words, which every test here uses.
var (
	must  = testkit.Must
	tree  = testkit.Tree
	lines = testkit.Lines
)

func attack(t testing.TB, step func()) (stop func()) { return testkit.Attack(t, alice, step) }

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

// exchange swaps two names at once.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
