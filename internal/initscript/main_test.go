package initscript

import (
	"fmt"
	"os"
	"testing"
	"time"

	"gons/tests/testkit"
)

// runVar names a script that this program is to run instead of the tests.
const runVar = "GONS_TEST_RUN"

// TestMain runs the tests, as root, in a mount namespace of their own with an empty tmpfs of root's at /mnt, and with
// the worker's umask.
func TestMain(m *testing.M) {
	if script := os.Getenv(runVar); script != "" {
		_, err := Run(Call{Script: script, Deadline: time.Now().Add(time.Minute)})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testkit.Main(m, 0o077, "/mnt")
}

// The test kit's words, which every test here uses.
var (
	must  = testkit.Must
	tree  = testkit.Tree
	lines = testkit.Lines
)

// newBase makes a directory of root's for one test.
func newBase(t testing.TB, lines ...string) string {
	t.Helper()
	base, err := os.MkdirTemp("/mnt", "case")
	must(t, err)
	must(t, os.Chmod(base, 0o755))
	tree(t, base, lines...)
	return base
}
