package load_test

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// waits is a configuration whose script stops the user's first session, with the user's lock, while {A}/wait is there.
func waits(t testing.TB, options ...string) (dir string) {
	t.Helper()
	dir = area(t)
	makeDir(t, dir+"/tmp", 0o1777, 0)
	makeDir(t, dir+"/inst", 0, 0)
	script(t, dir+"/init", "echo $4 >>"+dir+"/said; [ $4 = bob ] || [ ! -e "+dir+"/wait ] || read end <"+dir+"/wait")
	if err := unix.Mkfifo(dir+"/wait", 0o600); err != nil {
		t.Fatal(err)
	}
	configure(t, dir, []string{"path: {A}/tmp, method: user, instances: {A}/inst, init: {A}/init"}, options...)
	return dir
}

// A lock that never comes free ends the login at its deadline, leaves nothing, and is nobody else's business.
func TestALockThatNeverComesFree(t *testing.T) {
	for name, hold := range map[string]func(t *testing.T, dir string) (release func()){
		"held by some process": holdByte, "held by a worker that is stopped": stopWorker,
	} {
		t.Run(name, func(t *testing.T) {
			dir := waits(t, "timeout=30")
			sandbox.Stack(t, service+"-soon", "required", "timeout=2")
			newPamhost(t, "bob", "--brief").run().opened(t)
			release := hold(t, dir)
			log, count := sandbox.NewLog(t), newCensus(t, dir)
			alice := newPamhost(t, "alice").of(service + "-soon").start()
			childOf(t, alice.pid())
			newPamhost(t, "bob", "--brief").of(service + "-soon").run().opened(t)
			alice.wait().refused(t)
			log.Expect("did not finish in time")
			count.check(1)
			release()
			newPamhost(t, "alice").run().opened(t)
		})
	}
}

// holdByte takes the lock of alice's instances.
func holdByte(t *testing.T, dir string) (release func()) {
	f, err := os.OpenFile("/run/gons/lock", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(sandbox.Alice.UID), Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return func() {
		f.Close()
		os.Remove(dir + "/wait")
	}
}

// stopWorker stops the worker of another session of alice's, which must open all the same once it goes on.
func stopWorker(t *testing.T, dir string) (release func()) {
	other, worker := inScript(t, dir)
	syscall.Kill(worker, syscall.SIGSTOP)
	return func() {
		syscall.Kill(worker, syscall.SIGCONT)
		letScriptEnd(t, dir)
		other.wait().opened(t)
	}
}

// inScript starts a session of alice's and returns when its script runs.
func inScript(t *testing.T, dir string) (p *pamhost, worker int) {
	t.Helper()
	os.Remove(dir + "/said")
	p = newPamhost(t, "alice").start()
	eventually(t, "the script runs", func() bool { return exists(dir + "/said") })
	return p, childOf(t, p.pid())
}

// letScriptEnd ends the script that waits, and all later ones at once.
func letScriptEnd(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(dir+"/wait", os.O_WRONLY, 0) // waits for the script
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	os.Remove(dir + "/wait")
	if _, err := f.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
}

// Under su and sudo the host has the caller's real user id, so the caller can stop it: with the lock of the user whose
// session it opens. That must not keep this user from logging in for longer than a session may take to open.
func TestAHostThatIsStopped(t *testing.T) {
	dir := waits(t, "timeout=2")
	sandbox.Stack(t, service+"-later", "required", "timeout=60")
	count := newCensus(t)
	stopped, worker := inScript(t, dir)
	if err := syscall.Kill(stopped.pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	letScriptEnd(t, dir)
	newPamhost(t, "alice", "--brief").of(service + "-later").run().opened(t)
	eventually(t, "its worker has ended", func() bool { return ended(worker) })
	syscall.Kill(stopped.pid(), syscall.SIGCONT)
	stopped.wait().refused(t)
	count.check(1)
	if got := names(t, dir+"/inst"); len(got) != 1 {
		t.Errorf("instances: %q", got)
	}
}
