package polyinst

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An instance that is there is used as it is, unless it is a third person's or no directory.
func TestExistingInstance(t *testing.T) {
	const third = "cannot use instance /i/alice: it is owned by user %d, who is neither the session's user nor the owner of /tmp"
	for _, c := range []struct{ tmp, instance, want string }{
		{"0:0 1777", "dir i/alice 2001:2001 0700", ""},
		{"0:0 1777", "dir i/alice 2001:2002 0777", ""},
		{"0:0 1777", "dir i/alice 0:0 1777", ""},
		{"0:0 1777", "dir i/alice 0:0 0400", ""},
		{"0:0 1777", "dir i/alice 2002:2002 0777", fmt.Sprintf(third, bob)},
		{"2002:0 0755", "dir i/alice 2002:2002 0777", ""},
		{"2002:0 0755", "dir i/alice 2003:2002 0777", fmt.Sprintf(third, 2003)},
		{"0:0 1777", "file i/alice", "cannot use instance /i/alice: it is a regular file, not a directory"},
		{"0:0 1777", "fifo i/alice", "cannot use instance /i/alice: it is a FIFO, not a directory"},
		{"0:0 1777", "link i/alice /etc", "cannot use instance /i/alice: it is a symbolic link, not a directory"},
		{"0:0 1777", "link i/alice /nowhere", "cannot use instance /i/alice: it is a symbolic link, not a directory"},
	} {
		host := newHost(t, "dir tmp "+c.tmp, "dir i 0:0 0000", "dir etc", c.instance)
		before := snapshot(t, host)
		r := newRun(t, host, "/tmp /i/ user\n")
		r.then = func(*Applied) {
			if line := find(mounts(t, "thread-self", host), "/tmp"); !strings.HasPrefix(line, "/tmp /i/alice ") {
				t.Errorf("%s: /tmp is %q", c.instance, line)
			}
		}
		checkError(t, c.instance, r.apply(t), c.want)
		checkSame(t, c.instance+": the disk", before, snapshot(t, host))
	}
}

func checkError(t testing.TB, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(err.Error(), want)) {
		t.Errorf("%s: got error %v, want %q", what, err, want)
	}
}

// An instance parent is root's and mode 000, or made so.
func TestInstanceParent(t *testing.T) {
	const trust, link = "cannot trust instance parent ", ": others than root can change it or the way to it"
	for _, c := range []struct{ tree, parent, want string }{
		{"", "/i", ""},
		{"dir a", "/a/i", ""},
		{"", "/a/i", "cannot open /a: openat2: no such file or directory"},
		{"dir i 0:0 0000", "/i", ""},
		{"dir i 0:2001 0000", "/i", ""},
		{"dir i 0:0 1000", "/i", ""},
		{"dir i 0:0 6000", "/i", ""},
		{"dir i 0:0 0700", "/i", trust + "/i: its mode is 0700, expected 0000"},
		{"dir i 0:0 0001", "/i", trust + "/i: its mode is 0001, expected 0000"},
		{"dir i 2001:0 0000", "/i", trust + "/i: it is owned by user 2001, expected root"},
		{"file i 0:0 0000", "/i", "cannot open /i: it is a regular file, not a directory"},
		{"fifo i 0:0 0000", "/i", "cannot open /i: it is a FIFO, not a directory"},
		{"dir real 0:0 0000; link i /real", "/i", ""},
		{"dir real 0:0 0000; link i /real 2001:0", "/i", "cannot follow the symbolic link /i" + link},
		{"dir s 0:0 1777; dir s/i 0:0 0000", "/s/i", ""},
		{"dir s 0:0 1777; dir s/i 2001:0 0000", "/s/i", trust + "/s/i: it is owned by user 2001, expected root"},
		{"dir s 0:0 1777; dir real 0:0 0000; link s/i /real 2001:0", "/s/i", "cannot follow the symbolic link /s/i" + link},
		{"dir u 2001:0; dir u/i 0:0 0000", "/u/i", ""},
		{"dir u 2001:0; dir real 0:0 0000; link u/i /real", "/u/i", "cannot follow the symbolic link /u/i" + link},
	} {
		host := newHost(t, append(lines(c.tree), "dir tmp 0:0 1777")...)
		before := snapshot(t, host)
		r := newRun(t, host, "/tmp "+c.parent+"/ user\n")
		checkError(t, c.tree+" "+c.parent, r.apply(t), c.want)
		if c.want != "" {
			checkSame(t, c.tree+": the disk", before, snapshot(t, host))
		}
	}
}

// ignore_instance_parent_mode is for parents that are otherwise; the rules for instances hold.
func TestAnyInstanceParent(t *testing.T) {
	for _, c := range []struct{ tree, want string }{
		{"dir i 0:0 0711", ""},
		{"dir i 2001:0 0700", ""},
		{"dir i 0:0 1777; dir i/alice 2002:0", "the session's user nor the owner of /tmp"},
		{"dir i 2001:0 0700; link i/alice /tmp 2001:0", "cannot use instance /i/alice: it is a symbolic link, not a directory"},
	} {
		host := newHost(t, append(lines(c.tree), "dir tmp 0:0 1777")...)
		r := newRun(t, host, "/tmp /i/ user\n")
		for i, s := range r.plan.Steps {
			if p, ok := s.(PrepareDirectory); ok {
				p.AnyParent = true
				r.plan.Steps[i] = p
			}
		}
		checkError(t, c.tree, r.apply(t), c.want)
	}
}

// create makes a missing directory where it may, and never follows what is there instead.
func TestMakeDirectory(t *testing.T) {
	const link = ": others than root can change it or the way to it"
	for _, c := range []struct{ tree, want, made string }{
		{"", "", "/d 0711 2001:50"},
		{"dir d 2002:2002 0700", "", "/d 0700 2002:2002"},
		{"file d", "cannot open /d: it is a regular file, not a directory", ""},
		{"fifo d", "cannot open /d: it is a FIFO, not a directory", ""},
		{"dir etc; link d /etc", "", "/etc 0755 0:0"},
		{"dir etc; link d /etc 2001:0", "cannot follow the symbolic link /d" + link, "/etc 0755 0:0"},
		{"link d /nowhere", "cannot open /nowhere: openat2: no such file or directory", ""},
		{"link d /nowhere 2001:0", "cannot follow the symbolic link /d" + link, ""},
	} {
		host := newHost(t, lines(c.tree)...)
		r := newRun(t, host, "/d x tmpfs:create=0711,alice,staff\n")
		checkError(t, c.tree, r.apply(t), c.want)
		if text := strings.Join(snapshot(t, host), "\n"); !strings.Contains(text, c.made) || strings.Contains(text, "/nowhere") {
			t.Errorf("%s: %s is not made:\n%s", c.tree, c.made, text)
		}
	}
}

// keyed are locks by user, of goroutines as the real ones are of processes.
type keyed struct {
	sync.Mutex
	locks map[uint32]*sync.RWMutex
	uses  map[string]uint64
}

func (k *keyed) of(uid uint32) *sync.RWMutex {
	k.Lock()
	defer k.Unlock()
	if k.locks == nil {
		k.locks = map[uint32]*sync.RWMutex{}
	}
	if k.locks[uid] == nil {
		k.locks[uid] = &sync.RWMutex{}
	}
	return k.locks[uid]
}

// locker is one session's Locker.
type locker struct {
	*keyed
	made map[uint32]bool
}

func (k *keyed) locker() *locker { return &locker{k, map[uint32]bool{}} }

func (l *locker) WhileNobodyMakes(uid uint32, f func() error) error {
	if !l.made[uid] {
		l.of(uid).RLock()
		defer l.of(uid).RUnlock()
	}
	return f()
}

func (l *locker) BecomeMaker(uid uint32) error {
	if !l.made[uid] {
		l.of(uid).Lock()
		l.made[uid] = true
	}
	return nil
}

func (l *locker) StopMaking(uid uint32) error {
	if l.made[uid] {
		delete(l.made, uid)
		l.of(uid).Unlock()
	}
	return nil
}

func (l *locker) Use(path string, f func() error) (uint64, error) {
	l.Lock()
	defer l.Unlock()
	if l.uses == nil {
		l.uses = map[string]uint64{}
	}
	l.uses[path]++
	return l.uses[path], f()
}

func (l *locker) Undo(path string, uses uint64, f func() error) error {
	l.Lock()
	defer l.Unlock()
	if l.uses[path] != uses {
		return nil
	}
	return f()
}

func (l *locker) end() {
	for uid := range l.made {
		l.of(uid).Unlock()
	}
}

// Many sessions of a new user at once: one instance, right in all of them, and no draft is left. Without the lock that
// holds too, as long as none fails.
func TestConcurrentSessions(t *testing.T) {
	for _, locked := range []bool{true, false} {
		host := newHost(t, "dir tmp 0:0 1777")
		var locks keyed
		seen := make(chan uint64, 40)
		concurrently(40, func(n int) {
			r := newRun(t, host, "/tmp /i/ user\n")
			r.env.SessionID = fmt.Sprintf("%032x", n)
			if locked {
				l := locks.locker()
				defer l.end()
				r.env.Locker = l
			}
			r.then = func(*Applied) { seen <- inodeOf(t, host+"/tmp", "1777 0:0") }
			if err := r.apply(t); err != nil {
				t.Errorf("session %d: %v", n, err)
			}
		})
		close(seen)
		want := inodeOf(t, host+"/i/alice", "1777 0:0")
		for ino := range seen {
			if ino != want {
				t.Errorf("locked %t: a session has another instance", locked)
			}
		}
		checkSame(t, "the disk", []string{"/ 0755 0:0", "/i 0000 0:0", "/i/alice 1777 0:0", "/tmp 1777 0:0"}, snapshot(t, host))
	}
}

func concurrently(n int, f func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			f(i)
		}()
	}
	all.Wait()
}

// inodeOf returns a directory's inode number and checks its mode and owner.
func inodeOf(t testing.TB, path, want string) uint64 {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprintf("%04o %d:%d", st.Mode&0o7777, st.Uid, st.Gid); got != want {
		t.Errorf("%s is %s, want %s", path, got, want)
	}
	return st.Ino
}

// Sessions that fail, and undo what they made, don't take it from one that succeeds: an instance, its parent, and a
// directory that create made.
func TestConcurrentFailures(t *testing.T) {
	for round := range 10 {
		host := newHost(t)
		var locks keyed
		concurrently(12, func(n int) {
			r := newRun(t, host, "/tmp /i/ user:create=01777,root,root\n")
			r.env.SessionID = fmt.Sprintf("%032x", n)
			l := locks.locker()
			defer l.end()
			r.env.Locker = l
			fails := n%3 > 0
			if fails {
				r.plan.Steps = append(r.plan.Steps, unknownStep{})
			}
			var ino uint64
			r.then = func(*Applied) { ino = inodeOf(t, host+"/tmp", "1777 0:0") }
			err := r.apply(t)
			switch {
			case fails && (err == nil || strings.Contains(err.Error(), "cannot")):
				t.Errorf("round %d: a failing session ended with %v", round, err)
			case !fails && err != nil:
				t.Errorf("round %d: a good session ended with %v", round, err)
			case !fails && inodeOf(t, host+"/i/alice", "1777 0:0") != ino:
				t.Errorf("round %d: the instance was replaced", round)
			}
		})
		inodeOf(t, host+"/tmp", "1777 0:0")
	}
}

// Two sessions that make things in a different order, as only: services: makes them do, must not wait for each other
// until both run into their deadline.
func TestSessionsDontWaitForEachOther(t *testing.T) {
	host := newHost(t, "dir a 0:0 1777")
	var locks keyed
	var both sync.WaitGroup
	both.Add(2)
	done := make(chan error, 2)
	for n, conf := range []string{"/a /i/ user\n/d x tmpfs:create\n", "/d /j/ user:create\n"} {
		go func() {
			r := newRun(t, host, conf)
			r.env.SessionID = fmt.Sprintf("%032x", n)
			l := &meeting{locker: locks.locker(), both: &both}
			defer l.end()
			r.env.Locker = l
			done <- r.apply(t)
		}()
	}
	for range 2 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * time.Second):
			t.Fatal("two sessions wait for each other")
		}
	}
}

// meeting is a locker that, having its first lock, gives the other session a moment to get its own.
type meeting struct {
	*locker
	both *sync.WaitGroup
	once sync.Once
}

func (m *meeting) BecomeMaker(uid uint32) error {
	err := m.locker.BecomeMaker(uid)
	m.once.Do(func() {
		m.both.Done()
		met := make(chan struct{})
		go func() {
			m.both.Wait()
			close(met)
		}()
		select {
		case <-met:
		case <-time.After(200 * time.Millisecond):
		}
	})
	return err
}

// attackName is the draft's name, which the attacker of the tests knows.
const attackName = ".gons-00000000000000000000000000000001-new"

// The owner of a directory's parent exchanges what root makes there, at every moment, for what she would like to have
// chowned to her: a link to a directory of root's, and a directory of root's that has something in it.
func TestMakeDirectoryRace(t *testing.T) {
	outcomes := map[string]int{}
	for range 400 {
		host := newHost(t, "dir etc", "file etc/f", "dir u 2001:2001", "dir u/full 0:0 0700", "file u/full/f", "link u/rel ../etc 2001:2001")
		tree(t, host, "link u/abs "+host+"/etc 2001:2001")
		outcomes[raceOnce(t, host)]++
		checkVictims(t, host)
		unix.Unmount(host, unix.MNT_DETACH)
	}
	for what, count := range outcomes {
		t.Logf("%d times: %s", count, what)
	}
}

// raceOnce has root make /u/new under attack and returns how that ends.
func raceOnce(t *testing.T, host string) string {
	r := newRun(t, host, "/u/new x tmpfs:create=0777,alice\n")
	draft, name := host+"/u/"+attackName, host+"/u/new"
	defer attack(t, func() {
		for _, bait := range []string{"/full", "/abs", "/rel"} {
			exchange(draft, host+"/u"+bait)
			exchange(name, host+"/u"+bait)
		}
		os.Rename(draft, host+"/u/away")
	})()
	err := r.apply(t)
	return strings.ReplaceAll(fmt.Sprint(err), host, "")
}

// checkVictims checks that everything of root's is as it was. What has a file in it was not made by the session.
func checkVictims(t *testing.T, host string) {
	t.Helper()
	inodeOf(t, host+"/etc", "0755 0:0")
	inodeOf(t, host+"/etc/f", "0755 0:0")
	found := 0
	entries, err := os.ReadDir(host + "/u")
	must(t, err)
	for _, e := range entries {
		dir := host + "/u/" + e.Name()
		if _, err := os.Lstat(dir + "/f"); e.IsDir() && err == nil {
			inodeOf(t, dir, "0700 0:0")
			inodeOf(t, dir+"/f", "0755 0:0")
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d directories have root's file in them", found)
	}
}

// The same attacker at a directory that is to be covered, and at a component above it.
func TestCoverRace(t *testing.T) {
	host := newHost(t, "dir etc", "dir etc/d", "dir u 2001:2001", "dir u/d 2001:2001", "dir u/d/d 2001:2001", "link u/l /etc 2001:2001", "link u/d/l /etc/d 2001:2001")
	stop := attack(t, func() {
		exchange(host+"/u/d", host+"/u/l")
		exchange(host+"/u/d/d", host+"/u/d/l")
	})
	defer stop()
	r := newRun(t, host, "/u/d x tmpfs\n/u/d/d x tmpfs:create\n")
	r.then = func(*Applied) {
		for _, line := range mounts(t, "thread-self", host) {
			if strings.HasPrefix(line, "/etc") {
				t.Errorf("the session covers %s", line)
			}
		}
	}
	good := 0
	for range 1000 {
		if r.apply(t) == nil {
			good++
		}
	}
	t.Logf("%d of 1000 sessions opened", good)
}

// What a third person may have put there is not covered: its owner and mode would be the instance's, and that person
// could take it away again under a living session.
func TestCoversNothingOfAThirdPerson(t *testing.T) {
	for _, c := range []struct {
		tree string
		ok   bool
	}{
		{"dir s 0:0 1777; dir s/d", true},
		{"dir s 0:0 1777; dir s/d 2001:0", true},
		{"dir s 0:0 1777; dir s/d 2002:0", false},
		{"dir s 2002:0 0755; dir s/d 2002:0", false},
		{"dir s 0:2002 0775; dir s/d 2002:0", false},
		{"dir s; dir s/d 2002:0", true},
	} {
		for _, conf := range []string{"/s/d x tmpfs\n", "/s/d /i/ user\n", "/s/d /i/ tmpdir\n"} {
			want := map[bool]string{false: "cannot cover /s/d: it is owned by user 2002, and others than root can have put it there"}[c.ok]
			checkError(t, c.tree+" "+conf, newRun(t, newHost(t, lines(c.tree)...), conf).apply(t), want)
		}
	}
}

// Where a process goes whose working directory is covered.
func TestWorkingDirectory(t *testing.T) {
	const text = "version: 1\nnamespace: {home: slave}\ndirectories:\n  - {path: /tmp, method: user, instances: /i}\n" +
		"  - {path: /tmp/in, method: tmpfs, create: {}}\n  - {path: /a, method: tmpfs}\n"
	host := newHost(t, "dir tmp 0:0 1777", "dir home", "dir home/alice 2001:2001", "dir home/alice/sub", "dir a", "dir tmpfoo")
	r := newRun(t, host, text)
	r.then = func(a *Applied) {
		for cwd, want := range map[string]string{
			"/": "", "/tmpfoo": "", "/home": "", "": "the root", "/home/bob": "",
			"/tmp": "/tmp", "/tmp/x/y": "/tmp", "/tmp/in": "/tmp/in", "/tmp/in/x": "/tmp/in",
			"/home/alice": "/home/alice", "/home/alice/sub": "/home/alice/sub", "/home/alice/gone/x": "/home/alice", "/a/x": "/a",
		} {
			if got := workingDirectory(t, a, host, cwd); got != want {
				t.Errorf("from %q to %q, want %q", cwd, got, want)
			}
		}
	}
	must(t, r.apply(t))
}

// workingDirectory is where a.WorkingDirectory leads, by name: "" when a process stays.
func workingDirectory(t *testing.T, a *Applied, host, cwd string) string {
	t.Helper()
	h, err := a.WorkingDirectory(cwd)
	must(t, err)
	if h == nil {
		return ""
	}
	defer h.Close()
	st, err := h.Stat()
	must(t, err)
	var root syscall.Stat_t
	must(t, syscall.Stat("/", &root))
	if root.Ino == st.Ino && root.Dev == st.Dev {
		return "the root"
	}
	for _, path := range []string{"/tmp", "/tmp/in", "/home/alice", "/home/alice/sub", "/a", "/a/b"} {
		var named syscall.Stat_t
		if syscall.Stat(host+path, &named) == nil && named.Ino == st.Ino && named.Dev == st.Dev {
			return path
		}
	}
	return "something hidden"
}

// A directory that is covered before the one it lies in is hidden with it.
func TestWorkingDirectoryInAHiddenDirectory(t *testing.T) {
	host := newHost(t, "dir a", "dir a/b")
	r := newRun(t, host, "/a/b x tmpfs\n/a x tmpfs\n")
	r.then = func(a *Applied) {
		if got := workingDirectory(t, a, host, "/a/b"); got != "/a" {
			t.Errorf("from /a/b to %s, want /a", got)
		}
	}
	must(t, r.apply(t))
}
