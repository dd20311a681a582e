//go:build faults

package module

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/internal/session"
	"gons/internal/wire"
	"gons/tests/fault/kernel"
	"gons/tests/testkit"
)

// leader is a process that is there while a session opens, and no longer. A script that fails has all children of its
// worker's killed that aren't older, by /proc's clock, and the worker of these tests is the test.
func leader(t testing.TB, script bool) (pid string, die func()) {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "60")
	must(t, cmd.Start())
	if script {
		time.Sleep(20 * time.Millisecond)
	}
	die = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(die)
	return fmt.Sprintf("pid=%d", cmd.Process.Pid), die
}

// faulty is a host whose worker runs on a kernel that fails.
type faulty struct {
	*host
	gate atomic.Int64 // the gate's thread, whose calls don't count
	seen []string     // the worker's calls
}

// on serves a request on a kernel that fails.
func (f *faulty) on(t testing.TB, request wire.Message, fault kernel.Fault) {
	t.Helper()
	workers := func(call string) bool { return call != "socketpair" && int64(unix.Gettid()) != f.gate.Load() }
	f.seen = kernel.Run(fault, workers, func() {
		f.serve(t, func(c *wire.Conn, _ *linux.Handle) error {
			f.gate.Store(int64(unix.Gettid()))
			return c.Send(request)
		})
	})
}

// site is a scene on disk.
type site struct {
	dir, conf string
	// private are the directories that a session covers, below dir.
	private []string
	script  bool
}

// scene is a configuration and the directories that it covers; {A} is where they are.
type scene struct {
	name, yaml string
	private    []string
	script     bool
}

var scenes = []scene{
	{"directories", "directories:\n" +
		"  - {path: {A}/tmp, method: user, instances: {A}/i, options: [nosuid]}\n" +
		"  - {path: {A}/var, method: tmpdir, instances: {A}/j}\n" +
		"  - {path: {A}/made, method: tmpfs, create: {mode: \"1777\", owner: root, group: root}, tmpfs: {size: 64k}}\n", []string{"/tmp", "/var", "/made"}, false},
	{"a home", "directories: [{path: {A}/home, method: user, instances: {A}/i, init: builtin, only: {users: [alice], groups: [team]}}]\n", []string{"/home"}, false},
	{"shared", "namespace: {propagation: shared}\ndirectories:\n" +
		"  - {path: {A}/tmp, method: user, instances: {A}/tmp/i}\n  - {path: {A}/var, method: tmpfs}\n", []string{"/tmp", "/var"}, false},
	{"kept", "directories:\n  - {path: {A}/tmp, method: user, instances: {A}/i, keep: [x, 's?'], options: [nosuid]}\n" +
		"  - {path: {A}/var, method: tmpdir, instances: {A}/j, keep: [x]}\n", []string{"/tmp", "/var"}, false},
	{"an environment", "env: {A: b}\ndirectories: [{path: /x, method: env, instances: {A}/i}]\n", []string{"/i"}, false},
	{"a script", "directories: [{path: {A}/tmp, method: user, instances: {A}/i, init: {A}/init}]\n", []string{"/tmp"}, true},
}

func newSite(t testing.TB, s scene) site {
	t.Helper()
	dir := newTree(t)
	must(t, os.Mkdir(dir+"/home", 0o750))
	must(t, os.Chown(dir+"/home", 2001, 2001))
	testkit.Tree(t, dir, "dir tmp/x 2001:2001", "dir var/x", "file var/x/f", "socket tmp/s1")
	if s.script {
		must(t, os.WriteFile(dir+"/init", []byte("#!/bin/sh\n[ $3 = 0 ] || : >$1/filled\n"), 0o755))
		must(t, os.Chmod(dir+"/init", 0o755))
	}
	must(t, os.WriteFile(dir+"/c.yaml", []byte(nothing+strings.ReplaceAll(s.yaml, "{A}", dir)), 0o644))
	must(t, os.Chmod(dir+"/c.yaml", 0o644))
	return site{dir, "arg=config=" + dir + "/c.yaml", s.private, s.script}
}

// look describes all below the directories, as the calling thread sees it.
func look(t testing.TB, base string, below ...string) string {
	t.Helper()
	var out []string
	for _, dir := range below {
		err := filepath.WalkDir(base+dir, func(path string, _ fs.DirEntry, err error) error {
			var st unix.Stat_t
			if err == nil {
				err = unix.Lstat(path, &st)
			}
			out = append(out, fmt.Sprintf("%s %o %d:%d", strings.TrimPrefix(path, base), st.Mode, st.Uid, st.Gid))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	return strings.Join(out, "\n")
}

// open opens a session at the site and returns what it looks like inside; "" when it didn't open.
func (s site) open(t testing.TB, fault kernel.Fault) (f *faulty, inside string) {
	t.Helper()
	f = &faulty{host: newGate()}
	f.answers["user root"], f.answers["group root"] = []string{"0", "0", "root", "/root"}, []string{"0", "0"}
	f.inside = func() {
		if f.done[0].Arg == 0 && (f.id != "" || f.env != nil) {
			inside = fmt.Sprintf("%d mounts\n%s", mountsBelow(s.dir), look(t, s.dir, s.private...))
		}
	}
	pid, die := leader(t, s.script)
	f.on(t, alice("open", s.conf, pid, "timeout_ms=10000", "home="+s.dir+"/home"), fault)
	die()
	f.free()
	return f, inside
}

func (f *faulty) free() {
	for _, m := range f.done {
		for _, h := range m.Files {
			h.Close()
		}
	}
}

// close has a worker end the session.
func (s site) close(t testing.TB, id string, fault kernel.Fault) *faulty {
	t.Helper()
	f := &faulty{host: newGate()}
	if id == "" { // no namespace, and so nothing to close
		f.done = []wire.Message{{}}
		return f
	}
	f.on(t, alice("close", "sessions="+id), fault)
	return f
}

// state is what is left of sessions, once gons clean has come by, late enough for drafts of records to be old.
func (s site) state(t testing.TB) string {
	t.Helper()
	for _, id := range records(t) {
		if strings.HasSuffix(id, ".new") {
			old := time.Now().Add(-time.Hour)
			must(t, os.Chtimes("/run/gons/sessions/"+id, old, old))
			clean(t)
		}
	}
	return strings.Join(records(t), "\n") + "\n" + look(t, s.dir, "")
}

// clean is gons clean.
func clean(t testing.TB) {
	t.Helper()
	root, err := safepath.OpenRoot()
	must(t, err)
	defer root.Close()
	store, err := session.Open(root)
	must(t, err)
	defer store.Close()
	_, err = store.Sweep(session.Proc{}, false, func() bool { return true })
	must(t, err)
}

// expected is what everything must be like.
type expected struct{ before, inside, after string }

// visit opens and closes a session, which must be as it is expected, or say what that is.
func (s site) visit(t testing.TB) (e expected, opening, closing []string) {
	t.Helper()
	e.before = s.state(t)
	f, inside := s.open(t, kernel.Healthy)
	if e.inside = inside; f.code() != Success {
		t.Fatalf("a healthy open ends with %d: %q", f.code(), f.log)
	}
	end := s.close(t, f.id, kernel.Healthy)
	end.check(t, "a healthy close", Success)
	e.after = s.state(t)
	return e, f.seen, end.seen
}

// descriptors are the files that this process has open.
func descriptors(t testing.TB) (out []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			out = append(out, e.Name()+" "+to)
		}
	}
	return out
}

// noneLost fails the test unless the same files are open as before. The test's own gate closes its last one when it has
// said that it is done.
func noneLost(t testing.TB, before []string) {
	t.Helper()
	after := descriptors(t)
	for tries := 0; len(after) > len(before) && tries < 1000; tries++ {
		time.Sleep(time.Millisecond)
		after = descriptors(t)
	}
	if len(after) > len(before) {
		t.Errorf("descriptors before: %q, after: %q", before, after)
	}
}

// told fails the test unless the log has one error, which names the call and its errno and says of what: a path, or the
// namespace, the host, the kernel.
func (f *faulty) told(t testing.TB, n int, errno unix.Errno) {
	t.Helper()
	word, _, _ := strings.Cut(f.seen[n-1], " ")                                    // that of the healthy run, but for one that waits
	if slices.Contains(speaks, word) || word == "execve" && errno == unix.ENOENT { // which has a sentence of its own
		return
	}
	var said []string
	for _, line := range f.log {
		if strings.HasPrefix(line, "3 ") {
			said = append(said, line)
		}
	}
	if len(said) != 1 {
		t.Errorf("it logs %d errors: %q", len(said), f.log)
		return
	}
	if !strings.Contains(said[0], word) || !strings.Contains(said[0], errno.Error()) ||
		!regexp.MustCompile("/|namespace|host|kernel|user").MatchString(said[0]) {
		t.Errorf("the error doesn't say what, by which call, or why: %s", said[0])
	}
}

// speaks are the calls by which a worker speaks to its gate: without them it can't say what is wrong either.
var speaks = []string{"sendmsg", "recvmsg"}

// repaired fails the test unless all is as it was, or the next session makes it so.
func (s site) repaired(t testing.TB, want expected) {
	t.Helper()
	if s.state(t) == want.before {
		return
	}
	got, _, _ := s.visit(t)
	if got.inside != want.inside {
		t.Errorf("the next session has\n%s\nexpected\n%s", got.inside, want.inside)
	}
	if got.after != want.after {
		t.Errorf("after the next session\n%s\nexpected\n%s", got.after, want.after)
	}
}

// clear takes away what sessions left, for the next one to find the site as it was.
func (s site) clear(t testing.TB) {
	t.Helper()
	for _, name := range []string{"/i", "/j", "/tmp/i", "/made"} {
		must(t, os.RemoveAll(s.dir+name))
	}
	for _, id := range records(t) {
		must(t, os.Remove("/run/gons/sessions/"+id))
	}
}

// skeleton gives new homes something to begin with.
func skeleton(t testing.TB) {
	t.Helper()
	must(t, unix.Mount("test", "/etc/skel", "tmpfs", 0, "mode=0755"))
	t.Cleanup(func() { unix.Unmount("/etc/skel", unix.MNT_DETACH) })
	must(t, os.Mkdir("/etc/skel/dir", 0o755))
	must(t, os.WriteFile("/etc/skel/dir/file", []byte("x"), 0o644))
	must(t, os.Symlink("dir", "/etc/skel/link"))
}

// Each system call of an open fails in turn, with each error it may have: the session is whole, or there is none and the
// log says of what; and nothing is left that the next session doesn't put right.
func TestFaultsWhileOpening(t *testing.T) {
	skeleton(t)
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			s := newSite(t, scene)
			s.visit(t) // makes /run/gons, which stays
			s.clear(t)
			want, calls, _ := s.visit(t)
			t.Logf("%d calls", len(calls))
			for n, call := range calls {
				list, known := kernel.Try(call, n)
				if !known {
					t.Errorf("no errors are known of %s", call)
				}
				for _, errno := range list {
					t.Run(fmt.Sprintf("%d %s %s", n+1, call, unix.ErrnoName(errno)), func(t *testing.T) {
						s.clear(t)
						s.openFails(t, want, n+1, errno)
					})
				}
			}
		})
	}
}

func (s site) openFails(t *testing.T, want expected, n int, errno unix.Errno) {
	t.Helper()
	before := descriptors(t)
	f, inside := s.open(t, kernel.Once(n, errno))
	noneLost(t, before)
	if f.code() != Success {
		f.told(t, n, errno)
		if f.id != "" { // as the gate does
			s.close(t, f.id, kernel.Healthy).check(t, "cleaning up", Success)
		}
		s.repaired(t, want)
		return
	}
	if leftOut := slices.ContainsFunc(f.log, func(line string) bool { return strings.Contains(line, "cannot keep") }); leftOut {
		s.close(t, f.id, kernel.Healthy).check(t, "close", Success)
		s.repaired(t, want)
		return
	}
	if inside != want.inside {
		t.Errorf("the session has\n%s\nexpected\n%s\n%q", inside, want.inside, f.log)
	}
	s.close(t, f.id, kernel.Healthy).check(t, "close", Success)
	if after := s.state(t); after != want.after {
		t.Errorf("after close\n%s\nexpected\n%s", after, want.after)
	}
}

// The same of closing: the session has ended, or its record is there and the next session ends it.
func TestFaultsWhileClosing(t *testing.T) {
	skeleton(t)
	for _, scene := range scenes[:1] {
		s := newSite(t, scene)
		s.visit(t)
		s.clear(t)
		want, _, calls := s.visit(t)
		t.Logf("%d calls", len(calls))
		for n, call := range calls {
			list, _ := kernel.Try(call, n)
			for _, errno := range list {
				t.Run(fmt.Sprintf("%d %s %s", n+1, call, unix.ErrnoName(errno)), func(t *testing.T) {
					s.clear(t)
					f, _ := s.open(t, kernel.Healthy)
					end := s.close(t, f.id, kernel.Once(n+1, errno))
					left := s.state(t) != want.after
					if end.code() != Success {
						end.told(t, n+1, errno)
					}
					if left && (end.code() == Success || len(records(t)) == 0) {
						t.Errorf("closing tells %d, and leaves\n%s\nexpected\n%s", end.code(), s.state(t), want.after)
					}
					if left {
						s.repaired(t, want)
					}
				})
			}
		}
	}
}

// A worker is killed before each call of an open, and with it its host or not: the gate's clean-up, or the next session,
// removes what it left.
func TestKillsWhileOpening(t *testing.T) {
	skeleton(t)
	for _, scene := range scenes {
		if scene.script { // a killed worker's script is killed by the kernel, which this one isn't
			continue
		}
		for _, hostLives := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the host lives: %t", scene.name, hostLives), func(t *testing.T) {
				s := newSite(t, scene)
				s.visit(t)
				s.clear(t)
				want, calls, _ := s.visit(t)
				for n := range calls {
					s.clear(t)
					f, _ := s.open(t, kernel.From(n+1))
					if hostLives && f.id != "" {
						s.close(t, f.id, kernel.Healthy).check(t, "cleaning up", Success)
					}
					s.agreed(t, n, calls[n], want)
				}
			})
		}
	}
}

// agreed has the next session put right what a killed one left.
func (s site) agreed(t testing.TB, n int, call string, want expected) {
	t.Helper()
	got, _, _ := s.visit(t)
	if got.inside != want.inside || got.after != want.after {
		t.Errorf("killed before call %d, %s: the next session has\n%s\nexpected\n%s\nand leaves\n%s\nexpected\n%s",
			n+1, call, got.inside, want.inside, got.after, want.after)
	}
}

// A worker that is killed while it closes leaves the rest to the next session.
func TestKillsWhileClosing(t *testing.T) {
	s := newSite(t, scenes[0])
	s.visit(t)
	s.clear(t)
	want, _, calls := s.visit(t)
	for n := range calls {
		s.clear(t)
		f, _ := s.open(t, kernel.Healthy)
		s.close(t, f.id, kernel.From(n+1))
		s.agreed(t, n, calls[n], want)
	}
}
