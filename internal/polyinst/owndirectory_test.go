package polyinst

import (
	"errors"
	"strings"
	"testing"
)

// A user's directory is made, or used, where nobody else can put anything in its place; all else is an error that leaves the
// disk alone.
func TestOwnDirectory(t *testing.T) {
	const conf = "version: 1\ndirectories: [{path: /tmp, method: env, instances: /tmp/user}]"
	for _, c := range []struct{ name, tree, made, want string }{
		{"first", "", "/tmp/user 0711 0:0;/tmp/user/alice 0700 2001:2001", ""},
		{"the parent is there", "dir tmp/user 0:0 0711", "/tmp/user 0711 0:0;/tmp/user/alice 0700 2001:2001", ""},
		{"again", "dir tmp/user 0:0 0711; dir tmp/user/alice 2001:2001 0700; file tmp/user/alice/f 2001:2001",
			"/tmp/user 0711 0:0;/tmp/user/alice 0700 2001:2001;/tmp/user/alice/f 0755 2001:2001", ""},
		{"open to look at", "dir tmp/user 0:0 0711; dir tmp/user/alice 2001:2001 0755", "/tmp/user 0711 0:0;/tmp/user/alice 0755 2001:2001", ""},
		{"open to write to", "dir tmp/user 0:0 0711; dir tmp/user/alice 2001:2001 1777", "/tmp/user 0711 0:0;/tmp/user/alice 0700 2001:2001", ""},
		{"parent of bob's", "dir tmp/user 2002:2002 0711", "/tmp/user 0711 2002:2002", "cannot trust instance parent /tmp/user: it is owned by user 2002, expected root"},
		{"parent for all", "dir tmp/user 0:0 1777", "/tmp/user 1777 0:0", "cannot trust instance parent /tmp/user: its mode is 1777, expected 0711"},
		{"parent for nobody", "dir tmp/user 0:0 0700", "/tmp/user 0700 0:0", "cannot trust instance parent /tmp/user: its mode is 0700, expected 0711"},
		{"bob's link for the parent", "dir safe 0:0 0711; link tmp/user /safe 2002:2002", "/tmp/user 0777 2002:2002", "cannot follow the symbolic link /tmp/user: others than root can change it or the way to it"},
		{"a file for the parent", "file tmp/user 2002:2002", "/tmp/user 0755 2002:2002", "cannot open /tmp/user: it is a regular file, not a directory"},
		{"bob's directory", "dir tmp/user 0:0 0711; dir tmp/user/alice 2002:2002", "/tmp/user 0711 0:0;/tmp/user/alice 0755 2002:2002", "cannot use /tmp/user/alice: it is owned by user 2002, expected user 2001"},
		{"root's directory", "dir tmp/user 0:0 0711; dir tmp/user/alice", "/tmp/user 0711 0:0;/tmp/user/alice 0755 0:0", "cannot use /tmp/user/alice: it is owned by user 0, expected user 2001"},
		{"a link", "dir tmp/user 0:0 0711; link tmp/user/alice /etc 2001:2001", "/tmp/user 0711 0:0;/tmp/user/alice 0777 2001:2001", "cannot use /tmp/user/alice: it is a symbolic link, not a directory"},
		{"a FIFO", "dir tmp/user 0:0 0711; fifo tmp/user/alice 2001:2001 0600", "/tmp/user 0711 0:0;/tmp/user/alice 0600 2001:2001", "cannot use /tmp/user/alice: it is a FIFO, not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := newHost(t, lines("dir tmp 0:0 1777;"+c.tree)...)
			before := mounts(t, "self", host)
			r := newRun(t, host, conf)
			r.then = func(a *Applied) {
				if told := len(a.Notices()) > 0; told != (c.name == "open to write to") || len(a.Leftovers()) > 0 {
					t.Errorf("notices %q, left over %v", a.Notices(), a.Leftovers())
				}
			}
			checkError(t, c.name, r.apply(t), c.want)
			var made []string
			for _, line := range snapshot(t, host) {
				if strings.HasPrefix(line, "/tmp/") {
					made = append(made, line)
				}
			}
			if got := strings.Join(made, ";"); got != c.made {
				t.Errorf("made %s, want %s", got, c.made)
			}
			checkSame(t, "the mounts", before, mounts(t, "self", host))
		})
	}
}

// With ignore_instance_parent_mode another mode will do, but none that lets others write, or nobody through, and no way
// that others can change.
func TestOwnDirectoryOfAnyParent(t *testing.T) {
	for _, c := range []struct{ tree, path, want string }{
		{"dir p 0:0 0755", "/p", ""},
		{"dir p 0:0 0777", "/p", "cannot trust /p with users' directories: its mode is 0777, so that others can write to it"},
		{"dir p 0:0 1777", "/p", "cannot trust /p with users' directories: its mode is 1777, so that others can write to it"},
		{"dir p 0:0 0700", "/p", "cannot trust /p with users' directories: its mode is 0700, so that users can't reach what is in it"},
		{"dir p 2002:2002 0711", "/p", "cannot trust /p with users' directories: it is owned by user 2002, expected root"},
		{"dir bob 2002:2002; dir bob/p 0:0 0711", "/bob/p", "cannot trust /bob/p with users' directories: others than root can change the way to it"},
		{"dir all 0:0 0777; dir all/p 0:0 0711", "/all/p", "cannot trust /all/p with users' directories: others than root can change the way to it"},
	} {
		host := newHost(t, lines(c.tree)...)
		r := newRun(t, host, "version: 1\ndirectories: [{path: /tmp, method: env, instances: "+c.path+"}]")
		s := r.plan.Steps[0].(OwnDirectory)
		s.AnyParent = true
		r.plan.Steps[0] = s
		checkError(t, c.tree, r.apply(t), c.want)
	}
}

// A session that fails takes away what it has made, and nothing else.
func TestOwnDirectoryIsUndone(t *testing.T) {
	for _, there := range []string{"", "; dir p 0:0 0711", "; dir p 0:0 0711; dir p/alice 2001:2001 0700"} {
		host := newHost(t, lines("dir tmp 0:0 1777"+there)...)
		before := snapshot(t, host)
		r := newRun(t, host, "version: 1\ndirectories: [{path: /tmp, method: env, instances: /p}]")
		r.plan.Steps = append(r.plan.Steps, unknownStep{})
		if err := r.apply(t); err == nil || errors.Is(err, ErrNotUndone) {
			t.Error(err)
		}
		checkSame(t, "the disk", before, snapshot(t, host))
	}
}
