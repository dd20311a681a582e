package fault_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// scene is a configuration; {A} is where its directories are. With beside, another session of alice's is open all the time.
type scene struct {
	name, yaml string
	beside     bool
}

var (
	directories = scene{name: "directories", yaml: "directories:\n" +
		"  - {path: {A}/tmp, method: user, instances: {A}/i}\n" +
		"  - {path: {A}/var, method: tmpdir, instances: {A}/j, options: [nosuid]}\n" +
		"  - {path: {A}/made, method: tmpfs, create: {mode: \"1777\", owner: root, group: root}}\n"}
	first  = scene{name: "the first in a namespace", yaml: "namespace: {scope: user}\n" + directories.yaml}
	second = scene{name: "the second in a namespace", yaml: first.yaml, beside: true}
	filled = scene{name: "a home and a script", yaml: "directories:\n" +
		"  - {path: $HOME, method: user, instances: {A}/i, init: builtin}\n" +
		"  - {path: {A}/tmp, method: user, instances: {A}/j, init: {A}/init}\n"}
)

// site is a scene on disk, and what it is like when nothing fails.
type site struct {
	dir           string
	before, after string
	seen          []string // by alice in a session
	points        []point
	beside        int      // the process of the other session; 0 for none
	kept          []string // its records
}

// newSite makes a scene and has a healthy session, as the measure of all others. Where instances lie below {A}/fs, that is
// a file system of its own.
func newSite(t testing.TB, s scene) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/srv", "fault-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"/tmp", "/var", "/fs"} {
		must(t, os.Mkdir(dir+name, 0o700))
	}
	mount(t, dir+"/fs")
	must(t, unix.Chmod(dir+"/tmp", 0o1777))
	must(t, unix.Chmod(dir+"/var", 0o1777))
	sandbox.Write(t, dir+"/init", "#!/bin/sh\n[ $3 = 0 ] || : >$1/filled\n", 0o755)
	sandbox.Write(t, "/etc/skel/dir/file", "x", 0o644)
	sandbox.Config(t, "version: 1\n"+strings.ReplaceAll(s.yaml, "{A}", dir))
	sandbox.Stack(t, service, "required", "")
	at := &site{dir: dir}
	run(t, at.look()...) // makes /run/gons
	makeKept(t)
	at.clear(t)
	if s.beside {
		at.openBeside(t)
	}
	at.before = at.state(t)
	r, points := trapped(t, func(point) verdict { return verdict{} }, at.look()...)
	at.points, at.seen, at.after = points, at.saw(r), at.state(t)
	t.Logf("%s: %d calls", s.name, len(points))
	if r.get("open") != "0" || r.get("close") != "0" || len(at.seen) < 3 || len(records(t)) > len(at.kept) {
		t.Fatalf("a healthy run: open %q, close %q, sees %q, records %q", r["open"], r["close"], at.seen, records(t))
	}
	return at
}

var keptOnce sync.Once

// makeKept makes what the first pin makes, once for all: a session is pinned whose namespace has no number, as where that
// can't be read.
func makeKept(t testing.TB) {
	t.Helper()
	const dir = "/run/gons/kept"
	keptOnce.Do(func() {
		must(t, os.MkdirAll(dir, 0o700))
		must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700"))
		must(t, unix.Mount("", dir, "", unix.MS_PRIVATE, ""))
	})
}

// openBeside opens the other session, for the time of the test.
func (s *site) openBeside(t testing.TB) {
	t.Helper()
	cmd, _ := command(t, "--hold")
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	s.beside = cmd.Process.Pid
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil || len(records(t)) > 0 {
			t.Errorf("the session beside: %v, left %q", err, records(t))
		}
	})
	sandbox.Eventually(t, "the session beside is open", func() bool {
		s.kept = records(t)
		return len(s.kept) == 2 && childless(s.beside)
	})
}

// childless reports whether no worker of a host is left.
func childless(pid int) bool {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	return err == nil && len(children) == 0
}

// mount puts an empty tmpfs on a directory of root's, for the time of the test.
func mount(t testing.TB, dir string) {
	t.Helper()
	must(t, unix.Mount("test", dir, "tmpfs", 0, "mode=0700,"+enough))
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// remount changes the parameters of such a tmpfs, as mount(8) does.
func remount(t testing.TB, dir string, flags uintptr, parameters string) {
	t.Helper()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, parameters); err != nil {
		t.Fatalf("remount %s with %q: %v", dir, parameters, err)
	}
}

// look are the flags by which a run tells what alice sees.
func (s *site) look() []string {
	return []string{"--run", "cd " + s.dir + "; exec find tmp var made " + sandbox.Alice.Home + " -printf 'see=%p %m %U:%G %s %F\\n' 2>&1"}
}

func (s *site) saw(r report) []string {
	out := slices.Clone(r["see"])
	slices.Sort(out)
	return out
}

// records are the names of session records, and of their drafts.
func records(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/run/gons/sessions")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// state is all that is on disk.
func (s *site) state(t testing.TB) string {
	t.Helper()
	return strings.Join(slices.Concat(records(t), sandbox.Tree(t, s.dir), sandbox.Tree(t, sandbox.Alice.Home)), "\n")
}

// clear makes the site what it was before the first session.
func (s *site) clear(t testing.TB) {
	t.Helper()
	if s.beside == 0 { // else all of it is in use
		for _, name := range []string{"/i", "/j", "/made", "/fs/i", "/fs/j"} {
			must(t, os.RemoveAll(s.dir+name))
		}
	}
	for _, id := range records(t) {
		if slices.Contains(s.kept, id) {
			continue
		}
		must(t, os.Remove("/run/gons/sessions/"+id))
	}
}

// clean runs gons clean, so much later that drafts are old.
func clean(t testing.TB) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	for _, id := range records(t) {
		must(t, os.Chtimes("/run/gons/sessions/"+id, old, old))
	}
	if out, err := exec.Command(sandbox.Built(t, "gons"), "clean").CombinedOutput(); err != nil {
		t.Errorf("gons clean: %v: %s", err, out)
	}
}

// repaired fails the test unless all is as it was, or the next session of alice's, and gons clean, make it so.
func (s *site) repaired(t testing.TB) {
	t.Helper()
	if s.state(t) == s.before {
		return
	}
	s.works(t, "the next session", run(t, s.look()...))
	if s.state(t) != s.after {
		clean(t)
	}
	if got := s.state(t); got != s.after {
		t.Errorf("after the next session and gons clean:\n%s\nexpected\n%s", got, s.after)
	}
}

// works fails the test unless a session was whole, and closed.
func (s *site) works(t testing.TB, what string, r report) {
	t.Helper()
	if r.get("open") != "0" || r.get("close") != "0" {
		t.Errorf("%s: open %q, close %q", what, r["open"], r["close"])
	}
	s.whole(t, what, r)
}

func (s *site) whole(t testing.TB, what string, r report) {
	t.Helper()
	if got := s.saw(r); !slices.Equal(got, s.seen) {
		t.Errorf("%s sees\n%s\nexpected\n%s", what, strings.Join(got, "\n"), strings.Join(s.seen, "\n"))
	}
}

// hostState is what a module may not change in its host, "namespace" and "cwd" but where a session is open.
var hostState = []string{"threads", "signals", "mask", "pending", "altstack", "environ", "files", "root", "umask", "children"}

// untouched fails the test unless the host is as it was before it opened a session.
func untouched(t testing.TB, r report) {
	t.Helper()
	keys := hostState
	if r.get("open") != "0" {
		keys = append(slices.Clone(keys), "namespace", "cwd")
	}
	for _, key := range keys {
		if before, after := r.get("before."+key), r.get("after."+key); before != after {
			t.Errorf("%s of the host: %q before, %q after", key, before, after)
		}
	}
}

// undisturbed runs f, which must leave no mount, process or descriptor.
func undisturbed(t testing.TB, f func()) {
	t.Helper()
	snap := sandbox.NewSnapshot(t)
	f()
	snap.Check()
}

// errors are the lines of the log that say what went wrong.
func errors(log *sandbox.Log) (out []string) {
	for _, line := range log.Lines() {
		if strings.HasPrefix(line, "<83>") || strings.HasPrefix(line, "<82>") {
			out = append(out, line)
		}
	}
	return out
}

func pause() { time.Sleep(time.Millisecond) }
