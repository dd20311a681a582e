package safepath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// read is what Read says of a path, in one line.
func read(f Files, path string, max int64) string {
	data, err := f.Read(path, max)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

const (
	content  = "content\n"
	anyone   = "cannot trust /e/f: others than root can write to /e or the way to it"
	tooOpen  = "cannot read /e/f: its mode %s lets others than root write to it"
	notAFile = "cannot read /e/f: it is %s, not a regular file"
)

// reads have what Strict says, and what is said without it where that differs.
var reads = []struct{ name, tree, strict, lax string }{
	{"root's", "dir e; file e/f 0:0 0644", content, ""},
	{"root's, private", "dir e; file e/f 0:0 0400", content, ""},
	{"of a group that can read", "dir e; file e/f 0:2001 0640", content, ""},
	{"a user's", "dir e; file e/f 2001:0 0644", "cannot read /e/f: it is owned by user 2001, not by root", content},
	{"writable by a group", "dir e; file e/f 0:2001 0664", fmt.Sprintf(tooOpen, "0664"), content},
	{"writable by root's group", "dir e; file e/f 0:0 0660", fmt.Sprintf(tooOpen, "0660"), content},
	{"writable by everybody", "dir e; file e/f 0:0 0602", fmt.Sprintf(tooOpen, "0602"), content},
	{"in a user's directory", "dir e 2001:0; file e/f 0:0 0644", anyone, content},
	{"where everybody writes", "dir e 0:0 0777; file e/f 0:0 0644", anyone, content},
	{"where a group writes", "dir e 0:2001 0775; file e/f 0:0 0644", anyone, content},
	{"in a sticky directory", "dir e 0:0 1777; file e/f 0:0 0644", content, ""},
	{"a user's in a sticky directory", "dir e 0:0 1777; file e/f 2001:0 0644",
		"cannot read /e/f: it is owned by user 2001, not by root", content},

	{"a directory", "dir e; dir e/f", fmt.Sprintf(notAFile, "a directory"), ""},
	{"a FIFO", "dir e; fifo e/f 0:0 0644", fmt.Sprintf(notAFile, "a FIFO"), ""},
	{"a user's FIFO", "dir e; fifo e/f 2001:0 0666", fmt.Sprintf(notAFile, "a FIFO"), ""},
	{"a socket", "dir e; socket e/f 0:0 0644", fmt.Sprintf(notAFile, "a socket"), ""},
	{"a device", "dir e; device e/f 0:0 0644", fmt.Sprintf(notAFile, "a device"), ""},
	{"a file on the way", "file e 0:0 0644", "cannot open /e: it is a regular file, not a directory", ""},
	{"a FIFO on the way", "fifo e 0:0 0666", "cannot open /e: it is a FIFO, not a directory", ""},

	{"root's link", "dir e; file e/g 0:0 0644; link e/f g", content, ""},
	{"root's link elsewhere", "dir e; dir x; file x/g 0:0 0644; link e/f ../x/g", content, ""},
	{"root's link above /", "dir e; link e/f ../../x", "cannot read /e/f: its target /e/../../x leads above /", ""},
	{"chain of links", "dir e; file e/h 0:0 0644; link e/f g; link e/g /e/h", content, ""},
	{"loop of links", "dir e; link e/f g; link e/g f", "cannot read /e/f: more than 40 symbolic links", ""},
	{"a user's link", "dir e; file e/g 0:0 0644; link e/f g 2001:0", "cannot read /e/f: it is a symbolic link of user 2001", content},
	{"link to a user's file", "dir e; file g 2001:0 0644; link e/f /g", "cannot read /g: it is owned by user 2001, not by root", content},
	{"link into a user's directory", "dir e; dir u 2001:0; file u/g 0:0 0644; link e/f /u/g",
		"cannot trust /u/g: others than root can write to /u or the way to it", content},
	{"masked", "dir e; link e/f /dev/null", "", ""},
	{"link to a FIFO", "dir e; fifo p 0:0 0644; link e/f /p", "cannot read /p: it is a FIFO, not a regular file", ""},
}

func TestRead(t *testing.T) {
	for _, c := range reads {
		r := rootAt(t, newBase(t, lines(c.tree)...))
		if c.lax == "" {
			c.lax = c.strict
		}
		for strict, want := range map[bool]string{true: c.strict, false: c.lax} {
			within(t, time.Second, func() {
				if got := read(Files{Root: r, Strict: strict}, "/e/f", 100); got != want && !(strings.HasPrefix(want, "cannot read /e/f: more") && strings.HasSuffix(got, "40 symbolic links")) {
					t.Errorf("%s, strict %t: got %s, want %s", c.name, strict, got, want)
				}
			})
		}
	}
}

func TestReadMissing(t *testing.T) {
	f := Files{Root: rootAt(t, newBase(t, "dir e", "fifo p")), Strict: true}
	for path, missing := range map[string]bool{"/e/f": true, "/no/f": true, "/no/such/f": true, "/p/f": false, "/e": false} {
		if _, err := f.Read(path, 100); errors.Is(err, fs.ErrNotExist) != missing {
			t.Errorf("Read(%s): %v", path, err)
		}
	}
}

// A configuration that is a dangling link is broken and not missing: Load would go on to namespace.conf, which
// distributions ship with no directory in it, and open every session in the open.
func TestReadOfADanglingLinkIsNotMissing(t *testing.T) {
	f := Files{Root: rootAt(t, newBase(t, "dir e", "link e/f /mnt/config/gons.yaml")), Strict: true}
	if _, err := f.Read("/e/f", 100); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want an error that is not fs.ErrNotExist", err)
	}
}

func TestReadSize(t *testing.T) {
	base := newBase(t)
	f := Files{Root: rootAt(t, base), Strict: true}
	for size, ok := range map[int]bool{0: true, 99: true, 100: true, 101: false, 1 << 20: false} {
		must(t, os.WriteFile(base+"/f", make([]byte, size), 0o644))
		data, err := f.Read("/f", 100)
		if ok != (err == nil) || ok && len(data) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(data), err)
		}
	}
}

// A file that is exchanged between being looked at and being opened is judged by what was opened.
func TestReadRace(t *testing.T) {
	base := newBase(t, "dir e 2001:0", "file e/f 0:0 0644", "fifo e/p 2001:0 0666")
	defer attack(t, func() { exchange(base+"/e/f", base+"/e/p") })()
	f := Files{Root: rootAt(t, base)}
	within(t, 5*time.Second, func() {
		for range 2000 {
			if got := read(f, "/e/f", 100); got != content && got != fmt.Sprintf(notAFile, "a FIFO") {
				t.Errorf("got %s", got)
				return
			}
		}
	})
}

func TestList(t *testing.T) {
	for _, c := range []struct{ name, tree, strict, lax string }{
		{"files", "dir d; file d/b; file d/a; dir d/c; link d/.e x", ".e a b c", ""},
		{"empty", "dir d", "", ""},
		{"sticky", "dir d 0:0 1777; file d/a", "a", ""},
		{"link", "dir x; file x/a; link d x", "a", ""},
		{"missing", "", "cannot open /d: openat2: no such file or directory", ""},
		{"file", "file d", "cannot open /d: it is a regular file, not a directory", ""},
		{"FIFO", "fifo d", "cannot open /d: it is a FIFO, not a directory", ""},
		{"a user's", "dir d 2001:0; file d/a", "cannot trust /d: others than root can write to it or the way to it", "a"},
		{"everybody's", "dir d 0:0 0777; file d/a", "cannot trust /d: others than root can write to it or the way to it", "a"},
	} {
		r := rootAt(t, newBase(t, lines(c.tree)...))
		if c.lax == "" {
			c.lax = c.strict
		}
		for strict, want := range map[bool]string{true: c.strict, false: c.lax} {
			if got := list(Files{Root: r, Strict: strict}, "/d"); got != want {
				t.Errorf("%s, strict %t: got %s, want %s", c.name, strict, got, want)
			}
		}
	}
	_, err := Files{Root: rootAt(t, newBase(t))}.List("/d")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

func list(f Files, path string) string {
	names, err := f.List(path)
	if err != nil {
		return err.Error()
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// A drop-in that is not listed is a directory that is not private.
func TestListNeverTruncates(t *testing.T) {
	base := newBase(t, "dir d")
	const many = 12000
	for i := range many {
		must(t, os.Symlink("x", fmt.Sprintf("%s/d/%d", base, i)))
	}
	names, err := Files{Root: rootAt(t, base)}.List("/d")
	if err == nil && len(names) != many {
		t.Errorf("%d of %d names, and no error", len(names), many)
	}
}
