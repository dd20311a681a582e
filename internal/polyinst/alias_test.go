package polyinst

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Two entries reach one directory, through a symbolic link of root's: whichever is attached second lies on the first one,
// and neither may appear on the host.
func TestTwoNamesOfOneDirectory(t *testing.T) {
	for _, propagation := range []string{"slave", "private", "shared", "unchanged"} {
		t.Run(propagation, func(t *testing.T) {
			host := newHost(t, "dir tmp 0:0 1777", "dir tmp-inst 0:0 0000", "dir var", "link var/tmp ../tmp")
			makeGroup(t, host, "shared")
			before := mounts(t, "self", host)
			r := newRun(t, host, "version: 1\nnamespace: {propagation: "+propagation+"}\ndirectories:\n"+
				"  - {path: /tmp, method: user, instances: /tmp-inst}\n  - {path: /var/tmp, method: tmpfs}\n")
			r.then = func(*Applied) {
				var st unix.Statfs_t
				must(t, unix.Statfs(host+"/tmp", &st))
				if st.Type != unix.TMPFS_MAGIC {
					t.Errorf("/tmp is of type %#x, expected the tmpfs that was attached last", st.Type)
				}
			}
			must(t, r.apply(t))
			checkSame(t, "host", before, mounts(t, "self", host))
		})
	}
}

// The second entry lies below the first one by another name: what was opened before the first was covered is hidden by
// now, and attaching to it would cover nothing.
func TestBelowACoveredDirectoryByAnotherName(t *testing.T) {
	host := newHost(t, "dir tmp 0:0 1777", "dir tmp/x 0:0 1777", "dir tmp-inst 0:0 0000", "dir tmp-inst/alice 0:0 1777",
		"dir tmp-inst/alice/x", "dir var", "link var/tmp ../tmp")
	r := newRun(t, host, "version: 1\ndirectories:\n  - {path: /tmp, method: user, instances: /tmp-inst}\n  - {path: /var/tmp/x, method: tmpfs}\n")
	r.then = func(a *Applied) {
		var x, tmp unix.Stat_t
		must(t, unix.Stat(host+"/var/tmp/x", &x))
		must(t, unix.Stat(host+"/tmp", &tmp))
		if x.Dev == tmp.Dev {
			t.Errorf("/var/tmp/x isn't covered in the session, which has covered %v", a.Covered())
		}
	}
	must(t, r.apply(t))
}

// A mount that the host makes in an instance while a session opens arrives there; taking the session back must not take
// that away from the host.
func TestUndoLeavesTheHostsMounts(t *testing.T) {
	for _, propagation := range []string{"slave", "private", "shared", "unchanged"} {
		t.Run(propagation, func(t *testing.T) {
			host := newHost(t, "dir tmp 0:0 1777", "dir tmp-inst 0:0 0000", "dir tmp-inst/alice 0:0 1777", "dir tmp-inst/alice/m")
			makeGroup(t, host, "shared")
			r := newRun(t, host, "version: 1\nnamespace: {propagation: "+propagation+"}\ndirectories:\n"+
				"  - {path: /tmp, method: user, instances: /tmp-inst}\n")
			var before []string
			r.then = func(a *Applied) {
				mounted := make(chan error)
				go func() { mounted <- unix.Mount("test", host+"/tmp-inst/alice/m", "tmpfs", 0, "") }() // on the host's thread
				must(t, <-mounted)
				before = mounts(t, "self", host)
				must(t, a.Undo())
			}
			must(t, r.apply(t))
			checkSame(t, "host", before, mounts(t, "self", host))
			must(t, unix.Unmount(host+"/tmp-inst/alice/m", unix.MNT_DETACH))
		})
	}
}
