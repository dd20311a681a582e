package pam_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// methodsThatKeep are the methods that keep: is for, as entries of directories.
var methodsThatKeep = map[string]string{
	"user": "method: user, instances: {A}/inst", "tmpdir": "method: tmpdir, instances: {A}/inst",
	"tmpfs": "method: tmpfs, tmpfs: {mode: '1777'}",
}

// listens has a server at a socket, whose answer is its name, until the test ends.
func listens(t testing.TB, path string, uid int) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			fmt.Fprint(c, path)
			c.Close()
		}
	}()
}

// asks returns what the server at a socket answers the session; "" where none is reached.
func (s *session) asks(path string) (answer string) {
	s.t.Helper()
	s.do(func() {
		c, err := net.Dial("unix", path)
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 200)
		n, _ := c.Read(buf)
		answer = string(buf[:n])
	})
	return answer
}

// An X server's socket is reached, also one that is made later; what isn't named, and what is another user's, is not. The
// end of the session leaves the host's alone.
func TestKeptSockets(t *testing.T) {
	for method, entry := range methodsThatKeep {
		t.Run(method, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777", "dir tmp/.X11-unix 1777", "dir tmp/ssh-mine 0700 2001", "dir tmp/ssh-theirs 0700 2002", "dir tmp/x 1777 2002")
			listens(t, dir+"/tmp/.X11-unix/X0", 0)
			listens(t, dir+"/tmp/ssh-mine/agent", sandbox.Alice.UID)
			listens(t, dir+"/tmp/bus", sandbox.Alice.UID)
			listens(t, dir+"/tmp/other", 0)
			directories(t, dir, "path: {A}/tmp, keep: [.X11-unix, 'ssh-*', bus, x, .ICE-unix], options: [nosuid, nodev, noexec], "+entry)
			log := sandbox.NewLog(t)
			s := open(t, "alice")
			listens(t, dir+"/tmp/.X11-unix/X1", 0)
			for _, name := range []string{".X11-unix/X0", ".X11-unix/X1", "ssh-mine/agent", "bus"} {
				if got := s.asks(dir + "/tmp/" + name); got != dir+"/tmp/"+name {
					t.Errorf("%s: %q", name, got)
				}
			}
			if got := s.sh(sandbox.Alice.UID, "cd "+dir+"/tmp; ls -A | xargs echo; echo mine >new"); got != ".X11-unix bus ssh-mine" {
				t.Errorf("the session sees %s", got)
			}
			log.Expect("gons.yaml:3:5", dir+"/tmp/x isn't kept visible: it is owned by user 2002, who is neither root nor the session's user")
			options := strings.Join(s.covered(dir+"/tmp/.X11-unix").options, ",")
			if !strings.HasPrefix(options, "rw,nosuid,nodev,noexec") {
				t.Errorf("the kept mount has %s", options)
			}
			if exists(dir + "/tmp/new") {
				t.Error("the session's file is on the host")
			}
			s.close()
			for _, name := range []string{".X11-unix/X0", ".X11-unix/X1", "ssh-mine/agent", "bus", "other"} {
				if !exists(dir + "/tmp/" + name) {
					t.Errorf("closing removed the host's %s", name)
				}
			}
			if method == "user" {
				nothingLeft(t)
			} else if nothingLeft(t); exists(dir+"/inst") && len(names(t, dir+"/inst")) > 0 {
				t.Errorf("left: %q", names(t, dir+"/inst"))
			}
		})
	}
}

// A second session of a user's has the same, and keeps it when the first one ends.
func TestSessionsSideBySideKeep(t *testing.T) {
	for method, entry := range methodsThatKeep {
		t.Run(method, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777", "dir tmp/x 0755")
			listens(t, dir+"/tmp/x/socket", 0)
			listens(t, dir+"/tmp/socket", 0)
			directories(t, dir, "path: {A}/tmp, keep: [x, socket], "+entry)
			first, second, other := open(t, "alice"), open(t, "alice"), open(t, "bob")
			first.close()
			for _, s := range []*session{second, other} {
				for _, name := range []string{"x/socket", "socket"} {
					if got := s.asks(dir + "/tmp/" + name); got != dir+"/tmp/"+name {
						t.Errorf("%s: %q", name, got)
					}
				}
			}
		})
	}
}

// A tmpdir whose parent lies in the covered directory is removed though it can't be reached from the session, and a host that
// is in the namespace when it closes doesn't reach through what is kept.
func TestClosingDoesNotReachThroughWhatIsKept(t *testing.T) {
	for _, parent := range []string{"{A}/inst", "{A}/tmp/inst"} {
		for _, propagation := range []string{"slave", "private", "shared", "unchanged"} {
			t.Run(propagation+" "+parent, func(t *testing.T) {
				dir := area(t)
				tree(t, dir, "dir tmp 1777", "dir tmp/x 1777 2001", "file tmp/x/precious 0644 2001", "dir tmp/x/sub 0755 2001", "file tmp/x/sub/f 0644")
				mine := newHost(t, unix.MS_SHARED)
				configure(t, dir, "namespace: {propagation: "+propagation+"}\ndirectories: [{path: '{A}/tmp', method: tmpdir, instances: '"+parent+"', keep: [x]}]")
				before := len(mine.mounts())
				s := openFrom(t, "alice", mine)
				if after := mine.mounts(); len(after) != before {
					t.Errorf("mounts appear on the host: %v", after[before:])
				}
				s.covered(dir + "/tmp/x")
				s.sh(sandbox.Alice.UID, "mkdir -p "+dir+"/tmp/a/b; echo x >"+dir+"/tmp/a/b/c; echo y >"+dir+"/tmp/x/added")
				s.close()
				instances := strings.ReplaceAll(parent, "{A}", dir)
				nothingLeft(t, instances)
				for _, name := range []string{"precious", "sub/f", "added"} {
					if !exists(dir + "/tmp/x/" + name) {
						t.Errorf("closing removed the host's %s", name)
					}
				}
			})
		}
	}
}

// What the sessions of a user share, keep and environment are the same for: who joins sees what the first one kept, and gets the
// variables.
func TestSharedNamespacesKeep(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "dir tmp/x 0755")
	listens(t, dir+"/tmp/x/socket", 0)
	configure(t, dir, "namespace: {scope: user}\nenv: {MINE: '$USER'}\ndirectories:\n"+listed([]string{
		"path: {A}/tmp, method: tmpfs, keep: [x]", "path: /e, method: env, instances: {A}/own, variables: [TMPDIR]"}))
	first, second := open(t, "alice"), open(t, "alice")
	if first.namespace() != second.namespace() {
		t.Error("they share no namespace")
	}
	for _, s := range []*session{first, second} {
		if got := s.asks(dir + "/tmp/x/socket"); got != dir+"/tmp/x/socket" {
			t.Errorf("the socket says %q", got)
		}
		if s.tx.GetEnv("MINE") != "alice" || s.tx.GetEnv("TMPDIR") != dir+"/own/alice" {
			t.Errorf("the environment has %q, %q", s.tx.GetEnv("MINE"), s.tx.GetEnv("TMPDIR"))
		}
	}
}
