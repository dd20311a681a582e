package safepath

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/tests/testkit"
)

func measure(t *testing.T, dir string, more func() bool) Usage {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	testkit.Must(t, err)
	h := linux.NewHandle(fd, dir)
	defer h.Close()
	u, err := Measure(h, more)
	testkit.Must(t, err)
	return u
}

func TestMeasure(t *testing.T) {
	always := func() bool { return true }
	dir := t.TempDir()
	testkit.Tree(t, dir, "dir a", "dir a/b", "link a/etc /etc", "fifo a/p", "dir a/t", "tmpfs a/t nosuid")
	testkit.Must(t, os.WriteFile(dir+"/a/b/big", make([]byte, 1<<20), 0o600))
	testkit.Must(t, os.Link(dir+"/a/b/big", dir+"/a/again"))
	testkit.Must(t, os.WriteFile(dir+"/a/t/mounted", make([]byte, 1<<20), 0o600))
	u := measure(t, dir, always)
	if u.Bytes < 1<<20 || u.Bytes > 1<<20+1<<16 || u.Entries != 6 || !u.Whole {
		t.Errorf("%+v", u) // a file with two names counts once; what is mounted, and what a link leads to, doesn't
	}
	later := time.Now().Add(time.Hour)
	testkit.Must(t, os.Chtimes(dir+"/a/b/big", time.Unix(1, 0), later))
	if u := measure(t, dir, always); u.Newest.Unix() != later.Unix() {
		t.Errorf("the newest is of %v, want %v", u.Newest, later)
	}
	testkit.Must(t, os.Chtimes(dir+"/a/b/big", time.Unix(1, 0), time.Unix(1, 0)))
	if u := measure(t, dir, always); time.Since(u.Newest) > time.Minute {
		t.Errorf("an old modification time hides that it was changed: %v", u.Newest)
	}
	n := 0
	if u := measure(t, dir, func() bool { n++; return n < 3 }); u.Whole || u.Entries >= 6 {
		t.Errorf("cut short: %+v", u)
	}
	testkit.Must(t, os.MkdirAll(dir+strings.Repeat("/d", removeDepth+3), 0o755))
	if u := measure(t, dir, always); u.Whole {
		t.Errorf("too deep: %+v", u)
	}
}

// A user can make any number of files with two names, and root remembers a million at most.
func TestMeasureRemembersAMillionAtMost(t *testing.T) {
	m := &measurer{seen: map[file]bool{}, usage: Usage{Whole: true}}
	for i := range uint64(maxSeen + 2) {
		m.add(linux.Extent{Stat: linux.Stat{Type: linux.TypeRegular, Ino: i, Nlink: 2}, Bytes: 1})
	}
	if len(m.seen) != maxSeen || m.usage.Whole || m.usage.Bytes != maxSeen {
		t.Errorf("%d are remembered, %+v", len(m.seen), m.usage)
	}
}
