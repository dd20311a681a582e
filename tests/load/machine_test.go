package load_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

const (
	service  = "gons-load"
	yamlFile = "/etc/security/gons.yaml"
	// patience is how long anything may take that isn't a hang.
	patience = sandbox.Patience
)

// area is a directory of the test's own that only root can write to; {A} in what follows. It goes with the test.
func area(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/srv", "gons-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		for _, id := range names(t, "/run/gons/sessions") { // a test that failed must not fail the next one
			os.Remove("/run/gons/sessions/" + id)
		}
	})
	return dir
}

// makeDir makes a directory with exactly that owner and mode.
func makeDir(t testing.TB, path string, mode uint32, uid int) {
	t.Helper()
	err := os.MkdirAll(path, 0o755)
	if err == nil {
		err = os.Chown(path, uid, uid)
	}
	if err == nil {
		err = unix.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// configure writes gons.yaml with entries of "directories" in YAML's flow style, without their braces, and the service.
func configure(t testing.TB, dir string, entries []string, options ...string) {
	t.Helper()
	yaml := "version: 1\ndirectories:\n"
	for _, e := range entries {
		yaml += "  - {" + e + "}\n"
	}
	sandbox.Config(t, strings.ReplaceAll(yaml, "{A}", dir))
	sandbox.Stack(t, service, "required", strings.ReplaceAll(strings.Join(options, " "), "{A}", dir))
}

// oneOfEach covers a directory by each method, which are {A}/user, {A}/ram and {A}/fresh.
func oneOfEach(t testing.TB, options ...string) (dir string) {
	t.Helper()
	dir = area(t)
	for _, name := range []string{"user", "ram", "fresh"} {
		makeDir(t, filepath.Join(dir, name), 0o1777, 0)
	}
	makeDir(t, dir+"/inst", 0, 0)
	makeDir(t, dir+"/inst-fresh", 0, 0)
	configure(t, dir, []string{"path: {A}/user, method: user, instances: {A}/inst", "path: {A}/ram, method: tmpfs",
		"path: {A}/fresh, method: tmpdir, instances: {A}/inst-fresh"}, options...)
	return dir
}

// script writes a program of root's.
func script(t testing.TB, path, text string) {
	t.Helper()
	sandbox.Write(t, path, "#!/bin/sh\n"+text+"\n", 0o755)
}

// What the suites share, by shorter names.
var (
	names, exists, ended, eventually = sandbox.Names, sandbox.Exists, sandbox.Ended, sandbox.Eventually
	childrenOf, childOf              = sandbox.ChildrenOf, sandbox.ChildOf
)

// must runs a command as root and returns what it printed.
func must(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
