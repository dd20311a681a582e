package mountinfo

import (
	"os"
	"strings"
	"testing"
)

func mounts(t *testing.T, name string) []Mount {
	t.Helper()
	f, err := os.Open("../sharedtree/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParse(t *testing.T) {
	got := mounts(t, "private")
	want := Mount{ID: 31, Parent: 27, Device: "0:28", Root: "/", Point: "/mnt/with space", Options: "rw", Unbindable: true, FileSystem: "tmpfs", Source: "tmpfs", Super: "rw"}
	if last := got[len(got)-1]; len(got) != 9 || last != want {
		t.Errorf("%d mounts, the last %+v; want 9, %+v", len(got), last, want)
	}
	if got := mounts(t, "slave")[1]; got.Peers != 9 || got.Master != 2 {
		t.Errorf("optional fields: %+v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{"", "a b c", "x 1 0:1 / / rw - ext4 a b", "1 x 0:1 / / rw - ext4 a b",
		"1 1 0:1 / / rw shared:1 ext4 a b", "1 1 0:1 / / rw shared:x - ext4 a b", strings.Repeat("x", 2<<20)} {
		if m, err := Parse(strings.NewReader(line + "\n")); err == nil {
			t.Errorf("%.40q was read as %v", line, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n29 27 0:2 / /a\\040b rw master:3 - x y z\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(strings.NewReader(text))
		if err == nil && text != "" && len(m) != strings.Count(strings.TrimSuffix(text, "\n")+"\n", "\n") {
			t.Errorf("%d mounts in %q", len(m), text)
		}
		for _, one := range m {
			Table(m).Visible(one) // must end, whatever the parents are
		}
	})
}

func TestAtAndVisible(t *testing.T) {
	tab := Table(mounts(t, "private"))
	for path, want := range map[string]uint64{"/": 27, "/dev": 24, "/dev/shm": 30, "/dev/shm/x": 30, "/tmp": 27, "/devel": 27, "/dev/pts/0": 29} {
		if m, ok := tab.At(path); !ok || m.ID != want {
			t.Errorf("at(%s) = %d, %v; want %d", path, m.ID, ok, want)
		}
	}
	for _, m := range tab {
		if got, want := tab.Visible(m), m.ID != 25 && m.ID != 26; got != want {
			t.Errorf("visible(%d on %s) = %v", m.ID, m.Point, got)
		}
	}
	if _, ok := (Table{}).At("/"); ok {
		t.Error("an empty table has a root")
	}
}

func paths(n Node, depth int, out *[]string) {
	*out = append(*out, strings.Repeat(" ", depth)+n.Point)
	for _, c := range n.Mounts {
		paths(c, depth+1, out)
	}
}

func TestTree(t *testing.T) {
	tree, ok := Table(mounts(t, "private")).Tree()
	var got []string
	paths(tree, 0, &got)
	want := "/\n /proc\n /sys\n /dev\n  /dev/shm\n   /dev/shm\n  /dev/pts\n   /dev/pts\n /mnt/with space"
	if text := strings.Join(got, "\n"); !ok || text != want {
		t.Errorf("the tree is\n%s\nexpected\n%s", text, want)
	}
	if _, ok := (Table{}).Tree(); ok {
		t.Error("an empty table has a tree")
	}
	if _, ok := (Table{{ID: 1, Parent: 1, Point: "/"}, {ID: 2, Parent: 3, Point: "/a"}, {ID: 3, Parent: 2, Point: "/b"}}).Tree(); !ok {
		t.Error("a circle beside the tree hides that")
	}
}

func TestPropagation(t *testing.T) {
	for _, c := range []struct {
		m    Mount
		want string
	}{{Mount{}, "private"}, {Mount{Peers: 1}, "shared"}, {Mount{Master: 1}, "slave"}, {Mount{Peers: 2, Master: 1}, "slave,shared"}, {Mount{Unbindable: true}, "unbindable"}} {
		if got := c.m.Propagation(); got != c.want {
			t.Errorf("%+v is %s, want %s", c.m, got, c.want)
		}
	}
}
