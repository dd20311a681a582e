package polyinst

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
)

// A session inside another one, as of su: what the outer one covers is taken away, and nothing else is. The outer session
// keeps all of it.
func TestUncover(t *testing.T) {
	for _, c := range []struct {
		name string
		// between is done in the outer session before the inner one is opened.
		between func(t *testing.T, host string)
		want    string
		notice  string
	}{
		{name: "taken away", want: "/tmp: real, /shm: real"},
		{name: "another mount on top", want: "/tmp: real, /shm: users", notice: "/shm stays covered", between: func(t *testing.T, host string) {
			must(t, unix.Mount("user", host+"/shm", "tmpfs", 0, ""))
			must(t, os.WriteFile(host+"/shm/users", nil, 0o600))
		}},
		{name: "gone already", want: "/tmp: real, /shm: real", notice: "/tmp stays covered", between: func(t *testing.T, host string) {
			must(t, unix.Unmount(host+"/tmp", unix.MNT_DETACH))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := newHost(t, "dir tmp 0:0 1777", "file tmp/real", "dir shm 0:0 1777", "file shm/real")
			outer := newRun(t, host, "/tmp /tmp-inst/ user\n/shm x tmpfs\n")
			outer.then = func(a *Applied) {
				if c.between != nil {
					c.between(t, host)
				}
				checkSeen(t, "the outer session before", host, c.between == nil, "/tmp: , /shm: ")
				inner := innerPlan(t, a.Covered())
				must(t, linux.UnshareMounts()) // the thread's end is the end of both
				root, err := rootAt(host)
				must(t, err)
				defer root.Close()
				env := outer.env
				env.Root = root
				done, err := Apply(inner, env)
				must(t, err)
				defer done.Close()
				checkSeen(t, "the inner session", host, true, c.want)
				if got := strings.Join(done.Notices(), "; "); (c.notice == "") != (got == "") || !strings.Contains(got, c.notice) {
					t.Errorf("noticed %q, want %q", got, c.notice)
				}
			}
			must(t, outer.apply(t))
		})
	}
}

// innerPlan is the plan of a session that takes coverings away and covers nothing.
func innerPlan(t *testing.T, covered []Covering) *Plan {
	t.Helper()
	req, f := parseRequest(t, "unmount=unmount-only")
	for i := len(covered) - 1; i >= 0; i-- {
		f.Inherited = append(f.Inherited, covered[i])
	}
	cfg := parseConfig(t, "gons.yaml", "version: 1\n")
	facts, err := Gather(cfg, req, newDatabase(req.User), machine{facts: f})
	must(t, err)
	plan, err := Build(cfg, req, facts)
	must(t, err)
	return plan
}

func checkSeen(t *testing.T, who, host string, check bool, want string) {
	t.Helper()
	var seen []string
	for _, dir := range []string{"/tmp", "/shm"} {
		entries, err := os.ReadDir(host + dir)
		must(t, err)
		text := dir + ": "
		for _, e := range entries {
			text += e.Name()
		}
		seen = append(seen, text)
	}
	if got := strings.Join(seen, ", "); check && got != want {
		t.Errorf("%s sees %s, want %s", who, got, want)
	}
}
