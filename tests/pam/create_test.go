package pam_test

import (
	"os"
	"syscall"
	"testing"
)

// In a sticky directory another user may have been first. What that user put there is not to be covered: its owner and
// mode would be the instance's, and its owner could take it away again.
func TestADirectoryThatAnotherUserMadeFirstIsRefused(t *testing.T) {
	const shared = `path: {A}/tmp/build, method: user, instances: {A}/inst, create: {mode: "1777", owner: root, group: root}`
	f := failure{user: "bob", tree: []string{"dir tmp 1777", "dir tmp/build 0700 2001"}, directories: []string{shared},
		log: []string{yamlFile + ":3:5", "{A}/tmp/build", "user 2001"}}
	t.Run("instance", f.check)
	f.directories = []string{`path: {A}/tmp/build, method: tmpfs, create: {}`}
	t.Run("tmpfs", f.check)
	dir := area(t)
	tree(t, dir, f.tree...)
	directories(t, dir, shared)
	host(t).opened(t) // it is her own
	if newPamhost(t, "bob").run().get("open") == "0" {
		t.Error("bob's session covers alice's directory")
	}
	if err := os.Remove(dir + "/tmp/build"); err != nil {
		t.Fatal(err)
	}
	r := newPamhost(t, "bob", "--run", "touch "+dir+"/tmp/build/x && ls "+dir+"/tmp/build | sed s/^/sees=/").run().opened(t)
	if got := looks(t, dir+"/tmp/build"); got != "1777 0 0" || r.get("sees") != "x" {
		t.Errorf("once root has removed alice's: it is %s, and bob sees %q", got, r.get("sees"))
	}
}

// A session that comes to nothing takes back the directory that it made for all, unless another session has used it
// since: that may stand on it, and the kernel would take its mount away with the directory (rmdir(2)).
func TestUndoingADirectoryThatUsersShare(t *testing.T) {
	for _, c := range []struct {
		name  string
		bob   func(t testing.TB) *session
		kill  bool
		stays bool
	}{
		{"nobody used it", nil, false, false},
		{"bob's session uses it", func(t testing.TB) *session { return open(t, "bob") }, false, true},
		{"bob's session used it", func(t testing.TB) *session { open(t, "bob").close(); return nil }, false, true},
		{"bob's session uses it, and the worker is killed", func(t testing.TB) *session { return open(t, "bob") }, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := shared(t)
			if err := os.Remove(dir + "/home/fs/sub"); err != nil { // what alice's session fails of
				t.Fatal(err)
			}
			release := holdInstances(t, 2001)
			alice := starting(t, dir)
			var bob *session
			if c.bob != nil {
				bob = c.bob(t)
			}
			if c.kill {
				syscall.Kill(childOf(t, alice.cmd.Process.Pid), syscall.SIGKILL)
			}
			release()
			if got := alice.wait().get("open"); got != "14" {
				t.Errorf("alice: PAM code %s", got)
			}
			if exists(dir+"/p/shared") != c.stays || len(names(t, dir+"/p")) > 1 {
				t.Errorf("left: %q, expected the directory: %v", names(t, dir+"/p"), c.stays)
			}
			if bob != nil {
				bob.covered(dir + "/p/shared")
				bob.sh(2002, "touch "+dir+"/p/shared/x")
				bob.close()
			}
			nothingLeft(t)
		})
	}
}
