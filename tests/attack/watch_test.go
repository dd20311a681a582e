package attack_test

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// victim is a tree of root's that an attack would have the module touch. It is watched, since what was made there and
// removed again shows in no comparison.
type victim struct {
	t      testing.TB
	dir    string
	before []string
	fd     int
	paths  map[int32]string
}

const touched = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVE | unix.IN_ATTRIB | unix.IN_MODIFY | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

// watch begins to watch a tree for the events of inotify(7): those of touched, and others that are given.
func watch(t testing.TB, dir string, more uint32) *victim {
	t.Helper()
	v := &victim{t: t, dir: dir, before: sandbox.Tree(t, dir), paths: map[int32]string{}}
	var err error
	v.fd, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	testkit.Must(t, err)
	t.Cleanup(func() { unix.Close(v.fd) })
	testkit.Must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		wd, err := unix.InotifyAddWatch(v.fd, path, touched|unix.IN_DONT_FOLLOW|more)
		v.paths[int32(wd)] = path
		return err
	}))
	return v
}

// events are what has happened since they were last asked for.
func (v *victim) events() (out []string) {
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(v.fd, buf)
		if err != nil || n <= 0 {
			return out
		}
		for at := 0; at < n; {
			wd, mask := int32(binary.NativeEndian.Uint32(buf[at:])), binary.NativeEndian.Uint32(buf[at+4:])
			name := int(binary.NativeEndian.Uint32(buf[at+12:]))
			out = append(out, fmt.Sprintf("%#x at %s %s", mask, v.paths[wd], buf[at+16:at+16+name]))
			at += 16 + name
		}
	}
}

// untouched fails the test where anything has happened to the tree.
func (v *victim) untouched(what any) {
	v.t.Helper()
	if events := v.events(); len(events) > 0 {
		v.t.Errorf("%v: %s was touched %d times, the first: %q", what, v.dir, len(events), events[0])
	}
	if after := sandbox.Tree(v.t, v.dir); !slices.Equal(v.before, after) {
		v.t.Errorf("%v: %s was\n%q\nand is\n%q", what, v.dir, v.before, after)
	}
}
