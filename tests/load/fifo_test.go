package load_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// A FIFO blocks whoever opens it for reading (CVE-2024-22365 in pam_namespace). In the places where users can put one
// that is tests/pam's; here are the others, which are root's and may hold one by mistake.
func TestFIFOs(t *testing.T) {
	user := "path: {A}/tmp, method: user, instances: {A}/inst"
	for _, c := range []struct {
		name, fifo, entry, option string
		opens                     bool
	}{
		{name: "the drop-in file", fifo: "/etc/security/gons.d/x.yaml", entry: user},
		{name: "the directory of drop-ins", fifo: "/etc/security/gons.d", entry: user},
		{name: "a script", fifo: "{A}/init", entry: user + ", init: {A}/init"},
		{name: "on the way to a script", fifo: "{A}/bin", entry: user + ", init: {A}/bin/init"},
		{name: "the instance", fifo: "{A}/inst/alice", entry: user},
		{name: "on the way to instances", fifo: "{A}/way", entry: "path: {A}/tmp, method: tmpdir, instances: {A}/way/inst"},
		{name: "a directory to be made", fifo: "{A}/new", entry: "path: {A}/new, method: user, instances: {A}/inst, create: {}"},
		{name: "on the way to one", fifo: "{A}/new", entry: "path: {A}/new/x, method: user, instances: {A}/inst, create: {}"},
		{name: "namespace.conf", fifo: "{A}/namespace.conf", option: "config={A}/namespace.conf"},
		{name: "a record of hers", fifo: "/run/gons/sessions/2001-0123456789abcdef0123456789abcdef", entry: user, opens: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t)
			makeDir(t, dir+"/tmp", 0o1777, 0)
			makeDir(t, dir+"/inst", 0, 0)
			makeDir(t, "/run/gons", 0o700, 0)
			makeDir(t, "/run/gons/sessions", 0o700, 0)
			configure(t, dir, []string{c.entry}, "timeout=30", c.option)
			if c.entry == "" {
				os.Remove(yamlFile)
			}
			putFIFO(t, strings.ReplaceAll(c.fifo, "{A}", dir))
			log, count := sandbox.NewLog(t), newCensus(t, dir)
			r := newPamhost(t, "alice").run()
			if c.opens {
				r.opened(t)
			} else {
				r.refused(t)
				count.check(1)
			}
			inTime(t, log)
		})
	}
}

// What isn't configured is found in a place that the distribution has: /etc/skel for a new home, the init script.
func TestFIFOsOfTheDistribution(t *testing.T) {
	for _, c := range []struct {
		name, fifo string
		opens      bool
	}{
		{"in the skeleton", "/etc/skel/fifo", true}, // copied as one, as cp -r does
		{"the skeleton", "/etc/skel", false},
		{"namespace.init", "/etc/security/namespace.init", false},
		{"login.defs", "/etc/login.defs", false},
		{"the directory of drop-ins", "/etc/security/namespace.d", false},
		{"a drop-in file", "/etc/security/namespace.d/x.conf", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t)
			sandbox.Write(t, dir+"/namespace.conf", "$HOME "+dir+"/homes/ user\n", 0o644)
			sandbox.Stack(t, service, "required", "timeout=30")
			replace(t, "/etc/security/namespace.conf", dir+"/namespace.conf")
			makeDir(t, dir+"/homes", 0, 0)
			putFIFO(t, c.fifo)
			log := sandbox.NewLog(t)
			if r := newPamhost(t, "alice").run(); c.opens {
				r.opened(t)
			} else {
				r.refused(t)
			}
			inTime(t, log)
		})
	}
}

// inTime fails the test where a session came to its end by the time limit.
func inTime(t testing.TB, log *sandbox.Log) {
	t.Helper()
	for _, line := range log.Lines() {
		if strings.Contains(line, "in time") || strings.Contains(line, "too long") {
			t.Errorf("it hung: %s", line)
		}
	}
}

// putFIFO puts a FIFO in a place until the test ends; what is there is out of the way as long.
func putFIFO(t testing.TB, path string) {
	t.Helper()
	aside(t, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// replace puts a file in the place of another until the test ends.
func replace(t testing.TB, path, by string) {
	t.Helper()
	data, err := os.ReadFile(by)
	if err != nil {
		t.Fatal(err)
	}
	aside(t, path)
	sandbox.Write(t, path, string(data), 0o644)
}

// aside moves what is at path out of the way until the test ends, when whatever is there by then is removed. A copy
// stands in for what the lower layer of the sandbox has, of which directories can't be renamed.
func aside(t testing.TB, path string) {
	t.Helper()
	had := exists(path)
	if had {
		must(t, "cp", "-a", path, path+".aside")
		must(t, "rm", "-rf", path)
	}
	t.Cleanup(func() {
		must(t, "rm", "-rf", path)
		if had {
			must(t, "mv", path+".aside", path)
		}
	})
}
