package retention

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/config"
	"gons/internal/safepath"
	"gons/internal/session"
	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// In a pid namespace of their own: a process that root may not look at could have anything mounted.
func TestMain(m *testing.M) { sandbox.Main(m) }

var must = testkit.Must

const day = 24 * time.Hour

// users are those of the tests' machine.
func users(name string) (uint32, bool, error) {
	uid, known := map[string]uint32{"alice": 2001, "bob": 2002, "dave": 2004}[name]
	return uid, known, nil
}

// newMachine is a machine whose instances are in /mnt/inst, and on which dave is logged in.
func newMachine(t *testing.T) (*Machine, Parent) {
	t.Helper()
	must(t, os.RemoveAll("/mnt/inst"))
	must(t, os.Mkdir("/mnt/inst", 0))
	root, err := safepath.OpenRoot()
	must(t, err)
	t.Cleanup(func() { root.Close() })
	store, err := session.Open(root)
	must(t, err)
	t.Cleanup(store.Close)
	id, err := session.NewID(2004)
	must(t, err)
	start, _ := session.Proc{}.Start(os.Getpid())
	must(t, store.Put(session.Record{ID: id, User: "dave", UID: 2004, Leader: session.Process{PID: os.Getpid(), Start: start},
		PIDNamespace: session.Proc{}.PIDNamespace()}))
	t.Cleanup(func() { store.Remove(id) })
	cfg := &config.Config{Directories: []config.Directory{dir(config.MethodUser, "/mnt/inst/", 30)}}
	return &Machine{Root: root, Store: store, Users: users}, Parents(cfg)[0]
}

// clean cleans the parent some days from now, and says what became of what.
func clean(t *testing.T, m *Machine, p Parent, days time.Duration) map[string]string {
	t.Helper()
	found, err := m.Find(p)
	must(t, err)
	out := map[string]string{}
	for _, f := range found {
		r := Result{Found: f}
		if f.Kept == "" {
			if r, err = m.Clean(f, 30*day, time.Now().Add(days*day), false); err != nil {
				t.Error(err)
			}
		}
		out[f.Name] = strings.TrimSpace(fmt.Sprintf("%t %s", r.Removed, r.Kept))
	}
	return out
}

func expect(t *testing.T, got map[string]string, want ...string) {
	t.Helper()
	for _, w := range want {
		name, outcome, _ := strings.Cut(w, ": ")
		if got[name] != outcome {
			t.Errorf("%s: %q, want %q", name, got[name], outcome)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries: %q", len(got), got)
	}
}

func TestClean(t *testing.T) {
	m, p := newMachine(t)
	testkit.Tree(t, "/mnt/inst", "dir alice", "dir alice/sub", "file alice/sub/file", "dir bob", "dir carol", "dir dave", "dir .gons-old-1", "dir .gons-new-x")
	must(t, os.Symlink("/etc", "/mnt/inst/bob/link"))
	must(t, os.Symlink("/etc", "/mnt/inst/eve"))
	expect(t, clean(t, m, p, 29), "alice: false", "bob: false", "dave: false dave has a session", ".gons-old-1: false",
		`carol: false this machine knows no user "carol"`, `eve: false this machine knows no user "eve"`)
	must(t, os.Chtimes("/mnt/inst/alice/sub/file", time.Unix(1, 0), time.Unix(1, 0)))
	must(t, os.Chtimes("/mnt/inst/alice/sub", time.Now().Add(5*day), time.Now().Add(5*day))) // a user can look younger, never older
	m.RemovedUsers = true
	expect(t, clean(t, m, p, 31), "alice: false", "bob: true", "dave: false dave has a session", ".gons-old-1: true",
		"carol: true", "eve: false it is no directory of the parent's file system")
	if got := strings.Join(names(t, "/mnt/inst"), " "); got != ".gons-new-x alice dave eve" {
		t.Errorf("left are %q", got)
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Error(err)
	}
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// An instance that is mounted, or has something mounted in it, is kept, and what is mounted isn't touched.
func TestCleanKeepsWhatIsMounted(t *testing.T) {
	m, p := newMachine(t)
	testkit.Tree(t, "/mnt/inst", "dir alice", "file alice/file", "dir bob", "dir bob/mount")
	must(t, os.MkdirAll("/mnt/elsewhere", 0o755))
	must(t, unix.Mount("/mnt/inst/alice", "/mnt/elsewhere", "", unix.MS_BIND, ""))
	must(t, unix.Mount("test", "/mnt/inst/bob/mount", "tmpfs", 0, ""))
	testkit.Tree(t, "/mnt/inst/bob/mount", "file kept")
	defer unix.Unmount("/mnt/inst/bob/mount", unix.MNT_DETACH)
	got, err := m.Find(p)
	must(t, err)
	if got[0].Kept != "it is mounted in a process's namespace" {
		t.Errorf("alice: %+v", got[0])
	}
	if got[1].Kept != "something is mounted in it" {
		t.Errorf("bob: %+v", got[1])
	}
	must(t, unix.Unmount("/mnt/elsewhere", 0))
	got[0].Kept = "" // as if it came only now
	must(t, unix.Mount("/mnt/inst/alice", "/mnt/elsewhere", "", unix.MS_BIND, ""))
	defer unix.Unmount("/mnt/elsewhere", unix.MNT_DETACH)
	if r, err := m.Clean(got[0], 30*day, time.Now().Add(40*day), false); err != nil || r.Removed || r.Kept == "" {
		t.Errorf("alice: %+v, %v", r, err)
	}
}

// Who opens an instance at the same moment has it, is on record, and keeps it; be it that the name service knew nobody just
// before.
func TestCleanWaitsForALogin(t *testing.T) {
	waitsForALogin(t, "alice", 2001)
	waitsForALogin(t, "eve", 2005)
}

func waitsForALogin(t *testing.T, user string, uid uint32) {
	t.Helper()
	m, p := newMachine(t)
	m.RemovedUsers = true
	testkit.Tree(t, "/mnt/inst", "dir "+user)
	must(t, os.Chown("/mnt/inst/"+user, int(uid), int(uid)))
	found, err := m.Find(p)
	must(t, err)
	other, err := session.Open(m.Root)
	must(t, err)
	defer other.Close()
	id, err := session.NewID(uid)
	must(t, err)
	defer other.Remove(id)
	done := make(chan Result)
	must(t, other.Locker().WhileNobodyMakes(uid, func() error {
		go func() {
			r, err := m.Clean(found[0], 30*day, time.Now().Add(40*day), false)
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		select {
		case r := <-done:
			t.Fatalf("it didn't wait: %+v", r)
		case <-time.After(50 * time.Millisecond):
		}
		start, _ := session.Proc{}.Start(os.Getpid())
		return other.Put(session.Record{ID: id, User: user, UID: uid, Leader: session.Process{PID: os.Getpid(), Start: start},
			PIDNamespace: session.Proc{}.PIDNamespace()})
	}))
	if r := <-done; r.Removed || r.Kept != user+" has a session" {
		t.Errorf("%+v", r)
	}
}
