package attack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// A4. Attack: the same while sessions are closed: the way to the instance parent leads now to the session's tmpdir, now to
// a directory of root's that holds one of the same name.
// Passes when nothing of root's goes, a close that was led astray fails, and closing once more removes the session's own.
func TestA04ExchangeWhileClosing(t *testing.T) {
	for _, m := range both {
		t.Run(m.String(), func(t *testing.T) {
			dir := area(t, ground, "link u/p.l {A}/victim 2001:2001")
			configure(t, dir, "{A}/tmp {A}/u/p/inst/ tmpdir:noinit", "unmount_on_close")
			inst, err := os.Open(dir + "/u/p/inst")
			testkit.Must(t, err)
			defer inst.Close()
			bait := fmt.Sprintf("/proc/self/fd/%d", inst.Fd()) // the real one, wherever it is
			var s score
			stop := exchanging(t, dir, "u/p")
			n := map[module]int{gons: times(40), peer: times(40) / 4}[m]
			batches(t, func() bool { return s.opened < n }, func(t *testing.T) { closeBaited(t, m, bait, dir+"/victim/inst", &s) })
			stop()
			t.Logf("%s: %v; of the closes %d could not find the tmpdir", m, s, s.astray)
			if m == peer {
				return
			}
			if s.lost > 0 || s.astray == 0 {
				t.Errorf("%v; expected none lost, and some closes led astray", s)
			}
			restore(t, dir, "u/p")
			if s.closeAgain(); len(s.unclosed) > 0 {
				t.Errorf("%d sessions can't be closed", len(s.unclosed))
			}
			nothingLeft(t, bait)
		})
	}
}

// closeAgain closes what a close has failed for.
func (s *score) closeAgain() {
	s.unclosed = slices.DeleteFunc(s.unclosed, func(tx *pam.Transaction) bool {
		if tx.CloseSession(0) != nil {
			return false
		}
		tx.End()
		return true
	})
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// restore puts the directory back into its place.
func restore(t *testing.T, dir string, swaps ...string) {
	t.Helper()
	for _, swap := range swaps {
		if path := filepath.Join(dir, swap); isLink(path) {
			testkit.Must(t, exchange(path, path+".l"))
		}
	}
}

// closeBaited opens a session, puts a directory of root's with the instance's name in the other place, closes, and counts
// it as lost when that is gone.
func closeBaited(t *testing.T, m module, instances, other string, s *score) {
	t.Helper()
	before := names(t, instances)
	th := newThread(t)
	home := th.namespace()
	th.try(func() error {
		tx, err := transaction(m, "alice", "")
		if err != nil {
			return err
		}
		s.closeAgain() // or records would heap up, which every open looks through
		if tx.OpenSession(0) != nil {
			s.refused++
			tx.End()
			return nil
		}
		s.opened++
		for _, name := range names(t, instances) {
			if !slices.Contains(before, name) {
				err = os.MkdirAll(other+"/"+name+"/precious", 0o755)
			}
		}
		if tx.CloseSession(0) != nil { // it was led astray, and has said so
			s.astray++
			s.unclosed = append(s.unclosed, tx)
		} else {
			tx.End()
		}
		for _, name := range names(t, other) {
			if !exists(other + "/" + name + "/precious") {
				s.lost++
			}
			os.RemoveAll(other + "/" + name)
		}
		if err == nil {
			err = unix.Setns(home, unix.CLONE_NEWNS)
		}
		return err
	})
}

// A4. Attack: the same while an open fails and takes back what it has made: a directory by create, and a tmpdir.
// Passes when root's tree is untouched and nothing that was made stays.
func TestA04ExchangeWhileUndoing(t *testing.T) {
	dir := area(t, ground, "link u/p.l {A}/victim 2001:2001; link u/a/b.l {A}/victim/b 2001:2001")
	configure(t, dir, "{A}/tmp {A}/u/p/inst/ tmpdir:noinit\n{A}/u/a/b/new {A}/i/ user:noinit:create\n{A}/missing {A}/i/ user:noinit")
	v := watch(t, dir+"/victim", 0)
	log := sandbox.NewLog(t)
	stop := exchanging(t, dir, "u/p", "u/a/b")
	s := rounds(t, gons, times(40), "alice", "", nil, func() bool { return false })
	stop()
	v.untouched("gons")
	undone := 0
	for _, line := range log.Lines() {
		if strings.Contains(line, dir+"/missing") {
			undone++
		}
	}
	t.Logf("gons: %v, %d of them had two directories to undo", s, undone)
	if s.opened > 0 || undone == 0 {
		t.Errorf("expected no session, and some that failed at the last line only")
	}
	restore(t, dir, "u/p", "u/a/b")
	nothingLeft(t, dir+"/u/p/inst")
	if exists(dir + "/u/a/b/new") {
		t.Error("the created directory stays")
	}
}

// A4. Attack: the same during unmnt_remnt: the directory's path leads now to the outer session's instance, now to a file
// system that root has mounted.
// Passes when that is mounted in every inner session.
func TestA04ExchangeWhileUncovering(t *testing.T) {
	for _, m := range both {
		t.Run(m.String(), func(t *testing.T) {
			dir := area(t, ground, "link u/a/b.l {A}/victim/b 2001:2001; tmpfs victim/b rw; dir victim/b/c")
			testkit.Must(t, unix.Mount("real", dir+"/victim/b/c", "tmpfs", 0, ""))
			t.Cleanup(func() { unix.Unmount(dir+"/victim/b/c", unix.MNT_DETACH) })
			configure(t, dir, "{A}/u/a/b/c {A}/i/ user:noinit", "unmnt_remnt")
			outer := begin(t, m, "alice", "root", nil)
			if err := outer.open(); err != nil {
				t.Fatal(err)
			}
			stop := exchanging(t, dir, "u/a/b")
			defer stop()
			s := rounds(t, m, map[module]int{gons: times(40), peer: times(40) / 4}[m], "alice", "alice", outer.thread, func() bool {
				return !slices.ContainsFunc(mounts(), func(m mount) bool { return m.point == dir+"/victim/b/c" && m.root == "/" })
			})
			t.Logf("%s: %v", m, s)
			if m == gons && (s.lost > 0 || s.opened == 0 || s.refused == 0) {
				t.Errorf("%v; expected some opened, some refused, none lost", s)
			}
		})
	}
}
