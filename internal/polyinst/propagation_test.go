package polyinst

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// makeGroup gives the mount at path a place among peers: "private", "shared", "slave" or "slave shared".
func makeGroup(t testing.TB, path, how string) {
	t.Helper()
	must(t, unix.Mount("", path, "", unix.MS_PRIVATE, ""))
	if how == "shared" || strings.HasPrefix(how, "slave") {
		must(t, unix.Mount("", path, "", unix.MS_SHARED, ""))
	}
	if !strings.HasPrefix(how, "slave") {
		return
	}
	master := t.TempDir()
	must(t, unix.Mount(path, master, "", unix.MS_BIND, "")) // the peer that path becomes a slave of
	t.Cleanup(func() { unix.Unmount(master, unix.MNT_DETACH) })
	must(t, unix.Mount("", path, "", unix.MS_SLAVE, ""))
	if how == "slave shared" {
		must(t, unix.Mount("", path, "", unix.MS_SHARED, ""))
	}
}

// kindOf tells a mount's groups without their numbers: "shared,master".
func kindOf(line string) string {
	var kinds []string
	for _, kind := range []string{"shared:", "master:"} {
		if strings.Contains(line, kind) {
			kinds = append(kinds, strings.TrimSuffix(kind, ":"))
		}
	}
	return strings.Join(kinds, ",")
}

// find is the mount table's last line for a mount point.
func find(table []string, point string) string {
	for i := len(table) - 1; i >= 0; i-- {
		if strings.HasPrefix(table[i], point+" ") {
			return table[i]
		}
	}
	return ""
}

const unseen = `version: 1
namespace: {propagation: %s}
directories:
  - {path: /tmp, method: user, instances: /tmp-inst}
  - {path: /tmp/x, method: tmpfs}
  - {path: /shm, method: tmpfs}
  - {path: /fs, method: user, instances: /i}
  - {path: /fs/deep, method: tmpfs, create: {}}
`

// Whatever a mount is to the host's, the session's mounts on it don't reach the host, and it is the same afterwards.
func TestPropagation(t *testing.T) {
	for _, propagation := range []string{"slave", "private", "shared", "unchanged"} {
		for _, group := range []string{"private", "shared", "slave", "slave shared"} {
			t.Run(propagation+" on "+group, func(t *testing.T) { checkPropagation(t, propagation, group) })
		}
	}
}

func checkPropagation(t *testing.T, propagation, group string) {
	host := newHost(t, "dir tmp 0:0 1777", "dir tmp-inst 0:0 0000", "dir tmp-inst/alice", "dir tmp-inst/alice/x", "dir shm", "dir later", "dir fs", "tmpfs fs nosuid")
	makeGroup(t, host, group)
	makeGroup(t, host+"/fs", group)
	before := mounts(t, "self", host)
	r := newRun(t, host, fmt.Sprintf(unseen, propagation))
	r.then = func(*Applied) {
		checkSame(t, "the host's mounts", before, mounts(t, "self", host))
		inside := mounts(t, "thread-self", host)
		if len(inside) != len(before)+5 {
			t.Errorf("the session has the mounts\n%s", strings.Join(inside, "\n"))
		}
		for _, point := range []string{"/", "/fs"} {
			checkGroup(t, propagation, find(before, point), inside[indexOf(before, point)])
		}
		checkArrival(t, propagation, host, before)
	}
	must(t, r.apply(t))
	checkSame(t, "the host's mounts, later", before, mounts(t, "self", host))
}

func indexOf(table []string, point string) int {
	for i, line := range table {
		if strings.HasPrefix(line, point+" ") {
			return i
		}
	}
	return -1
}

// checkGroup compares a mount of the host with the session's copy of it.
func checkGroup(t *testing.T, propagation, host, session string) {
	t.Helper()
	switch propagation {
	case "unchanged":
		checkSame(t, "the mount under the session's", []string{host}, []string{session})
	case "shared":
		if !strings.Contains(session, "shared:") || strings.Contains(host, "shared:") && host != session {
			t.Errorf("got %s, the host has %s", session, host)
		}
	case "slave":
		if strings.Contains(session, "shared:") || kindOf(host) != "" && !strings.Contains(session, "master:") {
			t.Errorf("got %s, the host has %s", session, host)
		}
	case "private":
		if kindOf(session) != "" {
			t.Errorf("got %s", session)
		}
	}
}

// checkArrival mounts on the host and looks whether it arrives in the session, on this thread.
func checkArrival(t *testing.T, propagation, host string, before []string) {
	t.Helper()
	done := make(chan error)
	go func() { done <- unix.Mount("test", host+"/later", "tmpfs", 0, "") }()
	must(t, <-done)
	defer func() {
		go func() { done <- unix.Unmount(host+"/later", 0) }()
		must(t, <-done)
	}()
	want := propagation != "private" && strings.Contains(find(before, "/"), "shared:")
	if got := find(mounts(t, "thread-self", host), "/later") != ""; got != want {
		t.Errorf("a mount of the host arrives: %t, want %t", got, want)
	}
}

const homes = `version: 1
namespace: {home: slave, propagation: %s, always: true}
`

// home: slave binds the home on itself; what the host mounts below the home arrives, whatever the rest of the tree is.
// (gons.yaml: "bind $HOME on itself and make only that a slave".)
func TestSlaveHome(t *testing.T) {
	for _, propagation := range []string{"slave", "private", "shared", "unchanged"} {
		t.Run(propagation, func(t *testing.T) { checkSlaveHome(t, propagation) })
	}
}

func checkSlaveHome(t *testing.T, propagation string) {
	host := newHost(t, "dir home", "dir home/alice 2001:2001 0700", "dir home/alice/nfs", "dir home/alice/own")
	makeGroup(t, host, "shared")
	before := mounts(t, "self", host)
	r := newRun(t, host, fmt.Sprintf(homes, propagation))
	r.then = func(*Applied) {
		checkSame(t, "the host's mounts", before, mounts(t, "self", host))
		if line := find(mounts(t, "thread-self", host), "/home/alice"); kindOf(line) != "master" {
			t.Errorf("the home is %q", line)
		}
		must(t, unix.Mount("test", host+"/home/alice/own", "tmpfs", 0, ""))
		checkSame(t, "the host's mounts, after one of the session's", before, mounts(t, "self", host))
		done := make(chan error)
		go func() { done <- unix.Mount("test", host+"/home/alice/nfs", "tmpfs", 0, "") }()
		must(t, <-done)
		if find(mounts(t, "thread-self", host), "/home/alice/nfs") == "" {
			t.Error("a mount of the host's below the home doesn't arrive")
		}
	}
	must(t, r.apply(t))
}

// What an administrator forbade on a directory's mount stays forbidden, and what the configuration forbids comes to it.
func TestMountFlags(t *testing.T) {
	for _, c := range []struct{ host, instances, options, want string }{
		{"rw", "rw", "", "rw"},
		{"nosuid,nodev,noexec", "rw", "", "rw,nosuid,nodev,noexec"},
		{"noexec", "rw", "nosuid", "rw,nosuid,noexec"},
		{"nosuid", "rw", "nosuid, nodev", "rw,nosuid,nodev"},
		{"rw", "rw", "nosuid, nodev, noexec", "rw,nosuid,nodev,noexec"},
		{"rw", "noexec", "", "rw,noexec"},
		{"nodev", "noexec", "nosuid", "rw,nosuid,nodev,noexec"},
	} {
		for _, method := range []string{"user, instances: /i", "tmpdir, instances: /i", "tmpfs"} {
			host := newHost(t, "dir i", "tmpfs i "+c.instances+" 0:0 0000", "dir tmp", "tmpfs tmp "+c.host+" 0:0 1777")
			r := newRun(t, host, fmt.Sprintf("version: 1\ndirectories:\n  - {path: /tmp, method: %s, options: [%s]}\n", method, c.options))
			want := c.want
			if method == "tmpfs" && c.instances != "rw" {
				want = strings.Replace(want, ",noexec", "", 1)
			}
			r.then = func(*Applied) {
				f := strings.Fields(find(mounts(t, "thread-self", host), "/tmp"))
				if got := strings.TrimSuffix(f[3], ",relatime"); got != want {
					t.Errorf("%s on %s with %q: got %s, want %s", method, c.host, c.options, got, want)
				}
			}
			must(t, r.apply(t))
		}
	}
}

// A tmpfs is the kernel's default but for what is asked for.
func TestTmpfsParameters(t *testing.T) {
	host := newHost(t, "dir a", "dir b 2001:2001 0700")
	r := newRun(t, host, "/a x tmpfs\n/b x tmpfs:mntopts=size=64k,nr_inodes=10,mode=0711\n")
	r.then = func(*Applied) {
		for path, want := range map[string]os.FileMode{"/a": os.ModeDir | os.ModeSticky | 0o777, "/b": os.ModeDir | 0o711} {
			info, err := os.Stat(host + path)
			must(t, err)
			if info.Mode() != want {
				t.Errorf("%s has mode %s", path, info.Mode())
			}
		}
		if err := os.WriteFile(host+"/b/f", make([]byte, 128<<10), 0o600); err == nil {
			t.Error("128 KiB fit into 64")
		}
	}
	must(t, r.apply(t))
}
