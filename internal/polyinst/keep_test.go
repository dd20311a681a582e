package polyinst

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/tests/testkit"
)

// keepConfig has /tmp of the method, and what is kept of it.
func keepConfig(method, keep, more string) string {
	return fmt.Sprintf("version: 1\n%s\ndirectories: [{path: /tmp, method: %s, keep: [%s], options: [nosuid]}]\n", more, method, keep)
}

// keepMethods are the methods that it is for.
var keepMethods = []string{"user, instances: /i", "tmpdir, instances: /i", "tmpfs, tmpfs: {mode: '1777'}"}

// x11 is what X servers have in /tmp.
const x11 = "dir tmp 0:0 1777; dir tmp/.X11-unix 0:0 1777; socket tmp/.X11-unix/X0 0:0 0777; socket tmp/agent 2001:2001 0600; " +
	"dir tmp/ssh-a 2001:2001 0700; dir tmp/ssh-b 2002:2002 0700; file tmp/other 2001:2001 0644"

func TestKeep(t *testing.T) {
	for _, method := range keepMethods {
		t.Run(method, func(t *testing.T) {
			host := newHost(t, lines(x11)...)
			r := newRun(t, host, keepConfig(method, ".X11-unix, agent, 'ssh-*', 'sock*', .ICE-unix", ""))
			r.then = func(a *Applied) {
				want := ".X11-unix 1777 0, agent 0600 2001, ssh-a 0700 2001"
				if got := listing(t, host+"/tmp"); got != want {
					t.Errorf("the session sees %s, want %s", got, want)
				}
				same(t, "the X server's socket", r.outer(t, "/tmp/.X11-unix/X0"), host+"/tmp/.X11-unix/X0")
				same(t, "an agent's socket", r.outer(t, "/tmp/agent"), host+"/tmp/agent")
				if got := paths(a.Covered()); got != "/tmp" {
					t.Errorf("covered %s", got)
				}
				if len(a.Notices()) > 0 {
					t.Errorf("notices: %q", a.Notices())
				}
				must(t, a.Undo())
			}
			before := snapshot(t, host)
			must(t, r.apply(t))
			checkSame(t, "the host", before, snapshot(t, host))
		})
	}
}

// outer is a file as the host sees it: the namespace that tests run in plays the host's, and has it by another thread.
func (r *run) outer(t testing.TB, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	done := make(chan error)
	go func() { done <- unix.Stat(r.host+path, &st) }()
	must(t, <-done)
	return st
}

func same(t testing.TB, what string, a unix.Stat_t, path string) {
	t.Helper()
	var b unix.Stat_t
	must(t, unix.Stat(path, &b))
	if a.Dev != b.Dev || a.Ino != b.Ino {
		t.Errorf("%s is not the host's", what)
	}
}

// listing is what is in a directory: "name mode uid".
func listing(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var out []string
	for _, e := range entries {
		var st unix.Stat_t
		must(t, unix.Lstat(dir+"/"+e.Name(), &st))
		out = append(out, fmt.Sprintf("%s %04o %d", e.Name(), st.Mode&0o7777, st.Uid))
	}
	return strings.Join(out, ", ")
}

// What is in /tmp, or in the instance, that can't be kept, or not there. None of it fails the session.
func TestKeepLeavesOut(t *testing.T) {
	for _, c := range []struct{ name, tree, instance, keep, want, notice string }{
		{"nothing there", "", "", "x", "", ""},
		{"another user's directory", "dir tmp/x 2002:2002 1777", "", "x", "", "/tmp/x isn't kept visible: it is owned by user 2002, who is neither root nor the session's user"},
		{"another user's socket", "socket tmp/x 2002:2002 0777", "", "x", "", "/tmp/x isn't kept visible: it is owned by user 2002, who is neither root nor the session's user"},
		{"another user's, by a pattern", "dir tmp/x 2002:2002", "", "'?'", "", ""},
		{"a file", "file tmp/x", "", "x", "", "/tmp/x isn't kept visible: it is a regular file, neither a directory nor a socket"},
		{"a FIFO", "fifo tmp/x", "", "x", "", "/tmp/x isn't kept visible: it is a FIFO, neither a directory nor a socket"},
		{"a device", "device tmp/x", "", "x", "", "/tmp/x isn't kept visible: it is a device, neither a directory nor a socket"},
		{"a link to root's", "link tmp/x /etc 2002:2002", "", "x", "", "/tmp/x isn't kept visible: it is a symbolic link, neither a directory nor a socket"},
		{"root's link", "link tmp/x /etc", "", "x", "", "/tmp/x isn't kept visible: it is a symbolic link, neither a directory nor a socket"},
		{"a mount", "dir tmp/x; tmpfs tmp/x nosuid", "", "x", "", "/tmp/x isn't kept visible: it is a mount of its own"},
		{"hidden by no dot", "dir tmp/.x", "", "'*'", "", ""},
		{"a pattern with a dot", "dir tmp/.x", "", "'.*'", ".x 0755 0", ""},
		{"twice", "dir tmp/x", "", "x, 'x*', '?'", "x 0755 0", ""},
		{"there already", "dir tmp/x 2001:2001 0700", "dir i/alice/x 0:0 0755", "x", "x 0700 2001", ""},
		{"a socket there already", "socket tmp/x 2001:2001 0700", "file i/alice/x 2001:2001 0644", "x", "x 0700 2001", ""},
		{"a file in the way", "dir tmp/x", "file i/alice/x 2001:2001", "x", "x 0755 2001", "cannot keep /tmp/x visible: in what covers /tmp: x is a regular file there"},
		{"a directory in the way", "socket tmp/x", "dir i/alice/x 2001:2001", "x", "x 0755 2001", "cannot keep /tmp/x visible: in what covers /tmp: x is a directory there"},
		{"a link in the way", "dir tmp/x", "link i/alice/x /etc 2001:2001", "x", "x 0777 2001", "cannot keep /tmp/x visible: in what covers /tmp: x is a symbolic link there"},
		{"a link in the way of a socket", "socket tmp/x", "link i/alice/x /etc/passwd 2001:2001", "x", "x 0777 2001", "cannot keep /tmp/x visible: in what covers /tmp: x is a symbolic link there"},
		{"a FIFO in the way", "socket tmp/x", "fifo i/alice/x 2001:2001", "x", "x 0755 2001", "cannot keep /tmp/x visible: in what covers /tmp: x is a FIFO there"},
		{"another user's in the way", "dir tmp/x", "dir i/alice/x 2002:2002", "x", "x 0755 2002", "cannot keep /tmp/x visible: in what covers /tmp: x is owned by user 2002 there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := newHost(t, lines("dir tmp 0:0 1777; dir i 0:0 0000; dir i/alice 2001:2001 0700; "+c.tree+";"+c.instance)...)
			r := newRun(t, host, keepConfig("user, instances: /i", c.keep, ""))
			r.then = func(a *Applied) {
				if got := listing(t, host+"/tmp"); got != c.want {
					t.Errorf("the session sees %q, want %q", got, c.want)
				}
				if got := strings.Join(a.Notices(), "\n"); !strings.HasSuffix(got, c.notice) || (got == "") != (c.notice == "") {
					t.Errorf("notices %q, want %q", got, c.notice)
				}
			}
			must(t, r.apply(t))
		})
	}
}

// No more is kept, and no more is looked at, than is bounded, whatever is in /tmp.
func TestKeepIsBounded(t *testing.T) {
	host := newHost(t, lines("dir tmp 0:0 1777")...)
	for i := range maxLooked + 2000 {
		must(t, os.Mkdir(fmt.Sprintf("%s/tmp/%d", host, i), 0o755))
	}
	r := newRun(t, host, keepConfig("tmpfs", "'*'", ""))
	r.then = func(a *Applied) {
		entries, err := os.ReadDir(host + "/tmp")
		must(t, err)
		text := strings.Join(a.Notices(), "\n")
		if len(entries) != maxKept || !strings.Contains(text, "of /tmp, no more than 64 entries are kept visible") ||
			!strings.Contains(text, "of /tmp, which holds too many entries, only the first 1") {
			t.Errorf("%d are kept: %s", len(entries), text)
		}
	}
	must(t, r.apply(t))
}

// What is kept has the options of the instance, and those that are mounted below it, too; the host hears of nothing, and
// what it mounts there arrives where the rest of its mounts do.
func TestKeepMounts(t *testing.T) {
	for _, propagation := range []string{"slave", "private", "shared", "unchanged"} {
		t.Run(propagation, func(t *testing.T) {
			host := newHost(t, lines("dir tmp 0:0 1777; dir tmp/x; dir tmp/x/sub; dir tmp/x/late; tmpfs tmp/x/sub noexec; dir i 0:0 0000; dir i/alice 2001:2001 0700; dir i/alice/x")...)
			must(t, unix.Mount("", host, "", unix.MS_SHARED|unix.MS_REC, ""))
			before := mounts(t, "self", host)
			r := newRun(t, host, keepConfig("user, instances: /i", "x", "namespace: {propagation: "+propagation+"}"))
			r.then = func(*Applied) {
				checkSame(t, "the host's mounts", before, mounts(t, "self", host))
				points := "" // the first is the host's own, which is covered
				for _, m := range mounts(t, "thread-self", host+"/tmp") {
					f := strings.Fields(m)
					points += f[0] + " " + f[3] + ";"
				}
				if want := "/x/sub rw,noexec,relatime;/ rw,nosuid,relatime;/x rw,nosuid,relatime;/x/sub rw,nosuid,noexec,relatime;"; points != want {
					t.Errorf("mounts %s, want %s", points, want)
				}
				done := make(chan error)
				go func() { done <- unix.Mount("t", host+"/tmp/x/late", "tmpfs", 0, "") }()
				must(t, <-done)
				var st, top unix.Stat_t
				must(t, unix.Stat(host+"/tmp/x/late", &st))
				must(t, unix.Stat(host+"/tmp/x", &top))
				if arrived := st.Dev != top.Dev; arrived != (propagation != "private") {
					t.Errorf("a mount of the host's arrives: %v", arrived)
				}
			}
			must(t, r.apply(t))
		})
	}
}

// A session that fails leaves no file of its own, in an instance that was there, too.
func TestKeepIsUndone(t *testing.T) {
	for _, method := range keepMethods {
		t.Run(method, func(t *testing.T) {
			host := newHost(t, lines(x11+"; dir i 0:0 0000; dir i/alice 2001:2001 0700; file i/alice/mine 2001:2001")...)
			r := newRun(t, host, keepConfig(method, ".X11-unix, agent, 'ssh-*'", ""))
			r.plan.Steps = append(r.plan.Steps, Attach{Path: "/tmp", Slot: 99})
			before := snapshot(t, host)
			if err := r.apply(t); err == nil || errors.Is(err, ErrNotUndone) {
				t.Error(err)
			}
			checkSame(t, "the disk", before, snapshot(t, host))
		})
	}
}

// The instance of something that lies in what is kept is found again on the host, and a working directory in it, too.
func TestKeepHoldsDirectories(t *testing.T) {
	host := newHost(t, lines("dir tmp 0:0 1777; dir tmp/x; dir tmp/x/in; dir tmp/x/cover")...)
	r := newRun(t, host, "version: 1\ndirectories: [{path: /tmp, method: user, instances: /i, keep: [x]}, {path: /tmp/x/cover, method: tmpdir, instances: /tmp/x/inst}]")
	r.then = func(a *Applied) {
		if l := a.Leftovers(); len(l) != 1 || l[0].Parent != "/tmp/x/inst" {
			t.Errorf("left over: %+v", l)
		}
		for cwd, want := range map[string]string{"/tmp/x": "/tmp/x", "/tmp/x/in": "/tmp/x/in"} {
			h, err := a.WorkingDirectory(cwd)
			must(t, err)
			st, err := h.Stat()
			must(t, err)
			same(t, cwd, r.outer(t, want), host+want)
			if got := r.outer(t, want); got.Ino != st.Ino {
				t.Errorf("a process in %s goes elsewhere", cwd)
			}
			h.Close()
		}
	}
	must(t, r.apply(t))
}

// While users of both sides exchange what is kept and what it is mounted on, the session gets the right thing or none.
func TestKeepUnderAttack(t *testing.T) {
	host := newHost(t, lines("dir tmp 0:0 1777; dir i 0:0 0000; dir i/alice 2001:2001 0700; dir secret 2002:2002 0755; file secret/f 2002:2002; "+
		"dir tmp/x 2001:2001; dir tmp/y 2001:2001; link tmp/l /secret 2001:2001")...)
	decoy := host + "/tmp/decoy"
	instance, err := unix.Open(host+"/i/alice", unix.O_PATH|unix.O_DIRECTORY, 0) // as an earlier session has it
	must(t, err)
	defer unix.Close(instance)
	stops := []func(){
		attack(t, func() { exchange(host+"/tmp/x", host+"/tmp/l") }),
		attack(t, func() { exchange(host+"/tmp/x", host+"/tmp/y") }),
		testkit.Attack(t, bob, func() {
			unix.Mkdir(decoy, 0o777)
			unix.Rmdir(decoy)
			unix.Symlink("/tmp/x", decoy)
			unix.Unlink(decoy)
			unix.Mknod(decoy, unix.S_IFSOCK|0o777, 0)
			unix.Unlink(decoy)
		}),
		attack(t, func() {
			unix.Symlinkat("/secret", instance, "x")
			unix.Unlinkat(instance, "x", 0)
			unix.Mkdirat(instance, "x", 0o700)
			unix.Renameat(instance, "x", instance, "moved")
			unix.Unlinkat(instance, "moved", unix.AT_REMOVEDIR)
		}),
	}
	kept := 0
	for range 300 {
		r := newRun(t, host, keepConfig("user, instances: /i", "x, decoy, 'd*'", ""))
		r.then = func(a *Applied) {
			for _, c := range a.covered[1:] {
				kept++
				st, err := c.tree.Stat()
				must(t, err)
				if st.UID != alice || st.Type != linux.TypeDirectory {
					t.Errorf("kept: %+v", st)
				}
			}
			if _, err := os.Stat(host + "/tmp/x/f"); err == nil && !isLink(host+"/tmp/x") {
				t.Error("another user's file is reached")
			}
		}
		must(t, r.apply(t))
	}
	for _, stop := range stops {
		stop()
	}
	if kept == 0 {
		t.Error("it was never kept: nothing was tested")
	}
	if _, err := os.Stat(host + "/secret/f"); err != nil {
		t.Error(err)
	}
}

func isLink(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode()&os.ModeSymlink != 0
}
