package attack_test

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// A1. Attack: alice puts a FIFO, a socket, a device, a file or a dangling link where a directory belongs: on the way to
// the directory or as it, as the instance parent, as the instance.
// Passes when the session fails within a second and nothing of that is opened. Reference: CVE-2024-22365 (the FIFO).
func TestA01NoDirectory(t *testing.T) {
	for _, kind := range []string{"fifo X 2001:2001", "socket X 2001:2001", "device X", "file X 2001:2001", "link X {A}/nowhere 2001:2001"} {
		for _, c := range []struct{ at, line, options string }{
			{"u/x", "{A}/u/x/d {A}/i/ user:noinit", ""},
			{"u/x", "{A}/u/x {A}/i/ user:noinit", ""},
			{"u/x", "{A}/u/x/new {A}/i/ user:noinit:create", ""},
			{"u/x", "{A}/tmp {A}/u/x/i/ user:noinit", ""},
			{"u/x", "{A}/tmp {A}/u/x/ tmpdir:noinit", ""},
			{"u/alice", "{A}/tmp {A}/u/ user:noinit", "ignore_instance_parent_mode"},
		} {
			t.Run(strings.Fields(kind)[0]+" "+c.line, func(t *testing.T) {
				dir := area(t, "dir u 2001:2001; dir tmp 0:0 1777; dir i 0:0 0000", strings.Replace(kind, "X", c.at, 1))
				configure(t, dir, c.line, c.options)
				v := watch(t, dir+"/u", unix.IN_OPEN)
				v.events() // listing it for the watch has opened it
				refused(t, gons, "alice", dir+"/"+c.at)
				v.untouched("gons")
			})
		}
	}
}

// TestA01PamNamespace says what pam_namespace makes of the FIFO.
func TestA01PamNamespace(t *testing.T) {
	dir := area(t, "dir u 2001:2001; fifo u/x 2001:2001; dir i 0:0 0000")
	configure(t, dir, "{A}/u/x {A}/i/ user:noinit")
	r := report(t, exec.Command("timeout", "-s", "KILL", "3", sandbox.Built(t, "pamhost"), string(peer), "alice"))
	t.Logf("pam_namespace: PAM code %q (none: it hangs)", r["open"])
}

// A2. Attack: alice's symbolic link to a tree of root's as the first, a middle and the last component of the directory,
// which is there or to be created.
// Passes when the session fails and root's tree is untouched. Reference: CVE-2025-6020.
func TestA02Links(t *testing.T) {
	for _, flags := range []string{"user:noinit", "user:noinit:create=0700,alice", "tmpfs:noinit", "tmpdir:noinit:create"} {
		for at, path := range map[string]string{"u/x": "b/c", "u/a/x": "c", "u/a/b/x": ""} {
			dir := area(t, ground, "link "+at+" {A}/victim/"+map[string]string{"b/c": "", "c": "b", "": "b/c"}[path]+" 2001:2001")
			for _, last := range []string{"", "/new"} {
				line := fmt.Sprintf("{A}/%s/%s%s {A}/i/ %s", at, path, last, flags)
				configure(t, dir, strings.ReplaceAll(line, "//", "/"))
				v := watch(t, dir+"/victim", 0)
				refused(t, gons, "alice", "symbolic link "+dir+"/"+at)
				v.untouched(line)
				s := begin(t, peer, "alice", "", nil)
				if err := s.open(); err == nil {
					t.Logf("pam_namespace opens a session for %s", line)
				}
			}
		}
	}
}

// A5. Attack: a link of root's, itself out of reach, leads through a tree of alice's, who makes that lead to root's.
// Passes when the session fails and nothing covers root's directory; a link that leads through root's directories
// alone works. pam_namespace follows such a link as a whole and covers root's directory.
// Reference: residual weakness 1.
func TestA05RootsLinkThroughAUsersTree(t *testing.T) {
	for _, c := range []struct{ name, tree, refused string }{
		{"link", "link l {A}/u/d/c", "u/d"},
		{"chain", "link l {A}/l2/c; link l2 {A}/l3; link l3 {A}/u/d", "u/d"},
		{"dots", "link l {A}/tmp/../u/./d/c", "u/d"},
		{"back out of it", "link l {A}/u/d/../victim/b/c", "u/d"},
		{"relative", "link l u/d/c", "u/d"},
		{"in a sticky directory", "link tmp/l {A}/victim/b 2001:2001; link l {A}/tmp/l/c", "tmp/l"},
		{"root's alone", "link l {A}/l2/c; link l2 {A}/victim/../victim/./b", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t, ground, "link u/d {A}/victim/b 2001:2001", c.tree)
			configure(t, dir, "{A}/l {A}/i/ user:noinit")
			v := watch(t, dir+"/victim", 0)
			if c.refused == "" {
				if s := open(t, gons, "alice"); !s.covers(dir + "/victim/b/c") {
					t.Error("gons does not cover where root's links lead")
				}
			} else {
				refused(t, gons, "alice", "symbolic link "+dir+"/"+c.refused)
			}
			v.untouched("gons")
			s := begin(t, peer, "alice", "", nil)
			t.Logf("pam_namespace: error %v, root's directory covered: %v", s.open(), s.covers(dir+"/victim/b/c"))
		})
	}
}

// A6. Attack: alice's directory lies in one that bob owns, or may write to by its group, an access control list, or
// because everybody may. Bob puts there a link to root's tree, or a directory of his own.
// Passes when the session fails and root's tree is untouched. Alice's own directory there is covered: the instance looks
// like it, and what bob can do is take it away (residual weakness 2).
func TestA06ColludingUser(t *testing.T) {
	for name, parent := range map[string]string{
		"bob's": "dir p 2002:2002", "group": "dir p 0:2002 0775", "list": "dir p", "sticky": "dir p 0:0 1777", "everybody": "dir p 0:0 0777",
	} {
		for _, c := range []struct{ what, entry, want string }{
			{"link", "link p/d {A}/victim/b 2002:2002", "symbolic link {A}/p/d"},
			{"way", "link p/d {A}/victim 2002:2002; dir victim/e 2001:2001", "symbolic link {A}/p/d"},
			{"his", "dir p/d 2002:2002 0777; dir p/d/e 2002:2002 0777", "user 2002"},
			{"fifo", "fifo p/d 2002:2002", "FIFO"},
			{"hers", "dir p/d 2001:2001; dir p/d/e 2001:2001", ""},
		} {
			t.Run(name+" "+c.what, func(t *testing.T) {
				dir := area(t, ground, parent, c.entry)
				if name == "list" {
					grant(t, dir+"/p", sandbox.Bob.UID)
				}
				configure(t, dir, map[bool]string{false: "{A}/p/d", true: "{A}/p/d/e"}[c.what == "way"]+" {A}/i/ user:noinit")
				v := watch(t, dir+"/victim", 0)
				if c.want == "" {
					if s := open(t, gons, "alice"); !s.covers(dir + "/p/d") {
						t.Error("alice's directory is not covered")
					}
				} else {
					refused(t, gons, "alice", strings.ReplaceAll(c.want, "{A}", dir))
				}
				v.untouched("gons")
			})
		}
	}
}

// grant lets a user write to a directory by an access control list (acl(5); the form is the kernel's posix_acl_xattr.h).
func grant(t testing.TB, path string, uid int) {
	t.Helper()
	const version, none = 2, ^uint32(0)
	data := binary.LittleEndian.AppendUint32(nil, version)
	for _, e := range [][3]uint32{{1, 7, none}, {2, 7, uint32(uid)}, {4, 5, none}, {0x10, 7, none}, {0x20, 5, none}} {
		data = binary.LittleEndian.AppendUint16(data, uint16(e[0]))
		data = binary.LittleEndian.AppendUint16(data, uint16(e[1]))
		data = binary.LittleEndian.AppendUint32(data, e[2])
	}
	testkit.Must(t, unix.Setxattr(path, "system.posix_acl_access", data, 0))
}
