package pam_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// holdInstances takes the lock of a user's instances, so that a worker stops in the middle: its host has moved, and a
// tmpdir is made. It is given back with the test, or by the function returned.
func holdInstances(t testing.TB, uid int) (release func()) {
	t.Helper()
	f, err := os.OpenFile("/run/gons/lock", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(uid), Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	release = func() { f.Close() }
	t.Cleanup(release)
	return release
}

// workerOf waits for the worker of a host, and until it is in the middle.
func workerOf(t testing.TB, host int, instances string) (pid int) {
	t.Helper()
	eventually(t, "the worker is in the middle", func() bool {
		if children := childrenOf(t, host); len(children) > 0 {
			pid = children[len(children)-1]
		}
		return pid != 0 && len(names(t, instances)) == 1
	})
	return pid
}

// stuck is a configuration whose worker stops at the second directory while holdInstances holds.
func stuck(t testing.TB, options ...string) string {
	t.Helper()
	makeRunDir(t)
	dir := area(t)
	tree(t, dir, "dir fresh 1777", "dir tmp 1777", "dir inst 0000", "dir inst2 0000")
	configure(t, dir, "directories:\n"+listed([]string{
		"path: {A}/fresh, method: tmpdir, instances: {A}/inst", "path: {A}/tmp, method: user, instances: {A}/inst2"}), options...)
	return dir
}

func TestAWorkerThatDiesOrStopsFailsTheSession(t *testing.T) {
	for _, c := range []struct {
		name     string
		signal   syscall.Signal
		log      []string
		from, to time.Duration
	}{
		{"killed", syscall.SIGKILL, []string{"worker ended without an answer"}, 0, 900 * time.Millisecond},
		{"crashed", syscall.SIGSEGV, []string{"worker"}, 0, 900 * time.Millisecond},
		{"stopped", syscall.SIGSTOP, []string{"did not finish in time"}, 900 * time.Millisecond, 3 * time.Second},
		{"waiting", 0, []string{"did not finish in time"}, 900 * time.Millisecond, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := stuck(t, "timeout=1")
			log := sandbox.NewLog(t)
			snap := sandbox.NewSnapshot(t, "/tmp", "/run", dir)
			release := holdInstances(t, 2001)
			p := newPamhost(t, "alice", "--cwd", dir+"/fresh", "--handlers")
			began := time.Now()
			p.start()
			syscall.Kill(workerOf(t, p.cmd.Process.Pid, dir+"/inst"), c.signal)
			r := p.wait()
			took := time.Since(began)
			release()
			if r.get("open") != "14" || took < c.from || took > c.to {
				t.Errorf("PAM code %s after %v, expected PAM_SESSION_ERR in %v to %v", r.get("open"), took, c.from, c.to)
			}
			r.untouched(t, "before", "after")
			nothingLeft(t, dir+"/inst")
			snap.Check()
			log.Expect(c.log...)
			if said := r["conv"]; len(said) != 1 || said[0] != "3:"+sentence {
				t.Errorf("the user was told %q", said)
			}
		})
	}
}

// A host that is killed takes its worker with it, and the next open removes what both left.
func TestAKilledHostLeavesNothingToTheNextSession(t *testing.T) {
	dir := stuck(t)
	release := holdInstances(t, 2001)
	p := newPamhost(t, "alice")
	p.start()
	worker := workerOf(t, p.cmd.Process.Pid, dir+"/inst")
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.timer.Stop()
	eventually(t, "the worker ends", func() bool { return gone(worker) })
	release()
	host(t).opened(t)
	nothingLeft(t, dir+"/inst")
	if got := names(t, dir+"/inst2"); len(got) != 1 || got[0] != "alice" {
		t.Errorf("alice's instance: %q", got)
	}
}

// While one session of a user waits, others of the same user wait for it, and other users don't.
func TestOneUsersSessionsDontHoldUpAnothers(t *testing.T) {
	stuck(t)
	release := holdInstances(t, 2001)
	r := newPamhost(t, "bob").run().opened(t)
	if r.get("open") != "0" {
		t.Errorf("bob: %s", r.get("open"))
	}
	release()
}

// Instance parents are made where they are missing; one of a session that came to nothing must go again.
func TestAKilledWorkerLeavesNoInstanceParents(t *testing.T) {
	dir := stuck(t, "timeout=1")
	tree(t, dir, "dir above 0755")
	directories(t, dir, "path: {A}/fresh, method: tmpdir, instances: {A}/inst", "path: {A}/tmp, method: user, instances: {A}/above/inst2")
	release := holdInstances(t, 2001)
	p := newPamhost(t, "alice")
	p.start()
	worker := workerOf(t, p.cmd.Process.Pid, dir+"/inst")
	eventually(t, "the instance parent is made", func() bool { return len(names(t, dir+"/above")) == 1 })
	syscall.Kill(worker, syscall.SIGKILL)
	p.wait()
	release()
	nothingLeft(t, dir+"/above")
}
