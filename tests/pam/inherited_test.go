package pam_test

import (
	"os"
	"testing"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// inner opens a session for a user from inside another one, as su does, with options of its own.
func inner(t testing.TB, outer *session, user, dir string, options string) *session {
	t.Helper()
	sandbox.Stack(t, service, "required", options)
	s := begin(t, user, outer.thread)
	s.try(func() error { return s.tx.SetItem(pam.Ruser, "alice") })
	if err := s.open(0); err != nil {
		t.Fatalf("opening a session for %s: %v (said: %q)", user, err, s.said)
	}
	return s
}

// su from a session: without unmnt_remnt the new instance covers the old one, with it the old one is gone there, and
// with unmnt_only there is none. The outer session keeps its own in all three.
func TestSessionInASession(t *testing.T) {
	for _, c := range []struct{ options, user, see, below string }{
		{"", "bob", "bobs", "alices"},
		{"unmnt_remnt", "bob", "bobs", "hosts"},
		{"unmnt_remnt", "root", "hosts", ""},
		{"unmnt_only", "bob", "hosts", ""},
		{"", "root", "alices", ""}, // gets none, and stays where it is
	} {
		t.Run(c.options+" "+c.user, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir new 1777", "file new/hosts 0644")
			directories(t, dir, "path: {A}/new, method: user, instances: {A}/i, except: {users: [root]}")
			outer := open(t, "alice")
			outer.sh(2001, "touch "+dir+"/new/alices")
			s := inner(t, outer, c.user, dir, c.options)
			if c.see == "bobs" {
				s.sh(2002, "touch "+dir+"/new/bobs")
			}
			if got := s.sh(0, "ls "+dir+"/new"); got != c.see {
				t.Errorf("%s sees %q, expected %q", c.user, got, c.see)
			}
			if c.below != "" && s.mount(dir+"/new") != nil {
				if got := s.sh(0, "umount "+dir+"/new; ls "+dir+"/new"); got != c.below {
					t.Errorf("below is %q, expected %q", got, c.below)
				}
			}
			if got := outer.sh(0, "ls "+dir+"/new"); got != "alices" {
				t.Errorf("the outer session sees %q", got)
			}
			s.close()
			if got := outer.sh(0, "ls "+dir+"/new"); got != "alices" {
				t.Errorf("once the inner one is closed, the outer session sees %q", got)
			}
		})
	}
}

// What gons hasn't mounted stays: pam_namespace unmounts a real file system of the host's.
func TestRealMountsAreNotUnmounted(t *testing.T) {
	for _, options := range []string{"unmnt_remnt", "unmnt_only"} {
		for _, user := range []string{"bob", "root"} {
			dir := area(t)
			tree(t, dir, "dir new 1777")
			mustMount(t, "real", dir+"/new", "tmpfs", 0, "mode=1777")
			tree(t, dir, "file new/real 0644")
			directories(t, dir, "path: {A}/new, method: tmpfs, except: {users: [root]}")
			h := newHost(t, unix.MS_SHARED)
			sandbox.Stack(t, service, "required", options)
			s := begin(t, user, h)
			s.try(func() error { return s.tx.SetItem(pam.Ruser, "alice") })
			if err := s.open(0); err != nil {
				t.Fatal(err)
			}
			if user == "root" || options == "unmnt_only" {
				if got := s.sh(0, "ls "+dir+"/new"); got != "real" {
					t.Errorf("%s, %s: the session sees %q", options, user, got)
				}
			}
			if got := h.sh(0, "ls "+dir+"/new"); got != "real" {
				t.Errorf("%s, %s: the host sees %q", options, user, got)
			}
		}
	}
}

// Sessions in sessions in sessions: with unmnt_only all of their instances are gone.
func TestManySessionsInOneAnother(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777", "file new/hosts 0644", "dir shm 1777", "file shm/hosts 0644")
	directories(t, dir, "path: {A}/new, method: user, instances: {A}/i", "path: {A}/shm, method: tmpfs")
	first := open(t, "alice")
	second := inner(t, first, "bob", dir, "")
	third := inner(t, second, "alice", dir, "")
	s := inner(t, third, "root", dir, "unmnt_only")
	if got := s.sh(0, "ls "+dir+"/new "+dir+"/shm | grep -c hosts"); got != "2" {
		t.Errorf("the innermost session sees %s directories of the host's", got)
	}
}

// A working directory in an instance that is taken away is left, one that has no name any more too: from it ".." leads
// into the instance.
func TestWorkingDirectoryInAnInstanceThatIsTakenAway(t *testing.T) {
	for _, removed := range []bool{false, true} {
		dir := area(t)
		tree(t, dir, "dir new 1777")
		directories(t, dir, "path: {A}/new, method: user, instances: {A}/i")
		outer := open(t, "alice")
		sandbox.Stack(t, service, "required", "unmnt_only")
		s := begin(t, "bob", outer.thread)
		s.try(func() error { return s.tx.SetItem(pam.Ruser, "alice") })
		s.try(func() error { return os.MkdirAll(dir+"/new/sub", 0o755) })
		s.try(func() error { return unix.Chdir(dir + "/new/sub") })
		if removed {
			s.try(func() error { return unix.Rmdir(dir + "/new/sub") })
		}
		if err := s.open(0); err != nil {
			t.Fatal(err)
		}
		cwd := ""
		s.try(func() (err error) { cwd, err = os.Readlink("/proc/thread-self/cwd"); return err })
		if cwd != "/" {
			t.Errorf("removed %t: the working directory is %s", removed, cwd)
		}
	}
}

// Whoever asks for it, an exempt user's session needs no look-up.
func TestWhoAsksForAnExemptSessionMayBeUnknown(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777")
	configure(t, dir, "exempt: {users: [root]}\ndirectories: [{path: {A}/new, method: tmpfs}]\n", "unmnt_remnt")
	s := begin(t, "root", nil)
	s.try(func() error { return s.tx.SetItem(pam.Ruser, "nobody-knows") })
	if err := s.open(0); err != nil {
		t.Error(err)
	}
}

// A session's processes may live on once it is closed (tmux, nohup), and it has no record then.
func TestInstancesOfAClosedSessionAreTakenAway(t *testing.T) {
	for _, method := range []string{"method: tmpfs", "method: tmpdir, instances: {A}/i", "method: user, instances: {A}/i"} {
		t.Run(method, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir new 1777", "file new/hosts 0644")
			directories(t, dir, "path: {A}/new, "+method+", except: {users: [root]}")
			outer := open(t, "alice")
			outer.sh(2001, "touch "+dir+"/new/alices")
			outer.close()
			s := inner(t, outer, "root", dir, "unmnt_only")
			if got := s.sh(0, "ls "+dir+"/new"); got != "hosts" {
				t.Errorf("root sees %q", got)
			}
		})
	}
}
