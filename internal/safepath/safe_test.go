package safepath

import (
	"errors"
	"io/fs"
	"testing"
)

func TestIsSafe(t *testing.T) {
	for _, c := range []struct {
		tree, path string
		want       bool
	}{
		{"", "/", true},
		{"", "/x", true}, // the last component is nobody's business
		{"", "//x/", true},
		{"", "tmpfs", false},
		{"", "", false},
		{"", "/missing/x", false},
		{"file f", "/f/x", false},
		{"fifo f", "/f/x", false},
		{"dir a; dir a/b", "/a/b/x", true},
		{"dir a; dir a/b", "/a//b//x//", true},
		{"dir a; dir a/b 2001:0 0755", "/a/b", true},
		{"dir a; dir a/b 2001:0 0755", "/a/b/x", false},
		{"dir a 2001:0 0755; dir a/b", "/a/b/x", false},
		{"dir a 0:2001 0755", "/a/x", true},
		{"dir a 0:0 0775", "/a/x", false},
		{"dir a 0:0 0757", "/a/x", false},
		{"dir a 0:0 1777", "/a/x", true},
		{"dir a 2001:0 1777", "/a/x", false},
		{"dir a 0:0 1777; dir a/b; dir a/b/c", "/a/b/c/x", true},
		{"dir a; link l a", "/l/x", true},
		{"dir a; link l /a", "/l/x", true},
		{"dir a 2001:0 0755; link l /a", "/l/x", false},
		{"dir a; link l a 2001:2001", "/l/x", false},
		{"dir s 0:0 1777; dir a; link s/l /a", "/s/l/x", true},
		{"dir s 0:0 1777; dir a; link s/l /a 2001:2001", "/s/l/x", false},
		{"link l nowhere", "/l/x", false},
		{"link l l", "/l/x", false},
		// pam_namespace says yes: it looks at the end of a link and not at the way there.
		{"dir u 2001:0 0755; dir u/d; link l /u/d", "/l/x", false},
	} {
		if got := rootAt(t, newBase(t, lines(c.tree)...)).IsSafe(c.path); got != c.want {
			t.Errorf("%q: IsSafe(%q) is %v", c.tree, c.path, got)
		}
	}
}

func TestOpenTrusted(t *testing.T) {
	r := rootAt(t, newBase(t, "dir d", "file f", "dir u 0:0 0777", "file u/f", "dir u/d"))
	for path, want := range map[string]bool{"/d": true, "/u": false, "/u/d": false, "/f": false, "/none": false} {
		h, err := r.OpenTrustedDirectory(path)
		if (err == nil) != want || errors.Is(err, fs.ErrNotExist) != (path == "/none") {
			t.Errorf("directory %s: %v", path, err)
		}
		h.Close()
	}
	for path, want := range map[string]bool{"/f": true, "/u/f": false, "/d": false, "/none": false} {
		h, err := r.OpenTrusted(path)
		if (err == nil) != want || errors.Is(err, fs.ErrNotExist) != (path == "/none") {
			t.Errorf("file %s: %v", path, err)
		}
		h.Close()
	}
}
