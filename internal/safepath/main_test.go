package safepath

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/tests/testkit"
)

// alice is the attacker's user id.
const alice = 2001

// TestMain runs the tests, as root, in a mount namespace of their own with an empty tmpfs of root's at /mnt.
func TestMain(m *testing.M) { testkit.Main(m, 0o022, "/mnt") }

// The test kit's words, which every test here uses.
var (
	must  = testkit.Must
	tree  = testkit.Tree
	lines = testkit.Lines
)

func attack(t testing.TB, step func()) (stop func()) { return testkit.Attack(t, alice, step) }

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

// exchange swaps two names at once.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
