package pam_test

import (
	"syscall"
	"testing"

	"gons/tests/sandbox"
)

// unprivileged has the host run without capabilities that root has otherwise: "-sys_admin,-sys_chroot".
func (p *pamhost) unprivileged(capabilities string) *pamhost {
	return p.through("setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities)
}

// A host that isn't root: su before it has become root, a screen locker.
func TestAHostWithoutRootIsAClearError(t *testing.T) {
	oneOfEach(t)
	log := sandbox.NewLog(t)
	p := newPamhost(t, "alice")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 2001, Gid: 2001}}
	r := p.run()
	if r.get("open") != "14" {
		t.Errorf("PAM code %s", r.get("open"))
	}
	r.untouched(t, "before", "after")
	log.Expect("needs root", "2001")
	if said := r["conv"]; len(said) != 1 {
		t.Errorf("the user was told %q", said)
	}
}

var someOfEach = []string{
	"path: {A}/made, method: user, instances: {A}/inst, create: {}",
	"path: {A}/fresh, method: tmpdir, instances: {A}/inst2", "path: {A}/ram, method: tmpfs",
}

// A container's root, without the capability: nothing is unshared, and the host stays whole. What leads back to its
// namespace, setns(2) and chroot(2), has to be there before it leaves: a host that goes on without it (a session line
// that is optional) would be in a place that nobody finished.
func TestAHostWithoutACapabilityIsAClearError(t *testing.T) {
	dirs := []string{"dir fresh 1777", "dir ram 1777"}
	const noWayBack = "no way back"
	checkAll(t, []failure{
		{name: "to unshare", tree: dirs, directories: someOfEach, without: "-sys_admin", log: []string{"operation not permitted"}},
		{name: "to return", tree: dirs, directories: someOfEach, without: "-sys_chroot",
			args: []string{"--cwd", "{A}/ram"}, log: []string{noWayBack, "operation not permitted"}},
		{name: "filter of setns", tree: dirs, directories: someOfEach, args: []string{"--enosys", "setns"}, log: []string{noWayBack, "setns", "not implemented"}},
		{name: "filter of chroot", tree: dirs, directories: someOfEach, args: []string{"--enosys", "chroot"}, log: []string{noWayBack, "chroot", "not implemented"}},
	})
}

// The host has the last word on an open: where it can't go where the session is, all is undone.
func TestAHostThatCantTakeTheSessionOver(t *testing.T) {
	dirs := []string{"dir tmp 1777", "dir fresh 1777", "dir ram 1777", "dir parent 0755", "dir parent/alice 0700 2001"}
	hers := append([]string{"path: {A}/tmp, method: user, instances: {A}/parent"}, someOfEach...)
	parents := []string{"ignore_instance_parent_mode"}
	checkAll(t, []failure{
		{name: "PAM can't keep it", tree: dirs, directories: hers, options: parents, args: []string{"--no-data", "pam_gons:sessions", "--cwd", "{A}/tmp"}, code: "5",
			log: []string{"cannot keep the session"}},
	})
}

// Its children are in another pid namespace than itself, and whichever ends first ends that.
func TestAHostThatHasUnsharedItsPidNamespaceIsAClearError(t *testing.T) {
	oneOfEach(t)
	log := sandbox.NewLog(t)
	r := newPamhost(t, "alice").through("unshare", "--pid").run()
	if r.get("open") != "14" {
		t.Errorf("PAM code %s", r.get("open"))
	}
	r.untouched(t, "before", "after")
	log.Expect("pid namespace")
}

// Where root may not search the directory that covers the working directory, as on root-squashed NFS, the host goes to /:
// the session is whole all the same.
func TestAWorkingDirectoryThatCantBeEntered(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "dir parent 0755", "dir parent/alice 0700 2001")
	configure(t, dir, "directories:\n"+listed([]string{"path: {A}/tmp, method: user, instances: {A}/parent"}), "ignore_instance_parent_mode")
	p := newPamhost(t, "alice", "--cwd", dir+"/tmp")
	p.unprivileged("-dac_override,-dac_read_search")
	r := p.run().opened(t)
	if r.get("after.cwd") != r.get("after.root") {
		t.Errorf("the working directory is %s, expected /", r.get("after.cwd"))
	}
}
