package pam_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// hang mounts a file system of alice's whose server takes every request and never answers. Who waits for it can't even
// be killed, until the server ends: with the test, or by the function returned.
func hang(t testing.TB, at string) (end func()) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	mustMount(t, "alice's", at, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=2001,group_id=2001,allow_other", fd))
	device := os.NewFile(uintptr(fd), "/dev/fuse")
	end = func() { device.Close() }
	t.Cleanup(end)
	go func() {
		request := make([]byte, 1<<20)
		for {
			if _, err := device.Read(request); err != nil {
				return
			}
			if opcode := binary.NativeEndian.Uint32(request[4:]); opcode == fuseInit {
				device.Write(fuseStarted(request[8:16]))
			}
		}
	}()
	return end
}

const fuseInit = 26

// fuseStarted is the one answer that is needed for others to be asked for (fuse(4)).
func fuseStarted(unique []byte) []byte {
	const size = 16 + 64 // of the header and of struct fuse_init_out
	out := binary.NativeEndian.AppendUint32(nil, size)
	out = binary.NativeEndian.AppendUint32(out, 0) // no error
	out = append(out, unique...)
	out = binary.NativeEndian.AppendUint32(out, 7) // the protocol's version
	out = binary.NativeEndian.AppendUint32(out, 31)
	return append(out, make([]byte, size-len(out))...)
}

// shared is a configuration in which alice's session, once it has made a directory that all sessions need, can hang: by
// the lock of her instances, or in a directory of hers.
func shared(t testing.TB, options ...string) string {
	t.Helper()
	makeRunDir(t)
	dir := area(t)
	tree(t, dir, "dir p 0755", "dir tmp 1777", "dir inst 0000", "dir home 0755 2001", "dir home/fs 0755 2001", "dir home/fs/sub 0755 2001")
	configure(t, dir, "directories:\n"+listed([]string{
		`path: {A}/p/shared, method: tmpfs, create: {mode: "1777", owner: root, group: root}`,
		"path: {A}/tmp, method: user, instances: {A}/inst", "path: {A}/home/fs/sub, method: tmpfs, only: {users: [alice]}",
	}), options...)
	return dir
}

// starting starts a session of alice's in the configuration of shared, and returns when it has made the directory.
func starting(t testing.TB, dir string) *pamhost {
	t.Helper()
	p := newPamhost(t, "alice")
	p.start()
	eventually(t, "alice's session has made the directory", func() bool { return exists(dir + "/p/shared") })
	return p
}

// A session that hangs, at its user's will even, holds up no other user's.
func TestAUserWhoseSessionHangsHoldsUpNobodyElse(t *testing.T) {
	for _, c := range []struct {
		name string
		hang func(t testing.TB, dir string) (end func())
		open string // alice's, in the end
	}{
		{"at a lock", func(t testing.TB, _ string) func() { return holdInstances(t, 2001) }, "0"},
		{"at a server", func(t testing.TB, dir string) func() { return hang(t, dir+"/home/fs") }, "14"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := shared(t, "timeout=10")
			end := c.hang(t, dir)
			alice := starting(t, dir)
			newPamhost(t, "bob").run().opened(t)
			if len(childrenOf(t, alice.cmd.Process.Pid)) != 1 {
				t.Error("alice's session doesn't hang")
			}
			end()
			if got := alice.wait().get("open"); got != c.open {
				t.Errorf("alice: PAM code %s, expected %s", got, c.open)
			}
			nothingLeft(t)
			if !exists(dir + "/p/shared") {
				t.Error("the directory that bob's session used is gone")
			}
		})
	}
}

// Neither does one that is long given up, whose worker outlives SIGKILL in a wait that nothing interrupts.
func TestAWorkerThatCantBeKilledHoldsUpNobodyElse(t *testing.T) {
	dir := shared(t, "timeout=1")
	end := hang(t, dir+"/home/fs")
	log := sandbox.NewLog(t)
	alice := starting(t, dir)
	worker := childOf(t, alice.cmd.Process.Pid)
	if got := alice.wait().get("open"); got != "14" {
		t.Errorf("alice: PAM code %s", got)
	}
	log.Expect("did not finish in time")
	if gone(worker) {
		t.Error("alice's worker has ended")
	}
	newPamhost(t, "bob").run().opened(t)
	end()
	eventually(t, "alice's worker ends", func() bool { return gone(worker) })
	syscall.Wait4(worker, nil, 0, nil)
	nothingLeft(t)
}

// An instance that all users share is nobody's to hold up either: not before it has been made by a session that came to
// its end, and not by a worker that SIGKILL doesn't reach.
func TestAUserWhoseSessionHangsHoldsUpNobodysSharedInstance(t *testing.T) {
	for _, scripted := range []bool{false, true} {
		t.Run(fmt.Sprintf("scripted %t", scripted), func(t *testing.T) {
			dir := shared(t)
			shared := "path: {A}/tmp, method: user, instances: {A}/inst, prefix: all, shared: true"
			if scripted {
				shared += ", init: " + script(t, dir, "init", "touch $1/initialised-$3")
			}
			configure(t, dir, "directories:\n"+listed([]string{shared, "path: {A}/home/fs/sub, method: tmpfs, only: {users: [alice]}"}), "timeout=6")
			end := hang(t, dir+"/home/fs")
			alice := newPamhost(t, "alice")
			alice.start()
			eventually(t, "alice's session has made the instance", func() bool {
				return slices.Equal(names(t, dir+"/inst"), []string{"all"})
			})
			worker := childOf(t, alice.cmd.Process.Pid)
			newPamhost(t, "bob").run().opened(t)
			if len(childrenOf(t, alice.cmd.Process.Pid)) != 1 {
				t.Error("alice's session doesn't hang")
			}
			if got := alice.wait().get("open"); got != "14" {
				t.Errorf("alice: PAM code %s", got)
			}
			newPamhost(t, "bob").run().opened(t)
			end()
			eventually(t, "alice's worker ends", func() bool { return gone(worker) })
			syscall.Wait4(worker, nil, 0, nil)
			nothingLeft(t)
			if scripted && !slices.Equal(names(t, dir+"/inst/all"), []string{"initialised-0", "initialised-1"}) {
				t.Errorf("bob's session used what is gone, or another: %q", names(t, dir+"/inst/all"))
			}
		})
	}
}

// Two services may name the same directories in different order.
func TestDirectoriesInOppositeOrderDontDeadlock(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir p 0755")
	for name, order := range map[string][]string{"a": {"x", "y"}, "b": {"y", "x"}} {
		var entries []string
		for _, path := range order {
			entries = append(entries, "path: "+dir+"/p/"+path+", method: tmpfs, create: {}")
		}
		sandbox.Write(t, dir+"/"+name+".yaml", "version: 1\ndirectories:\n"+listed(entries), 0o644)
		sandbox.Stack(t, service+"-"+name, "required", "timeout=3 config="+dir+"/"+name+".yaml")
	}
	for round := range 10 {
		os.Remove(dir + "/p/x")
		os.Remove(dir + "/p/y")
		both := []*pamhost{
			newPamhost(t, "alice", "--parallel", "4").of(service + "-a"), newPamhost(t, "bob", "--parallel", "4").of(service + "-b"),
		}
		for _, p := range both {
			p.start()
		}
		for _, p := range both {
			if r := p.wait(); r.get("done") != "0" {
				t.Errorf("round %d: %s: %q", round, p.cmd.Args, r["parallel"])
			}
		}
		if t.Failed() {
			return
		}
	}
}

// What a user's session has left may lie in a tree of that user's, where removing it can hang: that is not for another
// user's login to wait for.
func TestLeftoversThatHangHoldUpNobodyElse(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "dir home 0755", "dir home/alice 0755 2001", "dir home/alice/fs 0755 2001", "dir home/alice/fs/a 0755 2001")
	directories(t, dir, "path: {A}/tmp, method: tmpdir, instances: {A}/home/$USER/fs/a/inst")
	host(t, "--no-close").opened(t)
	configure(t, dir, "directories: [{path: '{A}/tmp', method: tmpfs}]", "timeout=10")
	end := hang(t, dir+"/home/alice/fs")
	newPamhost(t, "bob").run().opened(t)
	alice := newPamhost(t, "alice") // shows that the test tests something
	alice.start()
	worker := childOf(t, alice.cmd.Process.Pid)
	newPamhost(t, "bob").run().opened(t)
	if gone(worker) {
		t.Error("alice's session doesn't hang")
	}
	end()
	alice.wait().opened(t)
	unix.Unmount(dir+"/home/alice/fs", unix.MNT_DETACH)
	host(t).opened(t)
	nothingLeft(t, dir+"/home/alice/fs/a/inst")
}
