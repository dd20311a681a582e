package sharedtree

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/mountinfo"
)

func mounts(t *testing.T, name string) []mountinfo.Mount {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := mountinfo.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWant(t *testing.T) {
	cfg := &config.Config{Directories: []config.Directory{
		{Path: "/tmp", Method: config.MethodUser, InstancePrefix: "/tmp-inst/"},
		{Path: "/var/tmp", Method: config.MethodTmpdir, InstancePrefix: "/tmp-inst/pre."},
		{Path: "$HOME", Method: config.MethodUser, InstancePrefix: "/home/inst/$USER/"},
		{Path: "$HOME/.cache", Method: config.MethodTmpfs},
		{Path: "/x//y", Method: config.MethodUser, InstancePrefix: "$HOME/inst/"},
		{Path: "/z", Method: config.MethodUser, InstancePrefix: "/top-"},
		{Path: "/e", Method: config.MethodEnv, InstancePrefix: "/run/e/", ParentMode: 0o711},
	}}
	want := Wanted{Private: []string{"/tmp", "/var/tmp", "/x/y", "/z"}, Parents: []Parent{{Path: "/tmp-inst"}, {Path: "/run/e", Mode: 0o711}}}
	if got := Want(cfg); !reflect.DeepEqual(got, want) {
		t.Errorf("Want = %+v, want %+v", got, want)
	}
	for _, cfg := range []*config.Config{nil, {}} {
		if got := Want(cfg); !reflect.DeepEqual(got, Wanted{Private: []string{"/tmp"}}) {
			t.Errorf("Want(%v) = %+v", cfg, got)
		}
	}
}

func describe(p Plan) string {
	var lines []string
	for _, c := range p.Changes {
		lines = append(lines, c.String())
	}
	for _, problem := range p.Problems {
		lines = append(lines, "problem: "+problem)
	}
	return strings.Join(lines, "\n")
}

func TestBuildMounts(t *testing.T) {
	for _, c := range []struct{ table, private, want string }{
		{"private", "/tmp", "make / and every mount below it shared\nbind /tmp on itself and make it private"},
		{"debian13", "/tmp", "make the mount on /tmp private"},
		{"debian13", "/var/tmp", "bind /var/tmp on itself and make it private"},
		{"slave", "/tmp", "make the mount on / shared"},
		{"private", "/dev/shm", "make the mount on /proc shared\nmake the mount on /sys shared\nmake the mount on /dev shared\n" +
			"make the mount on / shared\nmake the mount on /dev/pts shared"},
		{"debian13", "/missing", "problem: /missing can't be made private: it isn't there, or no directory"},
	} {
		f := Facts{Mounts: mounts(t, c.table), Resolved: map[string]string{}}
		if c.private != "/missing" {
			f.Resolved[c.private] = c.private
		}
		if got := describe(Build(Wanted{Private: []string{c.private}}, f)); got != c.want {
			t.Errorf("%s with %s private:\n%s\nwant:\n%s", c.table, c.private, got, c.want)
		}
	}
}

// What a symbolic link leads to is made private, and once.
func TestBuildResolved(t *testing.T) {
	f := Facts{Mounts: mounts(t, "debian13"), Resolved: map[string]string{"/var/tmp": "/tmp", "/tmp": "/tmp"}}
	want := "make the mount on /tmp private"
	if got := describe(Build(Wanted{Private: []string{"/var/tmp", "/tmp"}}, f)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// One parent for two directories suits both: any mode is no mode.
func TestWantOneParentTwice(t *testing.T) {
	dirs := []config.Directory{
		{Path: "/a", Method: config.MethodUser, InstancePrefix: "/i/", AnyParent: true},
		{Path: "/b", Method: config.MethodUser, InstancePrefix: "/i/", ParentMode: 0o711},
	}
	for range 2 {
		slices.Reverse(dirs)
		want := []Parent{{Path: "/i", Mode: 0o711}}
		if got := Want(&config.Config{Directories: dirs}).Parents; !reflect.DeepEqual(got, want) {
			t.Errorf("parents %+v, want %+v", got, want)
		}
	}
}

func TestBuildParents(t *testing.T) {
	dir := func(uid, mode uint32) linux.Stat { return linux.Stat{Type: linux.TypeDirectory, UID: uid, Mode: mode} }
	for i, c := range []struct {
		fact ParentFact
		want string
		as   Parent
	}{
		{fact: ParentFact{Missing: true}, want: "make the instance parent /i, root's, mode 711", as: Parent{Mode: 0o711}},
		{fact: ParentFact{Stat: dir(0, 0o711)}, as: Parent{Mode: 0o711}},
		{fact: ParentFact{Stat: dir(0, 0), Empty: true}, want: "make the instance parent /i root's, mode 711 (it is user 0's, mode 0000)", as: Parent{Mode: 0o711}},
		{fact: ParentFact{Missing: true}, as: Parent{Any: true}},
		{fact: ParentFact{Stat: dir(7, 0o777)}, as: Parent{Any: true}},
		{fact: ParentFact{Missing: true}, want: "make the instance parent /i, root's, mode 000"},
		{fact: ParentFact{Stat: dir(0, 0)}, want: ""},
		{fact: ParentFact{Stat: dir(0, 0o1000)}, want: ""},
		{fact: ParentFact{Stat: dir(0, 0o1777), Empty: true}, want: "problem: /i can't be an instance parent: its mode is 1777, so others use it"},
		{fact: ParentFact{Stat: dir(0, 0o755)}, want: "problem: /i can't be an instance parent: its mode is 0755 and it is not empty; " +
			"if it holds nothing but instances, chmod 0 it"},
		{fact: ParentFact{Stat: dir(0, 0o755), Empty: true}, want: "make the instance parent /i root's, mode 000 (it is user 0's, mode 0755)"},
		{fact: ParentFact{Stat: dir(7, 0), Empty: true}, want: "make the instance parent /i root's, mode 000 (it is user 7's, mode 0000)"},
		{fact: ParentFact{Stat: dir(7, 0)}, want: "problem: /i can't be an instance parent: it is user 7's and not empty; look at it and remove it"},
		{fact: ParentFact{Stat: linux.Stat{Type: linux.TypeRegular}}, want: "problem: /i can't be an instance parent: it is a regular file"},
	} {
		f := Facts{Mounts: mounts(t, "debian13"), Parents: map[string]ParentFact{"/i": c.fact}}
		c.as.Path = "/i"
		if got := describe(Build(Wanted{Parents: []Parent{c.as}}, f)); got != c.want {
			t.Errorf("case %d: got %q, want %q", i, got, c.want)
		}
	}
}

// A second run on the table that the first one leads to finds nothing to do.
func TestBuildIsIdempotent(t *testing.T) {
	before := mounts(t, "private")
	var after []mountinfo.Mount
	for i, m := range before {
		if m.Point != "/dev/shm" && !m.Unbindable {
			m.Peers = uint64(i + 1)
		}
		after = append(after, m)
	}
	w := Wanted{Private: []string{"/dev/shm"}}
	f := Facts{Mounts: after, Resolved: map[string]string{"/dev/shm": "/dev/shm"}}
	if got := describe(Build(w, f)); got != "" {
		t.Errorf("a second run would:\n%s", got)
	}
}

func ExampleBuild() {
	w := Wanted{Private: []string{"/tmp"}, Parents: []Parent{{Path: "/tmp-inst"}}}
	p := Build(w, Facts{
		Mounts:   []mountinfo.Mount{{ID: 2, Parent: 1, Point: "/"}, {ID: 3, Parent: 2, Point: "/proc"}},
		Resolved: map[string]string{"/tmp": "/tmp"},
		Parents:  map[string]ParentFact{"/tmp-inst": {Missing: true}},
	})
	for _, c := range p.Changes {
		fmt.Println(c)
	}
	// Output:
	// make / and every mount below it shared
	// bind /tmp on itself and make it private
	// make the instance parent /tmp-inst, root's, mode 000
}
