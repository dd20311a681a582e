package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/tests/testkit"
)

var must = testkit.Must

// newHost is an empty directory that plays a host's root.
func newHost(t testing.TB) string {
	t.Helper()
	host := t.TempDir()
	must(t, os.Chmod(host, 0o755))
	must(t, os.Mkdir(host+"/run", 0o755))
	return host
}

func rootAt(t testing.TB, dir string) *safepath.Root {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	r := safepath.NewRoot(linux.NewHandle(fd, dir))
	t.Cleanup(func() { r.Close() })
	return r
}

// openStore opens the store of a host, as one more process would.
func openStore(t testing.TB, host string) *Store {
	t.Helper()
	s, err := Open(rootAt(t, host))
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// id is a session id that is easy to read; no two of the tests' share a lock.
func id(n int) string { return fmt.Sprintf("2001-%08x%024x", n, n) }

// newRecord is a record with something in every field.
func newRecord(n int) Record {
	return Record{
		Version: recordVersion, ID: id(n), User: "alice", UID: 2001, Service: "sshd", TTY: "ssh", RHost: "10.0.0.1",
		Opened: time.Unix(1e9, 0).UTC(), Leader: Process{PID: 100 + n, Start: 1000}, Namespace: Namespace{uint64(4026532000 + n), uint64(n)},
		PIDNamespace: 4026531836, Covered: []Path{"/tmp", "/var/tm\xff\n"}, HostNamespace: Namespace{4026531841, 3},
		Leftovers: []Leftover{{Parent: "/no\xfe\"", ParentDev: 1, ParentIno: 2, Name: "\x00\xff", Tree: true, Dev: 3, Ino: 4}},
	}
}

func TestRoundTrip(t *testing.T) {
	s := openStore(t, newHost(t))
	ids, err := s.List()
	if err != nil || len(ids) > 0 {
		t.Errorf("an empty store lists %v, %v", ids, err)
	}
	want := newRecord(1)
	must(t, s.Put(want))
	got, err := s.Get(id(1))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, %v, want\n%+v", got, err, want)
	}
	want.Leftovers, want.Covered = nil, nil
	must(t, s.Put(want))
	if got, err := s.Get(id(1)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("after a second Put\n%+v, %v", got, err)
	}
	for range 2 {
		must(t, s.Remove(id(1)))
	}
	if _, err := s.Get(id(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
}

func TestPutSetsTheVersion(t *testing.T) {
	s := openStore(t, newHost(t))
	r := newRecord(1)
	r.Version = 0
	must(t, s.Put(r))
	if got, err := s.Get(id(1)); err != nil || got.Version != recordVersion {
		t.Errorf("got version %d, %v", got.Version, err)
	}
}

// Records are sorted by id; what isn't a record isn't listed, and stays.
func TestList(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	for _, n := range []int{3, 1, 2} {
		must(t, s.Put(newRecord(n)))
	}
	others := []string{id(4) + ".new", "lock", strings.ToUpper(id(0xabc)), id(5)[5:], id(6) + "0", ".hidden"}
	for _, name := range others {
		must(t, os.WriteFile(host+RunDir+"/sessions/"+name, []byte("{}"), 0o600))
	}
	ids, err := s.List()
	if want := []string{id(1), id(2), id(3)}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("got %v, %v, want %v", ids, err, want)
	}
	for n := range 3000 {
		must(t, os.WriteFile(host+RunDir+"/sessions/"+id(n), nil, 0o600))
	}
	if ids, err = s.List(); err != nil || len(ids) != 3000 {
		t.Errorf("%d of 3000 ids, %v", len(ids), err)
	}
}

func TestIDs(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	must(t, os.WriteFile(host+RunDir+"/secret", []byte("{}"), 0o600))
	digits := id(1)[5:]
	for _, bad := range []string{"", ".", "..", "../secret", "../lock", "/etc/passwd", digits, "-" + digits, "x-" + digits, "-1-" + digits, "+1-" + digits,
		"4294967296-" + digits, " 1-" + digits, "1- " + digits[1:], "1-" + digits[1:], "1-" + digits + "0", strings.ToUpper(id(0xabc)),
		"1-" + digits[1:] + "g", "1-" + digits[1:] + "\n", "1-" + digits[1:] + "\x00", "1-../" + digits[3:], "1-" + digits[:14] + "/../" + digits[18:], strings.Repeat("０", 32)} {
		r := newRecord(1)
		r.ID = bad
		_, get := s.Get(bad)
		for what, err := range map[string]error{"Put": s.Put(r), "Get": get, "Remove": s.Remove(bad), "End": s.End(bad, always)} {
			if err == nil || !strings.Contains(err.Error(), "is not a session id") {
				t.Errorf("%s(%q): %v", what, bad, err)
			}
		}
	}
	seen := map[string]bool{}
	for range 100 {
		n, err := NewID(2001)
		if err != nil || checkID(n) != nil || seen[n] || !strings.HasPrefix(n, "2001-") {
			t.Errorf("a new id is %q, %v", n, err)
		}
		seen[n] = true
	}
}

// A record that can't be trusted to mean what it says is an error, never a guess.
func TestCorruptedRecords(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	file := host + RunDir + "/sessions/" + id(1)
	must(t, s.Put(newRecord(1)))
	good, err := os.ReadFile(file)
	must(t, err)
	for name, data := range map[string]string{
		"empty":         "",
		"cut":           string(good[:len(good)/2]),
		"not JSON":      "hello",
		"a list":        "[]",
		"null":          "null",
		"binary":        "\x00\xff\x00",
		"two":           string(good) + string(good),
		"wrong type":    strings.Replace(string(good), `"UID":2001`, `"UID":"alice"`, 1),
		"negative":      strings.Replace(string(good), `"UID":2001`, `"UID":-1`, 1),
		"older version": strings.Replace(string(good), `"Version":1`, `"Version":0`, 1),
		"newer version": strings.Replace(string(good), `"Version":1`, `"Version":2`, 1),
		"another's":     strings.Replace(string(good), id(1), id(2), 1),
		"oversized":     strings.Replace(string(good), `"Opened"`, strings.Repeat(" ", maxRecordSize)+`"Opened"`, 1),
		"deep":          strings.Repeat("[", maxRecordSize-1),
	} {
		must(t, os.WriteFile(file, []byte(data), 0o600))
		r, err := s.Get(id(1))
		if err == nil || !strings.HasPrefix(err.Error(), "cannot read the session record ") || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
		if err := s.End(id(1), always); err == nil {
			t.Errorf("%s: End is content", name)
		}
	}
}

// What stands in the way of a record is an error, at once.
func TestRecordsAreFiles(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	dir := host + RunDir + "/sessions/"
	must(t, os.WriteFile(host+"/outside", []byte("outside"), 0o600))
	must(t, os.Mkdir(dir+id(1), 0o700))
	must(t, unix.Mkfifo(dir+id(2), 0o600))
	must(t, os.Symlink(host+"/outside", dir+id(3)))
	must(t, os.Symlink(host+"/outside", dir+id(4)+".new"))
	for n := range 3 {
		if _, err := s.Get(id(n + 1)); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d: got %v", n+1, err)
		}
	}
	must(t, s.Put(newRecord(3)))
	must(t, s.Put(newRecord(4)))
	if err := s.Put(newRecord(1)); err == nil {
		t.Error("a record took the place of a directory")
	}
	if data, _ := os.ReadFile(host + "/outside"); string(data) != "outside" {
		t.Errorf("a link was followed: %q", data)
	}
	for _, name := range []string{id(1) + ".new", id(3) + ".new", id(4) + ".new"} {
		if _, err := os.Lstat(dir + name); !os.IsNotExist(err) {
			t.Errorf("%s is left", name)
		}
	}
}

// A record that Get refuses would keep what it describes on disk for ever. What is beyond the limit is refused both
// ways, and never cut off.
func TestRecordSize(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	r := newRecord(1)
	must(t, s.Put(r))
	file := host + RunDir + "/sessions/" + id(1)
	good, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, []byte(string(good)+strings.Repeat(" ", maxRecordSize)+"x"), 0o600))
	if _, err := s.Get(id(1)); err == nil {
		t.Error("Get took a record that is cut off")
	}
	for range 300 {
		r.Covered = append(r.Covered, Path("/"+strings.Repeat("x", 4000)))
	}
	if err := s.Put(r); err != nil {
		return
	}
	if _, err := s.Get(id(1)); err != nil {
		t.Errorf("Put took it, and Get says: %v", err)
	}
}

// Nobody but root may write where the records are.
func TestOpenTrusts(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(host string) error
		ok   bool
	}{
		{"nothing there", func(string) error { return nil }, true},
		{"root's", func(h string) error { return os.Mkdir(h+RunDir, 0o755) }, true},
		{"no /run", func(h string) error { return os.Remove(h + "/run") }, false},
		{"everybody's", func(h string) error { return errors.Join(os.Mkdir(h+RunDir, 0o777), os.Chmod(h+RunDir, 0o777)) }, false},
		{"sticky", func(h string) error { return errors.Join(os.Mkdir(h+RunDir, 0o777), unix.Chmod(h+RunDir, 0o1777)) }, false},
		{"a user's", func(h string) error { return errors.Join(os.Mkdir(h+RunDir, 0o755), os.Chown(h+RunDir, 2001, 0)) }, false},
		{"a group's", func(h string) error { return errors.Join(os.Mkdir(h+RunDir, 0o755), os.Chmod(h+RunDir, 0o775)) }, false},
		{"in a user's", func(h string) error { return os.Chown(h+"/run", 2001, 0) }, false},
		{"a file", func(h string) error { return os.WriteFile(h+RunDir, nil, 0o600) }, false},
		{"a FIFO", func(h string) error { return unix.Mkfifo(h+RunDir, 0o600) }, false},
		{"a link of a user", func(h string) error { return errors.Join(os.Symlink("/run", h+RunDir), os.Lchown(h+RunDir, 2001, 0)) }, false},
		{"sessions of a user", func(h string) error {
			return errors.Join(os.MkdirAll(h+RunDir+"/sessions", 0o755), os.Chown(h+RunDir+"/sessions", 2001, 0))
		}, false},
		{"lock is a link", func(h string) error {
			return errors.Join(os.Mkdir(h+RunDir, 0o755), os.Symlink("/etc/passwd", h+RunDir+"/lock"))
		}, false},
	} {
		host := newHost(t)
		must(t, c.make(host))
		s, err := Open(rootAt(t, host))
		if (err == nil) != c.ok {
			t.Errorf("%s: got %v", c.name, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

// OpenExisting changes nothing.
func TestOpenExisting(t *testing.T) {
	host := newHost(t)
	if _, err := OpenExisting(rootAt(t, host)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(host + "/run"); len(entries) > 0 {
		t.Errorf("made %v", entries)
	}
	must(t, openStore(t, host).Put(newRecord(1)))
	s, err := OpenExisting(rootAt(t, host))
	must(t, err)
	defer s.Close()
	if _, err := s.Get(id(1)); err != nil {
		t.Error(err)
	}
}

// What a worker left that was killed while it wrote goes with a sweep, once it can't be a living one's.
func TestDrafts(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	old, young := host+RunDir+"/sessions/"+id(1)+".new", host+RunDir+"/sessions/"+id(2)+".new"
	for _, path := range []string{old, young} {
		must(t, os.WriteFile(path, nil, 0o600))
	}
	must(t, os.Chtimes(old, time.Time{}, time.Now().Add(-time.Hour)))
	for _, dry := range []bool{true, false} {
		_, err := s.Sweep(&machine{}, dry, always)
		must(t, err)
		if exists(old) != dry || !exists(young) {
			t.Errorf("dry %t: the old one is there: %t, the young one: %t", dry, exists(old), exists(young))
		}
	}
}

// The directories and the records are root's alone.
func TestModes(t *testing.T) {
	host := newHost(t)
	must(t, openStore(t, host).Put(newRecord(1)))
	for path, want := range map[string]uint32{"": 0o700, "/sessions": 0o700, "/lock": 0o600, "/sessions/" + id(1): 0o600} {
		var st syscall.Stat_t
		must(t, syscall.Stat(host+RunDir+path, &st))
		if st.Mode&0o7777 != want || st.Uid != 0 {
			t.Errorf("%s has mode %04o of %d, want %04o", path, st.Mode&0o7777, st.Uid, want)
		}
	}
}

// What a path names is undone by who made it as long as nobody has used it since.
func TestLockerCountsUses(t *testing.T) {
	host := newHost(t)
	maker, other := openStore(t, host).Locker(), openStore(t, host).Locker()
	for _, c := range []struct{ path, used string }{{"/d", ""}, {"/d", "/e"}, {"/d", "/d"}} {
		uses, err := maker.Use(c.path, func() error { return nil })
		must(t, err)
		if c.used != "" {
			_, err = other.Use(c.used, func() error { return nil })
			must(t, err)
		}
		undone := false
		must(t, maker.Undo(c.path, uses, func() error { undone = true; return nil }))
		if undone != (c.used != c.path) {
			t.Errorf("made %s, used %q: undone %t", c.path, c.used, undone)
		}
	}
	if _, err := maker.Use("/f", func() error { return fs.ErrClosed }); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the error of what was done is lost: %v", err)
	}
}

// Sessions wait for one that makes the same thing, and for nobody else.
func TestLocker(t *testing.T) {
	const user = 2001
	host := newHost(t)
	maker, other, another := openStore(t, host), openStore(t, host).Locker(), openStore(t, host)
	first, nothing := maker.Locker(), func() error { return nil }
	must(t, first.WhileNobodyMakes(user, func() error { // two that only look don't wait for one another
		return other.WhileNobodyMakes(user, nothing)
	}))
	for range 2 {
		must(t, first.BecomeMaker(user))
	}
	must(t, first.WhileNobodyMakes(user, nothing))
	must(t, openStore(t, host).Locker().BecomeMaker(2002))
	must(t, first.BecomeMaker(2003))
	must(t, first.StopMaking(2003))
	must(t, first.StopMaking(2003))
	must(t, openStore(t, host).Locker().BecomeMaker(2003))
	looked, made := make(chan error, 1), make(chan error, 1)
	go func() { looked <- other.WhileNobodyMakes(user, func() error { return fs.ErrClosed }) }()
	go func() { made <- another.Locker().BecomeMaker(user) }()
	select {
	case <-looked:
		t.Error("a session looked while another one made")
	case <-made:
		t.Error("two sessions make at once")
	case <-time.After(100 * time.Millisecond):
	}
	maker.Close() // as the end of its process does
	must(t, <-made)
	another.Close()
	if err := <-looked; !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the error of what was done is lost: %v", err)
	}
}
