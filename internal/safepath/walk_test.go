package safepath

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
)

// opened is what Open says of a path, in one line.
func opened(r *Root, path string) string {
	d, err := r.Open(path)
	if err != nil {
		return err.Error()
	}
	defer d.Close()
	if d.Trusted {
		return d.Resolved + " trusted"
	}
	return d.Resolved + " untrusted"
}

const (
	noFollow  = "cannot follow the symbolic link %s: others than root can change it or the way to it"
	home      = "dir home; dir home/alice 2001:2001; dir etc; dir etc/sub; dir mnt; "
	manyLinks = "cannot open %s: more than 40 symbolic links"
)

var walks = []struct{ name, tree, path, want string }{
	{"root", "", "/", "/ trusted"},
	{"slashes only", "", "///", "/ trusted"},
	{"plain", "dir a; dir a/b", "/a/b", "/a/b trusted"},
	{"doubled and trailing slashes", "dir a; dir a/b", "//a///b//", "/a/b trusted"},
	{"names with dots and dashes", "dir ...; dir .../-rf", "/.../-rf", "/.../-rf trusted"},

	{"empty", "", "", `cannot open "": it is not an absolute path`},
	{"relative", "dir a", "a", `cannot open "a": it is not an absolute path`},
	{"dot", "dir a", "/a/./b", `cannot open /a/./b: "." in a path is not allowed`},
	{"dots", "dir a", "/a/..", `cannot open /a/..: ".." in a path is not allowed`},
	{"missing", "dir a", "/a/b/c", "cannot open /a/b: openat2: no such file or directory"},
	{"name too long", "", "/" + strings.Repeat("x", 256), "cannot open /" + strings.Repeat("x", 256) + ": openat2: file name too long"},

	{"of a user, the last", "dir a 2001:0", "/a", "/a trusted"},
	{"of a user, on the way", "dir a 2001:0; dir a/b", "/a/b", "/a/b untrusted"},
	{"of a user, far up", "dir a 2001:0; dir a/b; dir a/b/c", "/a/b/c", "/a/b/c untrusted"},
	{"of a group that can't write", "dir a 0:2001 0755; dir a/b", "/a/b", "/a/b trusted"},
	{"of a group that can write", "dir a 0:2001 0775; dir a/b", "/a/b", "/a/b untrusted"},
	{"of root's group that can write", "dir a 0:0 0775; dir a/b", "/a/b", "/a/b untrusted"},
	{"everybody's", "dir a 0:0 0777; dir a/b", "/a/b", "/a/b untrusted"},
	{"sticky", "dir a 0:0 1777; dir a/b", "/a/b", "/a/b trusted"},
	{"a user's in sticky", "dir a 0:0 1777; dir a/b 2001:0; dir a/b/c", "/a/b/c", "/a/b/c untrusted"},
	{"a user's sticky", "dir a 2001:0 1777; dir a/b", "/a/b", "/a/b untrusted"},

	{"root's link", "dir a; link l /a", "/l", "/a trusted"},
	{"root's link on the way", "dir a; dir a/b; link l /a", "/l/b", "/a/b trusted"},
	{"relative link", "dir a; dir a/b; link a/l b", "/a/l", "/a/b trusted"},
	{"link with slashes and dots", "dir a; dir a/b; link l .//./a///b/./", "/l", "/a/b trusted"},
	{"link with ..", "dir a; dir a/b; dir c; link a/b/l ../../c", "/a/b/l", "/c trusted"},
	{"link with .. above /", "dir a; link l ../../../a", "/l", "/a trusted"},
	{"link to /", "dir a; link l /", "/l/a", "/a trusted"},
	{"link to ..", "dir a; dir a/b; dir b; link a/b/l ..", "/a/b/l/b", "/a/b trusted"},
	{".. after a link means the target's parent", "dir a; dir a/b; dir x; dir a/x; link l a/b; link m l/../x", "/m", "/a/x trusted"},
	{"chain", "dir a; link l m; link m n; link n /a", "/l", "/a trusted"},
	{"root's link in sticky", "dir t 0:0 1777; dir a; link t/l /a", "/t/l", "/a trusted"},
	{"dangling", "link l /a/b", "/l", "cannot open /a: openat2: no such file or directory"},
	{"loop of one", "link l l", "/l", fmt.Sprintf(manyLinks, "/l")},
	{"loop of two", "link l m; link m l", "/l/x", fmt.Sprintf(manyLinks, "/l/x")},

	{"a user's link", "dir a; link l /a 2001:0", "/l", fmt.Sprintf(noFollow, "/l")},
	{"a user's link in sticky", "dir t 0:0 1777; dir a; link t/l /a 2001:0", "/t/l", fmt.Sprintf(noFollow, "/t/l")},
	{"a user's link in sticky, on the way", "dir t 0:0 1777; dir a; dir a/b; link t/l /a 2001:0", "/t/l/b", fmt.Sprintf(noFollow, "/t/l")},
	{"root's link in a user's", "dir a; dir u 2001:0; link u/l /a", "/u/l", fmt.Sprintf(noFollow, "/u/l")},
	{"root's link where everybody writes", "dir a; dir u 0:0 0777; link u/l /a", "/u/l", fmt.Sprintf(noFollow, "/u/l")},
	{"root's link where a group writes", "dir a; dir u 0:2001 0775; link u/l /a", "/u/l", fmt.Sprintf(noFollow, "/u/l")},
	{"root's link below a user's", "dir a; dir u 2001:0; dir u/r; link u/r/l /a", "/u/r/l", fmt.Sprintf(noFollow, "/u/r/l")},
	{"dangling link of a user", "link l /x 2001:0", "/l", fmt.Sprintf(noFollow, "/l")},

	{"a user's link first", home + "link home/alice/d /etc 2001:0", "/home/alice/d/sub", fmt.Sprintf(noFollow, "/home/alice/d")},
	{"a user's link last", home + "link home/alice/d /etc/sub 2001:0", "/home/alice/d", fmt.Sprintf(noFollow, "/home/alice/d")},
	{"root's link through a user's tree", home + "link home/alice/d /etc 2001:0; link mnt/lnk /home/alice/d/sub", "/mnt/lnk",
		fmt.Sprintf(noFollow, "/home/alice/d")},
	{"root's links through a user's tree", home + "link home/alice/d /etc; link mnt/a b; link mnt/b ../home/alice; link mnt/lnk a/d/sub", "/mnt/lnk",
		fmt.Sprintf(noFollow, "/home/alice/d")},
	{"root's link to a user's directory", home + "dir home/alice/d 2001:0; dir home/alice/d/sub 2001:0; link mnt/lnk /home/alice/d/sub", "/mnt/lnk",
		"/home/alice/d/sub untrusted"},
	{"root's link back from a user's tree", home + "dir home/alice/d 2001:0; link mnt/lnk /home/alice/d/../../../etc/sub", "/mnt/lnk",
		"/etc/sub trusted"},
}

func TestOpen(t *testing.T) {
	for _, c := range walks {
		t.Run(c.name, func(t *testing.T) {
			r := rootAt(t, newBase(t, lines(c.tree)...))
			within(t, time.Second, func() {
				if got := opened(r, c.path); got != c.want {
					t.Errorf("Open(%q): got\n%s\nwant\n%s", c.path, got, c.want)
				}
			})
		})
	}
}

// Whatever stands in the way of a path, first, in the middle or last, is named, and never waited for.
func TestOpenOnlyDirectories(t *testing.T) {
	for _, c := range []struct{ entry, want string }{
		{"file %sbad 0:0 0644", "cannot open /%sbad: it is a regular file, not a directory"},
		{"fifo %sbad 0:0 0666", "cannot open /%sbad: it is a FIFO, not a directory"},
		{"fifo %sbad 2001:2001 0666", "cannot open /%sbad: it is a FIFO, not a directory"},
		{"socket %sbad 2001:2001 0666", "cannot open /%sbad: it is a socket, not a directory"},
		{"device %sbad 0:0 0666", "cannot open /%sbad: it is a device, not a directory"},
		{"link %sbad pipe", "cannot open /%spipe: it is a FIFO, not a directory"},
		{"link %sbad nowhere", "cannot open /%snowhere: openat2: no such file or directory"},
	} {
		for _, dir := range []string{"", "a/"} {
			want := fmt.Sprintf(c.want, dir)
			r := rootAt(t, newBase(t, "dir a", "fifo pipe", "fifo a/pipe", fmt.Sprintf(c.entry, dir)))
			for _, rest := range []string{"", "/b", "/b/c"} {
				within(t, time.Second, func() {
					if got := opened(r, "/"+dir+"bad"+rest); got != want {
						t.Errorf("%s: got %s, want %s", c.entry, got, want)
					}
				})
			}
		}
	}
}

func TestNotDirectoryError(t *testing.T) {
	_, err := rootAt(t, newBase(t, "fifo p")).Open("/p/x")
	var not *NotDirectoryError
	if !errors.As(err, &not) || not.Path != "/p" || !linux.Is(err, linux.ENOTDIR) || linux.Is(err, linux.ENOENT) {
		t.Errorf("got %#v", err)
	}
}

// A sticky directory keeps what root has put there, but doesn't keep others from being first.
func TestPlacedByRoot(t *testing.T) {
	r := rootAt(t, newBase(t, "dir a", "dir a/b 2001:0 0777", "dir a/b/c", "dir s 0:0 1777", "dir s/d 2001:0", "dir s/r", "dir s/r/x", "dir g 0:2001 0775", "dir g/d", "link s/l /a"))
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/b": true, "/a/b/c": false, "/s": true, "/s/d": false, "/s/r": false, "/s/r/x": false,
		"/g": true, "/g/d": false,
	} {
		d, err := r.Open(path)
		must(t, err)
		if d.PlacedByRoot != want {
			t.Errorf("%s is placed by root: %t, want %t", path, d.PlacedByRoot, want)
		}
		d.Close()
	}
}

func TestOpenDepth(t *testing.T) {
	base := newBase(t)
	deepest := strings.Repeat("/d", maxDepth)
	must(t, os.MkdirAll(base+deepest+"/d", 0o755))
	r := rootAt(t, base)
	if got := opened(r, deepest); got != deepest+" trusted" {
		t.Errorf("%d directories: %s", maxDepth, got)
	}
	if got := opened(r, deepest+"/d"); !strings.HasSuffix(got, "more than 250 directories deep") {
		t.Errorf("%d directories: %s", maxDepth+1, got)
	}
}

func TestOpenChains(t *testing.T) {
	base := newBase(t, "dir end")
	for i := range maxLinks + 1 {
		next := fmt.Sprintf("l%d", i+1)
		if i == maxLinks {
			next = "end"
		}
		must(t, os.Symlink(next, fmt.Sprintf("%s/l%d", base, i)))
	}
	r := rootAt(t, base)
	if got := opened(r, "/l1"); got != "/end trusted" {
		t.Errorf("%d links: %s", maxLinks, got)
	}
	if got := opened(r, "/l0"); got != fmt.Sprintf(manyLinks, "/l0") {
		t.Errorf("%d links: %s", maxLinks+1, got)
	}
}

// A walk leaves no descriptor behind, whichever way it ends.
func TestOpenLeaksNoDescriptors(t *testing.T) {
	r := rootAt(t, newBase(t, "dir a", "dir a/b", "link l /a/b", "link m m", "fifo p", "link u /a 2001:0"))
	before := descriptors(t)
	for _, path := range []string{"/", "/a/b", "/l", "/m", "/p", "/u", "/a/b/c", "/a/..", "a"} {
		opened(r, path)
		if d, _, err := r.OpenParent(path); err == nil {
			d.Close()
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func TestOpenParent(t *testing.T) {
	r := rootAt(t, newBase(t, "dir a", "dir a/b", "link l /a"))
	for path, want := range map[string]string{
		"/a/b":     "/a b",
		"/a/b/":    "/a b",
		"//l//new": "/a new",
		"/new":     "/ new",
		"/":        `cannot open the directory of "": it is not an absolute path below /`,
		"":         `cannot open the directory of "": it is not an absolute path below /`,
		"x":        `cannot open the directory of "x": it is not an absolute path below /`,
		"/a/..":    `cannot open /a/..: ".." in a path is not allowed`,
		"/a/.":     `cannot open /a/.: "." in a path is not allowed`,
		"/x/y":     "cannot open /x: openat2: no such file or directory",
	} {
		d, name, err := r.OpenParent(path)
		got := fmt.Sprint(err)
		if err == nil {
			got = d.Resolved + " " + name
			d.Close()
		}
		if got != want {
			t.Errorf("OpenParent(%q): got %s, want %s", path, got, want)
		}
	}
}

// Mount is the root of the mount that the directory is on.
func TestOpenFindsTheMount(t *testing.T) {
	base := newBase(t, "dir fs", "dir bind", "dir plain", "dir plain/sub", "dir src", "dir src/deep")
	must(t, unix.Mount("test", base+"/fs", "tmpfs", 0, "mode=0755"))
	must(t, unix.Mount(base+"/src", base+"/bind", "", unix.MS_BIND, ""))
	must(t, os.MkdirAll(base+"/fs/a/b", 0o755))
	t.Cleanup(func() { unix.Unmount(base+"/fs", unix.MNT_DETACH); unix.Unmount(base+"/bind", unix.MNT_DETACH) })
	must(t, os.Symlink("/fs/a", base+"/plain/l"))
	r := rootAt(t, base)
	for path, mount := range map[string]string{
		"/": "", "/plain": "", "/plain/sub": "", "/fs": "/fs", "/fs/a": "/fs", "/fs/a/b": "/fs", "/plain/l/b": "/fs",
		"/bind": "/bind", "/bind/deep": "/bind", "/src/deep": "",
	} {
		d, err := r.Open(path)
		must(t, err)
		want, _ := os.Stat(base + mount)
		got, err := d.Mount.Stat()
		must(t, err)
		if got.Ino != want.Sys().(*syscall.Stat_t).Ino || got.MountID != d.Stat.MountID {
			t.Errorf("the mount of %s is not %q", path, mount)
		}
		d.Close()
	}
}

// What is on top of a directory is what is opened.
func TestOpenSeesTheTopMount(t *testing.T) {
	base := newBase(t, "dir a", "dir a/below")
	r := rootAt(t, base)
	must(t, unix.Mount("test", base+"/a", "tmpfs", 0, ""))
	defer unix.Unmount(base+"/a", unix.MNT_DETACH)
	if got, want := opened(r, "/a/below"), "cannot open /a/below: openat2: no such file or directory"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An attacker who exchanges a directory for a symbolic link at every moment gets an error or the directory, never the
// link's target.
func TestOpenRace(t *testing.T) {
	base := newBase(t, "dir u 2001:2001", "dir u/d 2001:2001", "dir u/d/x 2001:2001", "dir etc", "dir etc/x", "link u/l /etc 2001:2001")
	r := rootAt(t, base)
	defer attack(t, func() { exchange(base+"/u/d", base+"/u/l") })()
	outcomes := map[string]int{}
	for range 5000 {
		outcomes[opened(r, "/u/d/x")]++
	}
	for what := range outcomes {
		if what == "/u/d/x untrusted" || what == fmt.Sprintf(noFollow, "/u/d") || strings.HasSuffix(what, "it changed while it was opened") {
			continue
		}
		t.Errorf("a race ended with: %s", what)
	}
	if len(outcomes) < 2 {
		t.Logf("no race happened: %v", outcomes)
	}
}
