package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/internal/safepath"
)

func always() bool { return true }

// machine is Processes of a test: when each process started, who is in a namespace, and the caller's pid namespace.
type machine struct {
	starts     map[int]uint64
	inside     map[uint64]Process
	unknown    bool // whether it can't be told who is in a namespace
	namespace  uint64
	looked     int
	lookedHard int
}

func (m *machine) Start(pid int) (uint64, bool) {
	m.looked++
	ticks, ok := m.starts[pid]
	return ticks, ok
}

func (m *machine) InNamespace(in Namespace, _ uint64) (Process, bool) {
	inode := in.Inode
	m.lookedHard++
	p, ok := m.inside[inode]
	return p, ok || m.unknown
}

func (m *machine) InNamespaceBut(in Namespace, closed []Process) (Process, bool) {
	p, ok := m.InNamespace(in, 0)
	if slices.Contains(closed, p) {
		return Process{}, m.unknown
	}
	return p, ok
}

func (m *machine) Open(Process, Namespace) (*linux.Handle, bool) { return nil, false }

func (m *machine) Kill(pid int, ns Namespace) error {
	if m.inside[ns.Inode].PID == pid {
		delete(m.inside, ns.Inode)
	}
	return nil
}

func (m *machine) PIDNamespace() uint64 { return m.namespace }

func TestAlive(t *testing.T) {
	const ns, pidNS = 7, 1
	leader, other := Process{100, 1000}, Process{200, 2000}
	for _, c := range []struct {
		name   string
		record Record
		on     machine
		alive  bool
		found  Process
		hard   int
	}{
		{"leader lives", Record{Leader: leader, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS}, machine{starts: map[int]uint64{100: 1000}}, true, leader, 0},
		{"leader gone", Record{Leader: leader, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS}, machine{}, false, Process{}, 1},
		{"pid used again", Record{Leader: leader, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS}, machine{starts: map[int]uint64{100: 9999}}, false, Process{}, 1},
		{"start not recorded", Record{Leader: Process{100, 0}, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS}, machine{starts: map[int]uint64{100: 9999}}, true, Process{100, 0}, 0},
		{"start not recorded, gone", Record{Leader: Process{100, 0}, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS}, machine{}, false, Process{}, 1},
		{"another lives", Record{Leader: leader, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS}, machine{inside: map[uint64]Process{ns: other}}, true, other, 1},
		{"pid used again, another lives", Record{Leader: leader, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS},
			machine{starts: map[int]uint64{100: 9999}, inside: map[uint64]Process{ns: other}}, true, other, 1},
		{"another namespace lives", Record{Leader: leader, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS}, machine{inside: map[uint64]Process{ns + 1: other}}, false, Process{}, 1},
		{"can't be told", Record{Leader: leader, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS}, machine{unknown: true}, true, Process{}, 1},
		{"never had a namespace", Record{Leader: leader, PIDNamespace: pidNS}, machine{unknown: true}, false, Process{}, 0},
		{"another pid namespace", Record{Leader: leader, Namespace: Namespace{Inode: ns}, PIDNamespace: pidNS + 1}, machine{}, true, leader, 0},
		{"unknown pid namespace", Record{Leader: leader, Namespace: Namespace{Inode: ns}}, machine{}, true, leader, 0},
	} {
		c.on.namespace = pidNS
		alive, found := new(Store).Alive(c.record, &c.on)
		if alive != c.alive || found != c.found || c.on.lookedHard != c.hard {
			t.Errorf("%s: got %t, %v after %d searches, want %t, %v after %d", c.name, alive, found, c.on.lookedHard, c.alive, c.found, c.hard)
		}
	}
	lost := Record{Leader: leader, Namespace: Namespace{Inode: ns}}
	if alive, _ := new(Store).Alive(lost, &machine{}); !alive {
		t.Error("where no pid namespace is known, the session counts as over")
	}
}

// Proc is right about this process and about one that is gone.
func TestProc(t *testing.T) {
	var p Proc
	self, ok := p.Start(os.Getpid())
	if !ok || self == 0 {
		t.Errorf("this process started at %d, %t", self, ok)
	}
	if _, ok := p.Start(1 << 30); ok {
		t.Error("there is a process that can't be")
	}
	var st syscall.Stat_t
	must(t, syscall.Stat("/proc/self/ns/mnt", &st))
	found, ok := p.InNamespace(Namespace{Inode: st.Ino}, 0)
	if start, alive := p.Start(found.PID); !ok || !alive || start != found.Start {
		t.Errorf("in this namespace is %v, %t", found, ok)
	}
	if found, _ := p.InNamespace(Namespace{Inode: 1}, 1<<62); found != (Process{}) { // where a process may not be looked at, it can't be told
		t.Errorf("in no namespace is %v", found)
	}
	must(t, syscall.Stat("/proc/self/ns/pid", &st))
	if got := p.PIDNamespace(); got != st.Ino {
		t.Errorf("pid namespace %d, want %d", got, st.Ino)
	}
}

// A process that can't be looked at, because too many files are open, may be there: what it uses must not be removed.
func TestProcWithoutDescriptors(t *testing.T) {
	var p Proc
	start, _ := p.Start(os.Getpid())
	opening := Record{Leader: Process{os.Getpid(), start}, PIDNamespace: p.PIDNamespace()} // has no namespace yet
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: before.Max}))
	alive, _ := new(Store).Alive(opening, p)
	_, inside := p.InNamespace(Namespace{Inode: 1}, 0)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	if !alive || !inside {
		t.Errorf("a living process counts as one: %t; nobody as being in a namespace: %t", alive, !inside)
	}
}

// leave makes a directory with something in it and returns the leftover that names it.
func leave(t testing.TB, host, parent, name string, tree bool) Leftover {
	t.Helper()
	must(t, os.MkdirAll(host+parent+"/"+name, 0o700))
	if tree {
		must(t, os.WriteFile(host+parent+"/"+name+"/f", nil, 0o600))
	}
	var above, st unix.Stat_t
	must(t, unix.Stat(host+parent, &above))
	must(t, unix.Stat(host+parent+"/"+name, &st))
	return Leftover{Path(parent), above.Dev, above.Ino, Path(name), tree, st.Dev, st.Ino}
}

// over is the record of a session that is over, and left something.
func over(n int, left ...Leftover) Record {
	r := newRecord(n)
	r.PIDNamespace, r.HostNamespace, r.Leftovers = 1, currentNamespace(), left
	return r
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestEnd(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	outside := leave(t, host, "/i", "other", true)
	for _, c := range []struct {
		name string
		left Leftover
		gone bool
	}{
		{"a tree", leave(t, host, "/i", "tree", true), true},
		{"an empty directory", leave(t, host, "/i", "draft", false), true},
		{"an empty tree", leave(t, host, "/i", "-rf", false), true},
		{"gone", Leftover{Parent: "/i", ParentDev: outside.ParentDev, ParentIno: outside.ParentIno, Name: "gone"}, true},
		{"a gone tree", Leftover{Parent: "/i", ParentDev: outside.ParentDev, ParentIno: outside.ParentIno, Name: "gone", Tree: true, Dev: 1, Ino: 1}, true},
		{"a gone parent", Leftover{Parent: "/no/such", Name: "x", Tree: true, Dev: 1, Ino: 1}, true},
	} {
		must(t, s.Put(over(1, c.left)))
		must(t, s.End(id(1), always))
		if exists(host+string(c.left.Parent+"/"+c.left.Name)) == c.gone || exists(host+RunDir+"/sessions/"+id(1)) {
			t.Errorf("%s is still there, or its record", c.name)
		}
	}
	full := leave(t, host, "/i", "full", true)
	full.Tree = false
	must(t, s.Put(over(1, full)))
	must(t, s.End(id(1), always))
	if !exists(host+"/i/full/f") || !exists(host+"/i/other/f") {
		t.Error("what was to be removed only while it was empty is gone, or what belongs to nobody")
	}
	for name, left := range map[string]Leftover{"another directory": leave(t, host, "/i", "new", true), "never finished": leave(t, host, "/i", "new", true)} {
		if left.Ino++; name == "never finished" {
			left.Dev, left.Ino = 0, 0
		}
		must(t, s.Put(over(1, left)))
		must(t, s.End(id(1), always))
		if !exists(host + "/i/new/f") {
			t.Errorf("%s was removed", name)
		}
	}
	must(t, s.End(id(2), always)) // no such record
}

// The record stays as long as anything that it names.
func TestEndKeepsTheRecord(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	a, b := leave(t, host, "/i", "a", true), leave(t, host, "/i", "b", true)
	must(t, s.Put(over(1, a, b)))
	if err := s.End(id(1), func() bool { return false }); !errors.Is(err, safepath.ErrUnfinished) {
		t.Errorf("without time: %v", err)
	}
	elsewhere := a
	elsewhere.ParentIno++
	must(t, s.Put(over(1, elsewhere, b)))
	err := s.End(id(1), always)
	if !errors.Is(err, ErrElsewhere) || !strings.Contains(err.Error(), "/i/a") {
		t.Errorf("in another directory: %v", err)
	}
	if !exists(host+"/i/a") || exists(host+"/i/b") || !exists(host+RunDir+"/sessions/"+id(1)) {
		t.Error("what could go is there, or what couldn't is gone, or the record")
	}
	must(t, os.Rename(host+"/i", host+"/j"))
	must(t, os.WriteFile(host+"/i", nil, 0o600))
	if err := s.End(id(1), always); err == nil {
		t.Error("with a file for the parent: no error")
	}
}

// The owner of a tree who removes a part of it just then must not make the record go before the tree.
func TestEndOutlivesAVanishingDirectory(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	left := leave(t, host, "/i", "tree", true)
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.MkdirAll(host+"/i/tree/sub/"+name, 0o700))
	}
	must(t, s.Put(over(1, left)))
	must(t, s.End(id(1), func() bool {
		if entries, _ := os.ReadDir(host + "/i/tree/sub"); len(entries) < 3 { // the removal is in sub
			os.RemoveAll(host + "/i/tree/sub")
		}
		return true
	}))
	if exists(host+"/i/tree") && !exists(host+RunDir+"/sessions/"+id(1)) {
		t.Error("the record is gone and the tree is there")
	}
}

// In the session's namespace, or any other, a parent that isn't there may be covered; in the host's it is gone.
func TestEndInAnotherNamespace(t *testing.T) {
	s := openStore(t, newHost(t))
	left := Leftover{Parent: "/var/tmp/inst", Name: "x", Tree: true, Dev: 1, Ino: 1}
	for _, host := range []Namespace{{}, {Inode: currentNamespace().Inode + 1}} {
		r := over(1, left)
		r.HostNamespace = host
		must(t, s.Put(r))
		if err := s.End(id(1), always); !errors.Is(err, ErrElsewhere) {
			t.Errorf("opened from namespace %v: %v", host, err)
		}
	}
	must(t, s.Put(over(1, left)))
	if got, want := summary(t, s, &machine{namespace: 1}, false, always), id(1)+" removed"; got != want {
		t.Errorf("outside: got %s, want %s", got, want)
	}
}

func TestSweep(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	for n := range 6 {
		must(t, s.Put(over(n, leave(t, host, "/i", fmt.Sprint(n), true))))
	}
	m := &machine{namespace: 1, starts: map[int]uint64{100: 1000}, inside: map[uint64]Process{newRecord(1).Namespace.Inode: {201, 2010}}}
	must(t, os.WriteFile(host+RunDir+"/sessions/"+id(2), []byte("{}"), 0o600))
	elsewhere := over(3, leave(t, host, "/i", "3", true))
	elsewhere.Leftovers[0].ParentIno++
	must(t, s.Put(elsewhere))

	dry := summary(t, s, m, true, always)
	if want := id(2) + " error, " + id(3) + " removed, " + id(4) + " removed, " + id(5) + " removed"; dry != want {
		t.Errorf("dry: got %s, want %s", dry, want)
	}
	if r, _ := s.Get(id(1)); r.Leader.PID != 101 || !exists(host+"/i/4/f") {
		t.Error("a dry sweep changed something")
	}
	wet := summary(t, s, m, false, always)
	if want := id(2) + " error, " + id(3) + " error, " + id(4) + " removed, " + id(5) + " removed"; wet != want {
		t.Errorf("got %s, want %s", wet, want)
	}
	for n, kept := range []bool{true, true, true, true, false, false} {
		if exists(fmt.Sprintf("%s/i/%d/f", host, n)) != kept || exists(host+RunDir+"/sessions/"+id(n)) != kept {
			t.Errorf("session %d: kept should be %t", n, kept)
		}
	}
	if r, err := s.Get(id(1)); err != nil || r.Leader != (Process{201, 2010}) {
		t.Errorf("the process that was found is not remembered: %+v, %v", r.Leader, err)
	}
	m.starts[201], m.lookedHard = 2010, 0
	summary(t, s, m, false, always)
	if m.lookedHard != 1 { // for session 3
		t.Errorf("the next sweep looked through all processes %d times", m.lookedHard)
	}
}

// A login cleans up after its own user only: what others left can make it wait.
func TestSweepUser(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	for n, user := range []string{"2001-", "200-", "20012-", "2002-"} {
		r := over(n, leave(t, host, "/i", fmt.Sprint(n), true))
		r.ID = user + r.ID[5:]
		must(t, s.Put(r))
	}
	_, err := s.SweepUser(2001, &machine{namespace: 1}, always)
	must(t, err)
	for n, kept := range []bool{false, true, true, true} {
		if exists(fmt.Sprintf("%s/i/%d/f", host, n)) != kept {
			t.Errorf("session %d: kept should be %t", n, kept)
		}
	}
}

// A login of a user with many sessions looks at a few of them, and at others the next time.
func TestSweepUserLooksAtFew(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	m := &machine{namespace: 1, starts: map[int]uint64{100: 1000}}
	for n := range 5 * loginShare {
		must(t, s.Put(Record{ID: id(n), Leader: Process{100, 1000}, PIDNamespace: 1}))
	}
	must(t, s.Put(over(5*loginShare, leave(t, host, "/i", "left", true))))
	sweeps := 0
	for ; exists(host + RunDir + "/sessions/" + id(5*loginShare)); sweeps++ {
		m.looked = 0
		_, err := s.SweepUser(2001, m, always)
		must(t, err)
		if m.looked > loginShare || sweeps > 10000 {
			t.Fatalf("sweep %d looked at %d of %d sessions", sweeps, m.looked, 5*loginShare+1)
		}
	}
}

// summary is what a sweep says, in one line.
func summary(t *testing.T, s *Store, p Processes, dry bool, more func() bool) string {
	t.Helper()
	swept, err := s.Sweep(p, dry, more)
	must(t, err)
	var words []string
	for _, one := range swept {
		word := map[bool]string{true: " removed", false: " kept"}[one.Removed]
		if one.Err != nil {
			word = " error"
		}
		words = append(words, one.Record.ID+word)
	}
	return strings.Join(words, ", ")
}

// A sweep in a login has little time; each one gets further.
func TestSweepStops(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	for n := range 5 {
		must(t, s.Put(over(n, leave(t, host, "/i", fmt.Sprint(n), true))))
	}
	left := func() int { ids, _ := s.List(); return len(ids) }
	for rounds := 0; left() > 0; rounds++ {
		before, budget := left(), 3
		summary(t, s, &machine{namespace: 1}, false, func() bool { budget--; return budget >= 0 })
		if now := left(); now >= before || rounds > 10 {
			t.Fatalf("%d records before, %d after", before, now)
		}
	}
	if got := summary(t, s, &machine{namespace: 1}, false, func() bool { return false }); got != "" {
		t.Errorf("without time: %s", got)
	}
}

// A record that another process is at is left to it, and not claimed to be removed.
func TestSweepClaimsNothingOfAnotherProcess(t *testing.T) {
	host := newHost(t)
	s, other := openStore(t, host), openStore(t, host)
	must(t, s.Put(over(1, leave(t, host, "/i", "x", true))))
	must(t, other.lock.TryLockRange(lockByte("session:"+id(1))))
	if err := s.End(id(1), always); !errors.Is(err, ErrBusy) {
		t.Errorf("End: %v", err)
	}
	got := summary(t, s, &machine{namespace: 1}, false, always)
	if !exists(host+"/i/x/f") || strings.Contains(got, "removed") {
		t.Errorf("got %q while another process is removing", got)
	}
}

// inNamespace runs f on a thread in a private mount namespace of its own, which ends with it.
func inNamespace(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := linux.UnshareMounts()
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// init keeps the main thread, which /proc/self shows, out of those namespaces.
func init() { runtime.LockOSThread() }

// A session inside which the parent of what is to be removed is covered, as /var/tmp/tmp-inst is in the configuration
// that distributions ship: End says so, and removes it once everything is uncovered.
func TestUncover(t *testing.T) {
	const host = "/mnt/host" // Uncover starts from the real root
	storeHost := newHost(t)
	inNamespace(t, func() {
		must(t, unix.Mount("test", "/mnt", "tmpfs", 0, "mode=0755"))
		must(t, os.MkdirAll(host+"/tmp/inst/x/deep", 0o700))
		left := leave(t, "", host+"/tmp/inst", "x", true)
		must(t, unix.Mount(host+"/tmp/inst/x", host+"/tmp", "", unix.MS_BIND, ""))
		must(t, os.MkdirAll(host+"/tmp/inst/x", 0o700))
		must(t, unix.Mount("test", host+"/tmp/deep", "tmpfs", 0, ""))
		root, err := safepath.OpenRoot()
		must(t, err)
		s := openStore(t, storeHost)
		s.root = root
		r := over(1, left)
		r.Covered = []Path{host + "/tmp", host + "/tmp/deep"}
		must(t, s.Put(r))
		if err := s.End(id(1), always); !errors.Is(err, ErrElsewhere) {
			t.Errorf("while it is covered: %v", err)
		}
		checkUncovered(t, s, r, host)
	})
}

// checkUncovered uncovers on one more thread, so that this one sees whether the session keeps its mounts.
func checkUncovered(t *testing.T, s *Store, r Record, host string) {
	t.Helper()
	before := mountsBelow(t, host)
	ns, err := os.Open("/proc/thread-self/ns/mnt")
	must(t, err)
	defer ns.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS))
		if err == nil {
			err = s.Uncover(r.Covered)
		}
		if err == nil {
			err = s.End(r.ID, always)
		}
		if exists(host + "/tmp/inst/x") {
			err = errors.Join(err, errors.New("the tree is still there"))
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Errorf("uncovered: %v", err)
	}
	// The mount below the instance goes with its directory, the instance's own stays.
	if after := mountsBelow(t, host); !strings.HasPrefix(before, after) || !strings.HasSuffix(after, host+"/tmp\n") {
		t.Errorf("the session's mounts changed: before\n%s\nafter\n%s", before, after)
	}
}

// mountsBelow are this thread's mounts below a directory, without where each is rooted.
func mountsBelow(t testing.TB, dir string) string {
	t.Helper()
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	must(t, err)
	var out strings.Builder
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.Fields(line); len(f) > 5 && strings.HasPrefix(f[4], dir) {
			fmt.Fprintln(&out, f[0], f[1], filepath.Clean(f[4]))
		}
	}
	return out.String()
}

// What runs in the namespace of a session whose host was killed while it opened was started by scripts, and is killed.
// In one that was open it is the user's.
func TestKillScripts(t *testing.T) {
	const ns, pidNS = 7, 1
	leader, other := Process{100, 1000}, Process{200, 2000}
	for _, c := range []struct {
		name    string
		scripts bool
		id      uint64
		m       machine
		killed  bool
	}{
		{"opening", true, 9, machine{namespace: pidNS, inside: map[uint64]Process{ns: other}}, true},
		{"open", false, 9, machine{namespace: pidNS, inside: map[uint64]Process{ns: other}}, false},
		{"its host lives", true, 9, machine{namespace: pidNS, starts: map[int]uint64{100: 1000}, inside: map[uint64]Process{ns: other}}, false},
		{"the host itself", true, 9, machine{namespace: pidNS, inside: map[uint64]Process{ns: leader}}, false},
		{"before Linux 6.11, perhaps another's", true, 0, machine{namespace: pidNS, inside: map[uint64]Process{ns: other}}, false},
		{"in another pid namespace", true, 9, machine{namespace: 2, inside: map[uint64]Process{ns: other}}, false},
	} {
		s := openStore(t, newHost(t))
		r := newRecord(1)
		r.Leader, r.Namespace, r.PIDNamespace, r.Scripts = leader, Namespace{ns, c.id}, pidNS, c.scripts
		must(t, s.Put(r))
		_, err := s.Sweep(&c.m, false, func() bool { return false }) // though there is no time for anything else
		must(t, err)
		if killed := len(c.m.inside) == 0; killed != c.killed {
			t.Errorf("%s: killed %t", c.name, killed)
		}
	}
}
