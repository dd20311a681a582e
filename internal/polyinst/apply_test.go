package polyinst

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/config"
)

// run is one execution of a plan on a host, and what Apply told while it ran.
type run struct {
	host string
	plan *Plan
	env  Env
	left []Leftover
	// then looks at the session from inside.
	then func(a *Applied)
}

// newRun makes the plan of alice's session from a configuration in either grammar.
func newRun(t testing.TB, host, text string) *run {
	t.Helper()
	file := "namespace.conf"
	if strings.HasPrefix(text, "version:") {
		file = "gons.yaml"
	}
	req := aliceRequest()
	cfg := parseConfig(t, file, text)
	facts, err := Gather(cfg, req, newDatabase(req.User), machine{})
	must(t, err)
	plan, err := Build(cfg, req, facts)
	must(t, err)
	r := &run{host: host, plan: plan, then: func(*Applied) {}}
	r.env = Env{SessionID: strings.Repeat("0", 31) + "1", Locker: noLock{}, Intend: r.intend}
	return r
}

func (r *run) intend(l Leftover) error {
	r.left = append(r.left, l)
	return nil
}

// apply executes the plan in a namespace of its own, which ends with the call.
func (r *run) apply(t testing.TB) (err error) {
	t.Helper()
	inNamespace(t, func() {
		env := r.env
		if env.Root, err = rootAt(r.host); err != nil {
			return
		}
		defer env.Root.Close()
		var done *Applied
		if done, err = Apply(r.plan, env); err == nil {
			defer done.Close()
			r.then(done)
		}
	})
	return err
}

// noLock is a Locker that keeps nobody out.
type noLock struct{ err error }

func (l noLock) WhileNobodyMakes(_ uint32, f func() error) error { return f() }
func (l noLock) BecomeMaker(uint32) error                        { return l.err }
func (l noLock) StopMaking(uint32) error                         { return l.err }
func (l noLock) Use(_ string, f func() error) (uint64, error)    { return 1, f() }
func (l noLock) Undo(_ string, _ uint64, f func() error) error   { return f() }

func checkSame(t testing.TB, what string, before, after []string) {
	t.Helper()
	if !slices.Equal(before, after) {
		t.Errorf("%s changed: before\n%s\nafter\n%s", what, strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// conf is a configuration with something of everything; plain is a tree that it works on.
const conf = "/tmp /tmp-inst/ user:create=01777,root,root\n/var/tmp /i/s- tmpdir\n/shm x tmpfs:mntopts=size=1M,mode=1777,nosuid\n" +
	"/tmp /j/ user\n$HOME/new /k/ user:create=0700\n"

func paths(list []Covering) string {
	var out []string
	for _, c := range list {
		out = append(out, c.Path)
	}
	return strings.Join(out, " ")
}

const plain = "dir var; dir var/tmp 0:0 1777; dir shm; dir home; dir home/alice 2001:2001 0750"

func TestApply(t *testing.T) {
	host := newHost(t, lines(plain)...)
	must(t, unix.Mount("", host, "", unix.MS_SHARED, ""))
	before := mounts(t, "self", host)
	r := newRun(t, host, conf)
	var inside []string
	r.then = func(a *Applied) {
		inside = mounts(t, "thread-self", host)
		if got, want := paths(a.Covered()), "/tmp /var/tmp /shm /tmp /home/alice/new"; got != want {
			t.Errorf("covered %s, want %s", got, want)
		}
	}
	must(t, r.apply(t))
	checkSame(t, "the host's mounts", before, mounts(t, "self", host))
	left := r.left[slices.IndexFunc(r.left, func(l Leftover) bool { return l.Tree })]
	fresh := left.Name
	if !strings.HasPrefix(fresh, "s-") || len(fresh) != 8 || left.Parent != "/i" {
		t.Errorf("the fresh directory is left over as %+v", left)
	}
	master := strings.Replace(before[0][strings.Index(before[0], "shared"):], "shared", "master", 1)
	checkSame(t, "the session's mounts", []string{
		"/ / tmpfs rw,relatime " + master,
		"/tmp /tmp-inst/alice tmpfs rw,relatime " + master,
		"/var/tmp /i/" + fresh + " tmpfs rw,relatime " + master,
		"/shm / tmpfs rw,nosuid,relatime",
		"/tmp /j/alice tmpfs rw,relatime " + master,
		"/home/alice/new /k/alice tmpfs rw,relatime " + master,
	}, inside)
	checkSame(t, "what is made", []string{
		"/ 0755 0:0", "/home 0755 0:0", "/home/alice 0750 2001:2001", "/home/alice/new 0700 2001:2001",
		"/i 0000 0:0", "/i/" + fresh + " 1777 0:0", "/j 0000 0:0", "/j/alice 1777 0:0", "/k 0000 0:0", "/k/alice 0700 2001:2001",
		"/shm 0755 0:0", "/tmp 1777 0:0", "/tmp-inst 0000 0:0", "/tmp-inst/alice 1777 0:0",
		"/var 0755 0:0", "/var/tmp 1777 0:0",
	}, snapshot(t, host))
}

// existing is a configuration for directories that are there; there is where they are.
const existing = "/tmp /tmp-inst/ user\n/var/tmp /i/s- tmpdir\n/shm x tmpfs:mntopts=size=1M\n$HOME /j/ user\n"

const there = plain + "; dir tmp 0:0 1777"

// making is a configuration that makes much before anything is attached.
const making = "$HOME/tmp /tmp-inst/ user:create=01777,root,root\n/var/tmp /i/s- tmpdir\n$HOME/new /k/ user:create=0700\n"

// What exists is used again, and kept when the session fails.
func TestApplyAgain(t *testing.T) {
	host := newHost(t, append(lines(plain), "dir tmp 0:0 1777", "dir tmp-inst 0:0 0000", "dir tmp-inst/alice 2001:2001 0711")...)
	before := snapshot(t, host)
	r := newRun(t, host, "/tmp /tmp-inst/ user\n")
	for range 2 {
		must(t, r.apply(t))
	}
	r.plan.Steps = append(r.plan.Steps, Attach{Path: "/tmp", Slot: 99})
	if err := r.apply(t); err == nil {
		t.Error("no error")
	}
	checkSame(t, "the disk", before, snapshot(t, host))
	if len(r.left) > 0 {
		t.Errorf("left over: %v", r.left)
	}
}

// Intend is told before anything is there, of the directory that it names, and of nothing else.
func TestIntendComesFirst(t *testing.T) {
	host := newHost(t, lines(plain)...)
	r := newRun(t, host, conf)
	trees := 0
	r.env.Intend = func(l Leftover) error {
		var st unix.Stat_t
		must(t, unix.Stat(host+l.Parent, &st))
		if l.ParentIno != st.Ino || l.ParentDev != st.Dev {
			t.Errorf("%+v does not name %s", l, l.Parent)
		}
		if _, err := os.Lstat(host + l.Parent + "/" + l.Name); !os.IsNotExist(err) {
			t.Errorf("%+v is told of when it is there already", l)
		}
		if l.Tree {
			trees++
		} else if l.Parent != "/" && !strings.HasPrefix(l.Name, ".gons-"+r.env.SessionID+"-") { // in / are the parents
			t.Errorf("an unfinished directory is called %s", l.Name)
		}
		return nil
	}
	must(t, r.apply(t))
	if trees != 1 {
		t.Errorf("%d trees for one tmpdir", trees)
	}
}

type unknownStep struct{ Origin }

func (unknownStep) String() string { return "" }

// lastSteps are steps that fail, each after all of conf has succeeded.
var lastSteps = []struct {
	name, tree string
	step       Step
	want       string
}{
	{"nothing prepared", "", Attach{Slot: 99, Path: "/shm"}, "internal error: nothing was prepared for /shm"},
	{"unknown step", "", unknownStep{}, "internal error: no way to execute polyinst.unknownStep"},
	{"propagation", "", Propagate{Propagation: "unchanged"}, `internal error: propagation "unchanged"`},
	{"no home", "", PrepareHome{Path: "/home/bob"}, "cannot open /home/bob: openat2: no such file or directory"},
	{"home is a FIFO", "fifo home/bob", PrepareHome{Path: "/home/bob"}, "cannot open /home/bob: it is a FIFO, not a directory"},
	{"no directory", "", PrepareDirectory{Path: "/x", Parent: "/i", Name: "n"}, "cannot open /x: openat2: no such file or directory"},
	{"no tmpfs directory", "", PrepareTmpfs{Path: "/x"}, "cannot open /x: openat2: no such file or directory"},
	{"tmpfs parameter", "", PrepareTmpfs{Path: "/shm", Options: config.MountOptions{Data: []string{"size=x"}}},
		`cannot make a tmpfs for /shm: parameter "size=x": fsconfig: invalid argument (tmpfs: Bad value for 'size')`},
	{"tmpfs option", "", PrepareTmpfs{Path: "/shm", Options: config.MountOptions{Data: []string{"colour"}}},
		`cannot make a tmpfs for /shm: parameter "colour": fsconfig: invalid argument (tmpfs: Unknown parameter 'colour')`},
	{"no parent to make in", "", MakeDirectory{Path: "/no/such"}, "cannot open /no: openat2: no such file or directory"},
	{"no parent's parent", "", PrepareDirectory{Path: "/shm", Parent: "/no/such", Name: "n"}, "cannot open /no: openat2: no such file or directory"},
	{"a parent everybody sees", "dir p", PrepareDirectory{Path: "/shm", Parent: "/p", Name: "n"}, "cannot trust instance parent /p: its mode is 0755, expected 0000"},
	{"a user's parent", "dir p 2001:0 0000", PrepareDirectory{Path: "/shm", Parent: "/p", Name: "n"}, "cannot trust instance parent /p: it is owned by user 2001, expected root"},
	{"a file for an instance", "dir p 0:0 0000; file p/n", PrepareDirectory{Path: "/shm", Parent: "/p", Name: "n"},
		"cannot use instance /p/n: it is a regular file, not a directory"},
	{"name too long", "", PrepareDirectory{Path: "/shm", Parent: "/i", Name: strings.Repeat("n", 256)}, "cannot open /i/" + strings.Repeat("n", 256) + ": openat2: file name too long"},
}

// All or nothing: when the last step fails, the disk is as before, the host has heard of nothing, and no descriptor is
// left. The error names what failed, and the line of the configuration.
func TestApplyUndoes(t *testing.T) {
	for _, c := range lastSteps {
		host := newHost(t, append(lines(there), lines(c.tree)...)...)
		must(t, unix.Mount("", host, "", unix.MS_SHARED, ""))
		r := newRun(t, host, existing)
		r.plan.Steps = append(r.plan.Steps, c.step)
		files, table, open := snapshot(t, host), mounts(t, "self", host), descriptors(t)
		err := r.apply(t)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
		checkSame(t, c.name+": the disk", files, snapshot(t, host))
		checkSame(t, c.name+": the host's mounts", table, mounts(t, "self", host))
		if now := descriptors(t); now != open {
			t.Errorf("%s: %d descriptors before, %d after", c.name, open, now)
		}
	}
}

// What the session made and has covered by then, or covered twice, is undone too: rmdir(2) refuses a mount point.
func TestApplyUndoesWhatIsCovered(t *testing.T) {
	for _, conf := range []string{
		"$HOME/tmp /tmp-inst/ user:create\n",
		"/tmp /tmp-inst/ user:create\n",
		"$HOME/tmp x tmpfs:create\n",
		"/var/tmp /i/ user\n/var/tmp /j/ user\n",
		"$HOME /i/ user\n$HOME/x x tmpfs:create\n",
	} {
		host := newHost(t, lines(plain)...)
		r := newRun(t, host, conf)
		r.plan.Steps = append(r.plan.Steps, Attach{Slot: 99})
		before := snapshot(t, host)
		if err := r.apply(t); err == nil {
			t.Error("no error")
		}
		checkSame(t, conf+"the disk", before, snapshot(t, host))
	}
}

// A directory that all users share is undone while nobody else has begun to use it.
func TestApplyKeepsWhatAnotherSessionUses(t *testing.T) {
	const text = "/tmp x tmpfs:create=01777,root,root\n"
	for _, used := range []bool{false, true} {
		host := newHost(t, lines(plain)...)
		var locks keyed
		r, other := newRun(t, host, text), newRun(t, host, text)
		r.env.Locker, other.env.Locker = locks.locker(), locks.locker()
		want := snapshot(t, host)
		r.then = func(a *Applied) {
			if used {
				want = append(want, "/tmp 1777 0:0")
				must(t, other.apply(t))
			}
			must(t, a.Undo())
		}
		must(t, r.apply(t))
		slices.Sort(want)
		checkSame(t, fmt.Sprintf("used %t: the disk", used), want, snapshot(t, host))
	}
}

// The same for every point at which the record can't be written, or the lock can't be had.
func TestApplyUndoesWithoutRecord(t *testing.T) {
	const records = 11 // $HOME/tmp, its instance and parent, the tmpdir and its parent, $HOME/new, its instance and parent; parents count twice
	for fail := range records {
		checkUndone(t, fmt.Sprintf("with %d records", fail), func(r *run, broken error) {
			calls := 0
			r.env.Intend = func(Leftover) error {
				if calls++; calls > fail {
					return broken
				}
				return nil
			}
		})
	}
	checkUndone(t, "without a lock", func(r *run, broken error) { r.env.Locker = noLock{broken} })
}

// checkUndone breaks a session and checks that it leaves nothing.
func checkUndone(t *testing.T, what string, breakIt func(*run, error)) {
	t.Helper()
	broken := errors.New("broken")
	host := newHost(t, lines(plain)...)
	r := newRun(t, host, making)
	breakIt(r, broken)
	before := snapshot(t, host)
	if err := r.apply(t); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "namespace.conf:") {
		t.Errorf("%s: got %v", what, err)
	}
	checkSame(t, what+", the disk", before, snapshot(t, host))
}

// Undo takes away only what is still what was made, and is empty.
func TestUndoSparesWhatIsUsed(t *testing.T) {
	for _, c := range []struct{ name, undoes string }{
		{"used", "/tmp-inst/alice/mine"},
		{"gone", ""},
		{"replaced", "/tmp-inst/alice"},
		{"file", "/tmp-inst/alice"},
	} {
		host := newHost(t, "dir tmp 0:0 1777", "dir away")
		r := newRun(t, host, "/tmp /tmp-inst/ user\n")
		instance := host + "/tmp-inst/alice"
		r.then = func(a *Applied) {
			switch c.name {
			case "used":
				tree(t, instance, "dir mine")
			default:
				must(t, os.Rename(instance, host+"/away/x"))
			}
			switch c.name {
			case "replaced":
				tree(t, host, "dir tmp-inst/alice")
			case "file":
				tree(t, host, "file tmp-inst/alice")
			}
			must(t, a.Undo())
		}
		must(t, r.apply(t))
		if _, err := os.Lstat(host + c.undoes); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := os.Lstat(host + "/tmp-inst"); c.undoes == "" && err == nil {
			t.Errorf("%s: the instance parent is still there", c.name)
		}
	}
}
