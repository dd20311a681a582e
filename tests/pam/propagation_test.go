package pam_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// events mounts a tmpfs on the host and one in the session and reports which of them the other side sees.
func events(t testing.TB, host *thread, s *session, onHost, inSession string) (arrives, reaches bool) {
	t.Helper()
	host.try(func() error { return unix.Mount("x", onHost, "tmpfs", 0, "") })
	s.try(func() error { return unix.Mount("x", inSession, "tmpfs", 0, "") })
	return s.mount(onHost) != nil, host.mount(inSession) != nil
}

func TestPropagationBetweenHostAndSession(t *testing.T) {
	for _, c := range []struct {
		propagation      string
		host             uintptr
		arrives, reaches bool
	}{
		{"slave", unix.MS_SHARED, true, false},
		{"private", unix.MS_SHARED, false, false},
		{"shared", unix.MS_SHARED, true, true},
		{"unchanged", unix.MS_SHARED, true, true},
		{"slave", unix.MS_PRIVATE, false, false},
		{"private", unix.MS_PRIVATE, false, false},
		{"shared", unix.MS_PRIVATE, false, false},
		{"unchanged", unix.MS_PRIVATE, false, false},
	} {
		name := map[uintptr]string{unix.MS_SHARED: "shared", unix.MS_PRIVATE: "private"}[c.host]
		t.Run(c.propagation+" on a "+name+" host", func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir user 1777", "dir tmpdir 1777", "dir tmpfs 1777", "dir mount 0755", "dir host 0755", "dir session 0755")
			host := newHost(t, c.host)
			host.try(func() error { return unix.Mount("x", dir+"/mount", "tmpfs", 0, "mode=1777") }) // a covered mount of its own
			configure(t, dir, "namespace: {propagation: "+c.propagation+"}\ndirectories:\n"+listed([]string{
				"path: {A}/user, method: user, instances: {A}/inst", "path: {A}/tmpdir, method: tmpdir, instances: {A}/inst2",
				"path: {A}/tmpfs, method: tmpfs", "path: {A}/mount, method: tmpfs"}))
			before := len(host.mounts())
			s := openFrom(t, "alice", host)
			if after := host.mounts(); len(after) != before {
				t.Errorf("instance mounts appear on the host: %v", after[before:])
			}
			s.covered(dir + "/user")
			arrives, reaches := events(t, host, s, dir+"/host", dir+"/session")
			if arrives != c.arrives || reaches != c.reaches {
				t.Errorf("a host's mount arrives: %v, expected %v; a session's reaches the host: %v, expected %v",
					arrives, c.arrives, reaches, c.reaches)
			}
			s.close()
		})
	}
}

// Below a covered directory nothing ever passes: what a session mounts in its own /tmp is its own.
func TestMountsInsideAnInstanceStayThere(t *testing.T) {
	for _, propagation := range []string{"slave", "private", "shared", "unchanged"} {
		t.Run(propagation, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777", "dir tmp/sub 0755")
			configure(t, dir, "namespace: {propagation: "+propagation+"}\ndirectories: [{path: '{A}/tmp', method: user, instances: '{A}/inst'}]")
			host := newHost(t, unix.MS_SHARED)
			s := openFrom(t, "alice", host)
			s.try(func() error { return os.Mkdir(dir+"/tmp/sub", 0o755) })
			before := len(host.mounts())
			s.try(func() error { return unix.Mount("x", dir+"/tmp/sub", "tmpfs", 0, "") })
			if after := host.mounts(); propagation != "shared" && propagation != "unchanged" && len(after) != before {
				t.Errorf("a mount inside the instance appears on the host: %v", after[before:])
			}
		})
	}
}

// home: slave makes $HOME a slave where the rest of the tree is not.
func TestHomeSlave(t *testing.T) {
	for _, c := range []struct {
		propagation      string
		home, elsewhere  bool // a host's mount arrives
		homeOut, restOut bool // a session's mount reaches the host
	}{
		{"private", true, false, false, false},
		{"slave", true, true, false, false},
		{"shared", true, true, false, true},
		{"unchanged", true, true, false, true},
	} {
		t.Run(c.propagation, func(t *testing.T) {
			dir := area(t)
			home := sandbox.Alice.Home
			tree(t, dir, "dir host 0755", "dir session 0755")
			tree(t, home, "dir host 0755", "dir session 0755")
			t.Cleanup(func() { os.RemoveAll(home + "/host"); os.RemoveAll(home + "/session") })
			configure(t, dir, "namespace: {propagation: "+c.propagation+", home: slave}")
			host := newHost(t, unix.MS_SHARED)
			before := len(host.mounts())
			s := openFrom(t, "alice", host)
			if after := host.mounts(); len(after) != before {
				t.Errorf("the bind of $HOME appears on the host: %v", after[before:])
			}
			s.covered(home)
			arrives, reaches := events(t, host, s, home+"/host", home+"/session")
			if arrives != c.home || reaches != c.homeOut {
				t.Errorf("$HOME: arrives %v, expected %v; reaches %v, expected %v", arrives, c.home, reaches, c.homeOut)
			}
			arrives, reaches = events(t, host, s, dir+"/host", dir+"/session")
			if arrives != c.elsewhere || reaches != c.restOut {
				t.Errorf("elsewhere: arrives %v, expected %v; reaches %v, expected %v", arrives, c.elsewhere, reaches, c.restOut)
			}
			s.close()
		})
	}
}

// An instance's own mount is no peer of the file system it lies on, whatever the host shares.
func TestInstancesAreNoPeersOfTheHost(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "dir tmp/sub 0755")
	directories(t, dir, "path: {A}/tmp, method: user, instances: {A}/inst")
	host := newHost(t, unix.MS_SHARED)
	s := openFrom(t, "alice", host)
	for _, m := range s.mounts() {
		if strings.HasPrefix(m.point, dir) && m.shared {
			t.Errorf("shared: %+v", m)
		}
	}
}
