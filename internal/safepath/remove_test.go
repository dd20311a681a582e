package safepath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
)

func always() bool { return true }

// remove removes base/name.
func remove(t testing.TB, base, name string, more func() bool) error {
	t.Helper()
	return RemoveTree(rootAt(t, base).handle, name, func(linux.Stat) bool { return true }, more)
}

// snapshot describes all below dir: path, owner, mode and content.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		st := info.Sys().(*syscall.Stat_t)
		var data []byte
		if info.Mode().IsRegular() { // a FIFO would block
			data, _ = os.ReadFile(path)
		}
		out = append(out, fmt.Sprintf("%s %s %d:%d %q", path, info.Mode(), st.Uid, st.Gid, data))
		return err
	}))
	return strings.Join(out, "\n")
}

func checkSame(t testing.TB, what, before, after string) {
	t.Helper()
	if before != after {
		t.Errorf("%s changed: before\n%s\nafter\n%s", what, before, after)
	}
}

func checkGone(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}

func TestRemoveTree(t *testing.T) {
	for _, c := range []struct{ name, tree string }{
		{"empty", ""},
		{"all kinds", "file d/f; fifo d/p 2001:0 0000; socket d/s; device d/dev; dir d/d 2001:0 0000; file d/d/f 0:0 0000"},
		{"links", "link d/abs /out; link d/rel ../out; link d/file /out/f; link d/dangling /nowhere; link d/self self; dir d/sub; link d/sub/up ../.."},
		{"names", "dir d/-rf; file d/-rf/--; file d/*; dir d/...; file d/.../.hidden; dir d/.gons-deep-1; file d/.gons-deep-1/f"},
		{"nested", "dir d/1; dir d/1/2; dir d/1/2/3; file d/1/2/3/f; file d/1/f; dir d/x"},
	} {
		base := newBase(t, append([]string{"dir d", "dir out", "file out/f", "dir out/sub"}, lines(c.tree)...)...)
		before := snapshot(t, base+"/out")
		if err := remove(t, base, "d", always); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		checkGone(t, base+"/d")
		checkSame(t, c.name+": what lies outside", before, snapshot(t, base+"/out"))
	}
}

func TestRemoveTreeOddNames(t *testing.T) {
	for _, name := range []string{"-rf", "--", "a b", "new\nline", "\xff\xfe", "*", strings.Repeat("n", 255)} {
		base := newBase(t)
		must(t, os.MkdirAll(base+"/"+name+"/"+name, 0o755))
		must(t, os.WriteFile(base+"/"+name+"/f", nil, 0o644))
		if err := remove(t, base, name, always); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What isn't a directory of its own mount is refused as a whole.
func TestRemoveTreeRefuses(t *testing.T) {
	base := newBase(t, "dir out", "file out/f", "file file", "link link /out", "link rel out", "fifo pipe", "dir mount")
	must(t, unix.Mount("test", base+"/mount", "tmpfs", 0, "mode=0755"))
	defer unix.Unmount(base+"/mount", unix.MNT_DETACH)
	tree(t, base, "file mount/f")
	before := snapshot(t, base)
	for name, want := range map[string]error{
		"file": linux.ENOTDIR, "link": linux.ENOTDIR, "rel": linux.ENOTDIR, "pipe": linux.ENOTDIR,
		"mount": linux.EXDEV, "missing": fs.ErrNotExist, "..": linux.EXDEV, "out/f": linux.ENOTDIR,
	} {
		if err := remove(t, base, name, always); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	checkSame(t, "the tree", before, snapshot(t, base))
}

// A directory that isn't the one that is meant stays as it is.
func TestRemoveTreeOfAnother(t *testing.T) {
	base := newBase(t, "dir d", "file d/f")
	before := snapshot(t, base)
	err := RemoveTree(rootAt(t, base).handle, "d", func(st linux.Stat) bool { return st.Ino == 0 }, always)
	if !errors.Is(err, ErrAnother) {
		t.Errorf("got %v", err)
	}
	checkSame(t, "the tree", before, snapshot(t, base))
}

// places are file systems with different ways to list a directory while it shrinks: tmpfs, and whatever /tmp is on.
func places(t *testing.T) map[string]string {
	return map[string]string{"tmpfs": newBase(t), "disk": t.TempDir()}
}

func TestRemoveTreeManyFiles(t *testing.T) {
	const many = 20000
	for where, base := range places(t) {
		must(t, os.Mkdir(base+"/d", 0o755))
		for i := range many {
			must(t, os.Symlink("x", fmt.Sprintf("%s/d/%d", base, i)))
		}
		if err := remove(t, base, "d", always); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		checkGone(t, base+"/d")
	}
}

// makeDeep makes dir/d/d/... with a file in each.
func makeDeep(t testing.TB, dir string, depth int) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	for range depth {
		must(t, unix.Mkdirat(fd, "d", 0o755))
		must(t, unix.Symlinkat("/mnt", fd, "link"))
		next, err := unix.Openat(fd, "d", unix.O_PATH|unix.O_CLOEXEC, 0)
		must(t, err)
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
}

func TestRemoveTreeDeep(t *testing.T) {
	for where, base := range places(t) {
		for _, depth := range []int{removeDepth - 1, removeDepth, removeDepth + 1, 3*removeDepth + 7, 4096} {
			must(t, os.Mkdir(base+"/d", 0o755))
			makeDeep(t, base+"/d", depth)
			if err := remove(t, base, "d", always); err != nil {
				t.Errorf("%s, %d deep: %v", where, depth, err)
			}
			checkGone(t, base+"/d")
		}
	}
}

// A host may have few descriptors left.
func TestRemoveTreeDescriptors(t *testing.T) {
	base := newBase(t, "dir d")
	makeDeep(t, base+"/d", 300)
	before, most := descriptors(t), 0
	must(t, remove(t, base, "d", func() bool {
		most = max(most, descriptors(t))
		return true
	}))
	if most-before > removeDepth+8 {
		t.Errorf("%d descriptors were held at once", most-before)
	}
}

// A mount inside is never entered, whatever it is of; all around it goes.
func TestRemoveTreeLeavesMounts(t *testing.T) {
	base := newBase(t, "dir d", "dir d/bind", "dir d/sub", "dir d/sub/tmpfs", "file d/f", "file d/sub/f", "file d/file", "dir out", "file out/f")
	mounts := map[string]func(string) error{
		"bind":      func(to string) error { return unix.Mount(base+"/out", to, "", unix.MS_BIND, "") },
		"file":      func(to string) error { return unix.Mount(base+"/out/f", to, "", unix.MS_BIND, "") },
		"sub/tmpfs": func(to string) error { return unix.Mount("test", to, "tmpfs", 0, "mode=0755") },
	}
	for name, mount := range mounts {
		must(t, mount(base+"/d/"+name))
		defer unix.Unmount(base+"/d/"+name, unix.MNT_DETACH)
	}
	tree(t, base, "file d/sub/tmpfs/f")
	before := snapshot(t, base+"/out") + snapshot(t, base+"/d/sub/tmpfs")
	err := remove(t, base, "d", always)
	if err == nil {
		t.Error("no error")
	}
	checkSame(t, "what is on other mounts", before, snapshot(t, base+"/out")+snapshot(t, base+"/d/sub/tmpfs"))
	checkGone(t, base+"/d/f")
	checkGone(t, base+"/d/sub/f")
	for name := range mounts {
		must(t, unix.Unmount(base+"/d/"+name, 0))
	}
	must(t, remove(t, base, "d", always))
}

// setFlags sets a file's attributes as chattr(1) does.
func setFlags(path string, flags int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags)
}

// What can't be removed stays and is reported; all else goes.
func TestRemoveTreeImmutable(t *testing.T) {
	const immutable = 0x10 // FS_IMMUTABLE_FL
	for where, base := range places(t) {
		tree(t, base, "dir d", "file d/a", "file d/immutable", "file d/z", "dir d/sub", "file d/sub/f", "dir d/kept", "file d/kept/f")
		stuck := []string{base + "/d/immutable", base + "/d/kept"}
		for _, path := range stuck {
			if err := setFlags(path, immutable); err != nil {
				t.Skipf("%s has no immutable files: %v", where, err)
			}
		}
		err := remove(t, base, "d", always)
		if !linux.Is(err, linux.EPERM) || !strings.HasPrefix(err.Error(), "cannot remove ") {
			t.Errorf("%s: got %v", where, err)
		}
		left, _ := filepath.Glob(base + "/d/*")
		if want := stuck; !slices.Equal(left, want) {
			t.Errorf("%s: %v is left, want %v", where, left, want)
		}
		for _, path := range stuck {
			must(t, setFlags(path, 0))
		}
		must(t, remove(t, base, "d", always))
	}
}

func TestRemoveTreeIsResumed(t *testing.T) {
	for where, base := range places(t) {
		must(t, os.Mkdir(base+"/d", 0o755))
		makeDeep(t, base+"/d", 200)
		must(t, os.MkdirAll(base+"/d/x/y/z", 0o755))
		rounds := 0
		for err := ErrUnfinished; err != nil; rounds++ {
			budget := removeDepth + 20 // enough to get to the bottom, which then goes
			err = remove(t, base, "d", func() bool { budget--; return budget >= 0 })
			if err != nil && !errors.Is(err, ErrUnfinished) || rounds > 1000 {
				t.Fatalf("%s: round %d: %v", where, rounds, err)
			}
		}
		checkGone(t, base+"/d")
		if rounds < 3 {
			t.Errorf("%s: done after %d rounds", where, rounds)
		}
	}
	base := newBase(t, "dir d", "file d/f")
	before := snapshot(t, base)
	if err := remove(t, base, "d", func() bool { return false }); !errors.Is(err, ErrUnfinished) {
		t.Errorf("without any time: %v", err)
	}
	checkSame(t, "the tree", before, snapshot(t, base))
}

// The removal of a directory that its owner removes at the same time is no failure, and above all not fs.ErrNotExist:
// that says that the tree itself is gone, and package session drops its record then.
func TestRemoveTreeToleratesVanishingDirectories(t *testing.T) {
	base := newBase(t, "dir d", "dir d/sub", "file d/sub/a", "file d/sub/b", "file d/sub/c")
	calls := 0
	err := remove(t, base, "d", func() bool {
		if calls++; calls == 2 { // in sub
			must(t, os.RemoveAll(base+"/d/sub"))
		}
		return true
	})
	if err != nil {
		t.Errorf("got %v", err)
	}
	checkGone(t, base+"/d")
}

// All that can go goes, also from below a directory that can't, and also from very deep.
func TestRemoveTreeEmptiesWhatWasMovedUp(t *testing.T) {
	base := newBase(t, "dir d", "dir d/d", "dir d/d/mount")
	makeDeep(t, base+"/d/d", 3*removeDepth)
	must(t, unix.Mount("test", base+"/d/d/mount", "tmpfs", 0, ""))
	defer unix.Unmount(base+"/d/d/mount", unix.MNT_DETACH)
	if err := remove(t, base, "d", always); err == nil {
		t.Error("no error")
	}
	var left []string
	filepath.WalkDir(base+"/d", func(path string, _ fs.DirEntry, _ error) error {
		left = append(left, strings.TrimPrefix(path, base))
		return nil
	})
	if want := []string{"/d", "/d/d", "/d/d/mount"}; !slices.Equal(left, want) {
		t.Errorf("%d files are left, among them %v; want %v", len(left), left[:min(len(left), 6)], want)
	}
}

// The owner of the tree exchanges its directories for symbolic links, and moves directories in and out, while it is
// removed: nothing outside goes that is not theirs.
func TestRemoveTreeRace(t *testing.T) {
	const rounds = 60
	base := newBase(t, "dir out", "file out/f", "dir out/sub", "file out/sub/f", "dir own 2001:2001")
	before := snapshot(t, base+"/out")
	defer attack(t, func() {
		for i := range 8 {
			exchange(fmt.Sprintf("%s/d/%d", base, i), fmt.Sprintf("%s/d/l%d", base, i))
			exchange(fmt.Sprintf("%s/d/%d/x", base, i), fmt.Sprintf("%s/d/%d/l", base, i))
			os.Rename(fmt.Sprintf("%s/d/%d", base, i), fmt.Sprintf("%s/own/%d", base, i))
			os.Rename(fmt.Sprintf("%s/own/%d", base, i), fmt.Sprintf("%s/d/%d", base, i))
		}
	})()
	for range rounds {
		hostileTree(t, base)
		for tries := 0; tries < 1000; tries++ {
			if err := remove(t, base, "d", always); err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			runtime.Gosched()
		}
		os.RemoveAll(base + "/d")
	}
	checkSame(t, "what lies outside", before, snapshot(t, base+"/out"))
}

// hostileTree makes base/d, all of it alice's, out of her reach first.
func hostileTree(t testing.TB, base string) {
	t.Helper()
	tree(t, base, "dir draft 0:0 0700", "dir draft/d 2001:2001")
	for i := range 8 {
		d := fmt.Sprintf("draft/d/%d", i)
		tree(t, base, "dir "+d+" 2001:2001", "dir "+d+"/x 2001:2001", "file "+d+"/x/f 2001:2001",
			"link "+d+"/l "+base+"/out 2001:2001", fmt.Sprintf("link draft/d/l%d %s/out 2001:2001", i, base))
	}
	must(t, os.Rename(base+"/draft/d", base+"/d"))
	must(t, os.Remove(base+"/draft"))
}
