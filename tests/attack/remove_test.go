package attack_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// restless is a tmpdir whose owner, alice, has kept a way into it: she exchanges the directories in it for links to a
// tree of root's, and moves them out and in again, without a pause.
type restless struct {
	dir      string
	instance *os.File // the directory itself, whatever its name
}

const heaps = 4 // the directories that she moves

// fill makes what is to be removed.
func (r restless) fill(t testing.TB) {
	t.Helper()
	at := r.path()
	for i := range heaps {
		testkit.Tree(t, at, fmt.Sprintf("dir d%d 2001:2001", i), fmt.Sprintf("dir d%d/b 2001:2001", i),
			fmt.Sprintf("file d%d/b/precious 2001:2001", i), fmt.Sprintf("link l%d %s/victim 2001:2001", i, r.dir))
	}
}

func (r restless) path() string { return fmt.Sprintf("/proc/self/fd/%d", r.instance.Fd()) }

// stir is one round of alice's.
func (r restless) stir() {
	in := int(r.instance.Fd())
	for i := range heaps {
		d, l, out := fmt.Sprintf("d%d", i), fmt.Sprintf("l%d", i), fmt.Sprintf("%s/out/%d", r.dir, i)
		unix.Renameat2(in, d, in, l, unix.RENAME_EXCHANGE)
		unix.Renameat2(in, d, unix.AT_FDCWD, out, unix.RENAME_NOREPLACE)
		unix.Renameat2(unix.AT_FDCWD, out, in, d, unix.RENAME_NOREPLACE)
		unix.Renameat2(in, d, in, l, unix.RENAME_EXCHANGE)
	}
}

// removeByPath is a removal that looks at paths first and uses them afterwards.
func removeByPath(path string) {
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() {
		entries, _ := os.ReadDir(path)
		for _, e := range entries {
			removeByPath(path + "/" + e.Name())
		}
	}
	os.Remove(path)
}

// A21. Attack: while a session's tmpdir is removed, alice exchanges the directories in it for links to root's tree, and
// moves them out and in again.
// Passes when nothing outside is removed, and what was not moved out at the end is. A removal by path loses.
func TestA21ExchangeWhileRemoving(t *testing.T) {
	dir := area(t, ground, "file victim/b/precious; dir out 2001:2001")
	configure(t, dir, "{A}/tmp {A}/i/ tmpdir:noinit")
	t.Run("naive", func(t *testing.T) {
		lost, tries := 0, 0
		for end := time.Now().Add(deadline); lost < 3 && time.Now().Before(end); tries++ {
			build(t, dir, "dir draft 2001:2001")
			if stirred(t, dir, dir+"/draft", func() { removeByPath(dir + "/draft") }); !exists(dir + "/victim/b/precious") {
				lost++
			}
			os.RemoveAll(dir + "/draft")
			os.RemoveAll(dir + "/victim/b")
			build(t, dir, "dir victim/b; dir victim/b/c; file victim/b/precious")
		}
		t.Logf("by path: %d removals, %d lost to the attacker", tries, lost)
		if lost == 0 {
			t.Error("the attack never won, not even on a removal by path")
		}
	})
	v := watch(t, dir+"/victim", 0)
	whole, tries := 0, 0
	batches(t, func() bool { return tries < times(40) }, func(t *testing.T) {
		tries++
		s := open(t, gons, "alice")
		tmpdir := dir + "/i/" + names(t, dir+"/i")[0]
		stirred(t, dir, tmpdir, func() {
			for end := time.Now().Add(deadline); s.close() != nil && time.Now().Before(end); {
				continue // what she has just moved in keeps the directory
			}
		})
		if !exists(tmpdir) {
			whole++
		}
	})
	v.untouched("gons")
	if t.Logf("gons: %d of %d tmpdirs were removed under attack", whole, times(40)); whole != times(40) {
		t.Error("some are left")
	}
	nothingLeft(t, dir+"/i")
}

// stirred fills a directory, has alice stir it while remove runs, and takes what she has moved out.
func stirred(t testing.TB, dir, path string, remove func()) {
	t.Helper()
	f, err := os.Open(path)
	testkit.Must(t, err)
	defer f.Close()
	r := restless{dir, f}
	r.fill(t)
	stop := testkit.Attack(t, sandbox.Alice.UID, r.stir)
	remove()
	stop()
	testkit.Must(t, os.RemoveAll(dir+"/out"))
	build(t, dir, "dir out 2001:2001")
}

// A21, continued. Attack: alice leaves a tree that is hard to remove: 100,000 files (20,000 in the short form), 4,096
// levels, links, mounts in it.
// Passes when nothing outside is removed, and all of it goes.
func TestA21HardTrees(t *testing.T) {
	dir := area(t, ground, "file victim/b/precious", "link tmp/l {A}/victim 2001:2001")
	configure(t, dir, "{A}/tmp {A}/i/ tmpdir:noinit")
	v := watch(t, dir+"/victim", 0)
	for name, script := range map[string]string{
		"many":  fmt.Sprintf("cd %s/tmp && seq 1 %d | xargs touch", dir, map[bool]int{false: 20000, true: 100000}[long]),
		"deep":  "",
		"links": "cd " + dir + "/tmp && ln -s .. up && ln -s " + dir + "/victim v && mkdir d && ln -s " + dir + "/victim/b d/b && ln -s / root",
	} {
		s := open(t, gons, "alice")
		if name == "deep" {
			s.try(func() error { return makeDeep(dir+"/tmp", 4096) })
		} else if said := s.sh(2001, script); said != "" {
			t.Errorf("%s: %s", name, said)
		}
		if err := s.close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		nothingLeft(t, dir+"/i")
	}
	s := open(t, gons, "alice")
	at := dir + "/i/" + names(t, dir+"/i")[0]
	build(t, at, "dir m; dir m2; file f; dir d; file d/g")
	testkit.Must(t, unix.Mount(dir+"/victim", at+"/m", "", unix.MS_BIND, "")) // the host's
	t.Cleanup(func() { unix.Unmount(at+"/m", unix.MNT_DETACH) })
	s.try(func() error { return unix.Mount(dir+"/victim", dir+"/tmp/m2", "", unix.MS_BIND, "") }) // the session's
	if err := s.close(); err != nil {
		t.Errorf("mounts in it: %v, left %q", err, names(t, at))
	}
	v.untouched("gons")
	nothingLeft(t, dir+"/i")
}

// makeDeep makes a chain of directories in dir.
func makeDeep(dir string, levels int) error {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	for range levels {
		if err == nil {
			err = unix.Mkdirat(at, "d", 0o755)
		}
		if err != nil {
			break
		}
		below, openErr := unix.Openat(at, "d", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(at)
		at, err = below, openErr
	}
	unix.Close(at)
	return err
}
