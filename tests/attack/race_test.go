package attack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// race is one pair of entries that alice exchanges as fast as she can while sessions are opened for her.
type race struct {
	name string
	tree string // in the area, besides what every race has
	line string // of namespace.conf
	swap string // a directory of alice's; SWAP.l is a link to a tree of root's
	// What the naive module uses: the directory, the instance, and which directory it makes first ("" for none).
	directory, instance, makes string
	options                    []string
}

// ground is what every race has: u is alice's, down to the directory; victim is root's and looks the same.
const ground = "dir u 2001:2001; dir u/a 2001:2001; dir u/a/b 2001:2001; dir u/a/b/c 2001:2001; dir i 0:0 0000; dir n;" +
	"dir tmp 0:0 1777; dir u/p 2001:2001; dir u/p/inst 0:0 0000;" +
	"dir victim; dir victim/b; dir victim/b/c; dir victim/inst 0:0 0000; dir victim/alice"

var races = []race{
	{name: "first component", line: "{A}/u/a/b/c {A}/i/ user:noinit", swap: "u/a", tree: "link u/a.l {A}/victim 2001:2001",
		directory: "u/a/b/c", instance: "n"},
	{name: "middle component", line: "{A}/u/a/b/c {A}/i/ user:noinit", swap: "u/a/b", tree: "link u/a/b.l {A}/victim/b 2001:2001",
		directory: "u/a/b/c", instance: "n"},
	{name: "last component", line: "{A}/u/a/b/c {A}/i/ user:noinit", swap: "u/a/b/c", tree: "link u/a/b/c.l {A}/victim/b/c 2001:2001",
		directory: "u/a/b/c", instance: "n"},
	{name: "create", line: "{A}/u/a/b/new {A}/i/ user:noinit:create=0700,alice", swap: "u/a/b", tree: "link u/a/b.l {A}/victim/b 2001:2001",
		directory: "u/a/b/new", instance: "n", makes: "u/a/b/new"},
	{name: "way to the instance parent", line: "{A}/tmp {A}/u/p/inst/ tmpdir:noinit", swap: "u/p", tree: "link u/p.l {A}/victim 2001:2001",
		directory: "tmp", instance: "u/p/inst/new", makes: "u/p/inst/new"},
	{name: "instance", line: "{A}/tmp {A}/u/p/ user:noinit", swap: "u/p/alice", options: []string{"ignore_instance_parent_mode"},
		tree: "dir u/p/alice 2001:2001; link u/p/alice.l {A}/victim/alice 2001:2001", directory: "tmp", instance: "u/p/alice"},
}

// score is what became of many opens under attack.
type score struct {
	opened, refused, lost int
	astray                int                // closes that have failed
	unclosed              []*pam.Transaction // and not been made good yet
}

func (s score) String() string {
	return fmt.Sprintf("%d opened, %d refused, %d lost to the attacker", s.opened, s.refused, s.lost)
}

// naive opens as a module would that looks at paths first and uses them afterwards, as pam_namespace did before
// CVE-2025-6020, on the calling thread's namespace; it returns false where it refuses.
func (r race) naive(dir string) bool {
	target, instance := filepath.Join(dir, r.directory), filepath.Join(dir, r.instance)
	for _, path := range append(components(dir, target), components(dir, instance)...) {
		info, err := os.Lstat(path)
		if path == filepath.Join(dir, r.makes) && os.IsNotExist(err) {
			continue
		}
		if err != nil || !info.IsDir() {
			return false
		}
	}
	if r.makes != "" {
		os.Mkdir(filepath.Join(dir, r.makes), 0o700)
	}
	return unix.Mount(instance, target, "", unix.MS_BIND, "") == nil
}

// lost reports whether the calling thread's namespace has a mount on or of what is root's, and unmounts what is below dir.
func lost(dir string, unmount bool) (lost bool) {
	found := mounts()
	for _, m := range slices.Backward(found) {
		if m.point == dir || !isBelow(m.point, dir) {
			continue
		}
		if strings.HasPrefix(m.root, "/victim") || isBelow(m.point, dir+"/victim") {
			lost = true
		}
		if unmount {
			unix.Unmount(m.point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	}
	return lost
}

// proveReal runs the naive module until it has lost three times: then the race is one.
func (r race) proveReal(t *testing.T, dir string) {
	t.Helper()
	th := newThread(t)
	var s score
	th.try(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		for end := time.Now().Add(deadline); s.lost < 3 && time.Now().Before(end); {
			if r.naive(dir) {
				s.opened++
			} else {
				s.refused++
			}
			hit := lost(dir, true)
			if name := filepath.Base(r.makes); r.makes != "" {
				for _, where := range []string{"/victim/b/", "/victim/inst/"} {
					hit = os.Remove(dir+where+name) == nil || hit
				}
				os.Remove(filepath.Join(dir, r.makes))
			}
			if hit {
				s.lost++
			}
		}
		return nil
	})
	if s.lost == 0 {
		t.Errorf("the attack never won, not even on a module that uses paths: %v", s)
	}
	t.Logf("naive module: %v", s)
}

// rounds opens and closes sessions, one after the other, each in the host's namespace or that of from, and counts.
func rounds(t *testing.T, m module, n int, user, ruser string, from *thread, isLost func() bool) (s score) {
	t.Helper()
	th := newThread(t)
	if from == nil {
		from = th
	}
	home := from.namespace()
	for range n {
		th.try(func() error {
			if err := unix.Setns(home, unix.CLONE_NEWNS); err != nil {
				return err
			}
			tx, err := transaction(m, user, ruser)
			if err != nil {
				return err
			}
			defer tx.End()
			if tx.OpenSession(0) != nil {
				s.refused++
				return nil
			}
			s.opened++
			if isLost() {
				s.lost++
			}
			tx.CloseSession(0) // it may fail while alice is at it; a later one goes on
			return nil
		})
	}
	return s
}

// exchanging has alice exchange a directory of hers and the link beside it until the returned function is called.
func exchanging(t *testing.T, dir string, swaps ...string) (stop func()) {
	t.Helper()
	return testkit.Attack(t, sandbox.Alice.UID, func() {
		for _, swap := range swaps {
			path := filepath.Join(dir, swap)
			exchange(path, path+".l")
		}
	})
}

// A3. Attack: a process of alice's, outside of every session, exchanges each component of the directory, of the way to
// the instance parent, and the instance itself for a symbolic link to a tree of root's (renameat2 RENAME_EXCHANGE)
// while sessions are opened.
// Passes when no mount ever lies on root's tree or shows it, and nothing in it is made, given away or changed, while
// some opens succeed and some are refused. Reference: CVE-2025-6020.
func TestA03ExchangeWhileOpening(t *testing.T) {
	for _, r := range races {
		t.Run(r.name, func(t *testing.T) {
			dir := area(t, ground, r.tree)
			configure(t, dir, r.line, r.options...)
			stop := exchanging(t, dir, r.swap)
			r.proveReal(t, dir)
			v := watch(t, dir+"/victim", 0)
			s := rounds(t, gons, times(40), "alice", "", nil, func() bool { return lost(dir, false) })
			t.Logf("gons: %v", s)
			if v.untouched("gons"); s.lost > 0 || s.opened == 0 || s.refused == 0 {
				t.Errorf("gons: %v; expected some opened, some refused, none lost", s)
			}
			p := rounds(t, peer, times(40)/4, "alice", "", nil, func() bool { return lost(dir, false) })
			t.Logf("pam_namespace: %v; root's tree was touched %d times", p, len(v.events()))
			stop()
		})
	}
}
