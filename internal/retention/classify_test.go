package retention

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gons/internal/config"
	"gons/internal/mountinfo"
)

func dir(method config.Method, prefix string, days int) config.Directory {
	return config.Directory{Method: method, InstancePrefix: prefix, Retention: time.Duration(days) * 24 * time.Hour}
}

func TestClassify(t *testing.T) {
	shared := dir(config.MethodUser, "/s/all", 0)
	shared.Shared = true
	hashed := &config.Config{Options: config.Options{GenHash: true}, Directories: []config.Directory{dir(config.MethodUser, "/i/", 1)}}
	for _, c := range []struct {
		name string
		cfg  *config.Config
		want string // entry=kind user days
	}{
		{"one directory", &config.Config{Directories: []config.Directory{dir(config.MethodUser, "/i/", 30)}},
			"alice=user alice 30, .gons-new-alice=own  0, .gons-old-0=aside  0, .x=user .x 30"},
		{"a prefix", &config.Config{Directories: []config.Directory{dir(config.MethodUser, "/i/tmp-", 7)}},
			"tmp-alice=user alice 7, alice=other  0, tmp-=other  0"},
		{"two directories, of which one keeps for longer", &config.Config{Directories: []config.Directory{
			dir(config.MethodUser, "/i/", 7), dir(config.MethodUser, "/i/", 30)}}, "alice=user alice 30"},
		{"two directories, of which one keeps for ever", &config.Config{Directories: []config.Directory{
			dir(config.MethodUser, "/i/", 7), dir(config.MethodUser, "/i/", 0)}}, "alice=user alice 0"},
		{"a user or a tmpdir", &config.Config{Directories: []config.Directory{
			dir(config.MethodUser, "/i/", 7), dir(config.MethodTmpdir, "/i/", 7)}}, "abcdef=other  0, alice=user alice 7"},
		{"two users", &config.Config{Directories: []config.Directory{
			dir(config.MethodUser, "/i/", 7), dir(config.MethodUser, "/i/a", 7)}}, "alice=other  0, bob=user bob 7"},
		{"tmpdir", &config.Config{Directories: []config.Directory{dir(config.MethodTmpdir, "/i/j-", 7)}},
			"j-Ab12yZ=tmpdir  7, j-Ab12y=other  0, j-Ab1.yZ=other  0, abcdef=other  0"},
		{"a shared one", &config.Config{Directories: []config.Directory{shared, dir(config.MethodUser, "/s/", 7)}}, "all=other  0, bob=user bob 7"},
		{"contexts", &config.Config{Directories: []config.Directory{dir(config.MethodLevel, "/i/", 0)}}, "s0_alice=other  0"},
		{"sums", hashed, "6384e2b2184bcbf58eccf10ca7a6563c=other  0"},
		{"variables in names", &config.Config{Directories: []config.Directory{dir(config.MethodUser, "/i/$USER-", 7)}}, "alice-alice=other  0"},
	} {
		parents := Parents(c.cfg)
		if len(parents) != 1 {
			t.Errorf("%s: %d parents", c.name, len(parents))
			continue
		}
		for _, want := range strings.Split(c.want, ", ") {
			name, _, _ := strings.Cut(want, "=")
			e := parents[0].Classify(name)
			if got := fmt.Sprintf("%s=%s %s %d", e.Name, e.Kind, e.User, e.Retention/(24*time.Hour)); got != want {
				t.Errorf("%s: %q, want %q", c.name, got, want)
			}
		}
	}
	if p := Parents(&config.Config{Directories: []config.Directory{dir(config.MethodUser, "$HOME/i/", 1), dir(config.MethodTmpfs, "", 0), dir(config.MethodUser, "/top-", 1)}}); len(p) != 0 {
		t.Errorf("parents that can't be listed: %+v", p)
	}
}

func TestInFileSystem(t *testing.T) {
	table := mountinfo.Table{{ID: 1, Parent: 1, Point: "/", Root: "/"}, {ID: 2, Parent: 1, Point: "/i", Root: "/vol/inst"}}
	for path, want := range map[string]string{"/i/alice": "/vol/inst/alice", "/j/alice": "/j/alice"} {
		if got := inFileSystem(table, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
