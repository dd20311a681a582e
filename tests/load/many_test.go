package load_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gons/tests/sandbox"
)

// atOnce calls f for 0 to count-1, some at a time.
func atOnce(count, some int, f func(i int)) {
	var all sync.WaitGroup
	slots := make(chan bool, some)
	for i := range count {
		slots <- true
		all.Add(1)
		go func() {
			defer func() { <-slots; all.Done() }()
			f(i)
		}()
	}
	all.Wait()
}

// Sessions by the hundred, open at once, of two users, each with a namespace and directories of its own; and when they
// have closed, nothing is left.
func TestManySessionsAtOnce(t *testing.T) {
	const some = 8
	dir := oneOfEach(t, "timeout=120")
	for _, user := range []string{"alice", "bob"} {
		newPamhost(t, user, "--brief").run().opened(t)
	}
	count := newCensus(t, dir)
	sessions := make([]*pamhost, long(100, 1000))
	close := make([]func(), len(sessions))
	atOnce(len(sessions), some, func(i int) {
		user := []string{"alice", "bob"}[i%2]
		sessions[i], close[i] = held(t, user, "--brief")
	})
	if got := namespaces(sessions); len(got) != len(sessions) {
		t.Errorf("%d sessions have %d namespaces", len(sessions), len(got))
	}
	if r, f := len(names(t, "/run/gons/sessions")), len(names(t, dir+"/inst-fresh")); r != len(sessions) || f != len(sessions) {
		t.Errorf("%d sessions, %d records, %d directories of their own", len(sessions), r, f)
	}
	atOnce(len(sessions), some, func(i int) {
		if close[i] != nil {
			close[i]()
			sessions[i].wait().opened(t)
		}
	})
	count.check(len(sessions))
}

// namespaces are the different mount namespaces of processes, without the test's own.
func namespaces(of []*pamhost) map[string]bool {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	out := map[string]bool{}
	for _, p := range of {
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", p.pid())); err == nil && ns != own {
			out[ns] = true
		}
	}
	return out
}

// The first sessions of a user, a hundred at the same moment: one instance, which one of them initialises, and none gets
// before that is done.
func TestTheFirstSessionsOfAUser(t *testing.T) {
	const count = 100
	for _, c := range []struct {
		name, entry string
		whole       func(t *testing.T, dir string)
	}{
		{"a script", "path: {A}/new, method: user, instances: {A}/inst, init: {A}/init", func(t *testing.T, dir string) {
			said, _ := os.ReadFile(dir + "/said")
			if strings.Count(string(said), "1") != 1 || strings.Count(string(said), "0") != count-1 {
				t.Errorf("the script was told %q", said)
			}
		}},
		{"the distribution's script and $HOME", "", func(t *testing.T, dir string) {
			if got := must(t, "stat", "-c", "%U %a", dir+"/inst/alice/.bashrc"); got != "alice 644" {
				t.Errorf(".bashrc: %s", got)
			}
		}},
		{"the distribution's script, changed, and $HOME", "changed", func(t *testing.T, dir string) {
			if said, _ := os.ReadFile(dir + "/said"); strings.Count(string(said), "1") != 1 || strings.Count(string(said), "0") != count-1 {
				t.Errorf("the script was told %q", said)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t)
			makeDir(t, dir+"/new", 0o1777, 0)
			makeDir(t, dir+"/inst", 0, 0)
			script(t, dir+"/init", "echo $3 >>"+dir+"/said; [ $3 = 1 ] || [ -e $1/done ] || exit 9; [ $3 = 0 ] || { sleep 0.3; touch $1/done; }")
			configure(t, dir, []string{c.entry}, "timeout=120")
			if !strings.HasPrefix(c.entry, "path:") {
				os.Remove(yamlFile)
				sandbox.Stack(t, service, "required", "timeout=120", "config="+dir+"/namespace.conf")
				sandbox.Write(t, dir+"/namespace.conf", "$HOME "+dir+"/inst/ user\n", 0o644)
			}
			if c.entry == "changed" {
				replace(t, "/etc/security/namespace.init", dir+"/init")
				must(t, "chmod", "755", "/etc/security/namespace.init")
			}
			before := newCensus(t)
			openTogether(t, count)
			if got := names(t, dir+"/inst"); len(got) != 1 || got[0] != "alice" {
				t.Errorf("instances: %q", got)
			}
			c.whole(t, dir)
			before.check(count)
		})
	}
}

// openTogether has sessions of alice's wait for one another before they open: each reads a line first.
func openTogether(t *testing.T, count int) {
	t.Helper()
	start, err := os.CreateTemp("", "start")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(start.Name())
	start.Close()
	hosts := make([]*pamhost, count)
	for i := range hosts {
		wait := "while [ -e " + start.Name() + " ]; do sleep 0.05; done; exec \"$@\""
		hosts[i] = newPamhost(t, "alice", "--brief", "--run", "[ -e .bashrc ] || [ -e /home/alice ]").through("sh", "-c", wait, "sh").start()
	}
	os.Remove(start.Name())
	for _, p := range hosts {
		p.wait().opened(t)
	}
}

// Opens and closes in a row, by one host and by as many: nothing is left in it, on disk or in the kernel. Each has a PAM
// handle of its own, since libpam keeps what a module has looked up for as long as its handle.
func TestSessionsInARow(t *testing.T) {
	for name, flags := range map[string][]string{"one host": {"--fresh"}, "a child each": {"--fresh", "--round-fork"}} {
		t.Run(name, func(t *testing.T) {
			dir := oneOfEach(t)
			newPamhost(t, "alice", "--brief").run().opened(t)
			count := newCensus(t, dir)
			rounds := long(300, 10000)
			few, many := inARow(t, 20, flags), inARow(t, rounds, flags)
			for _, key := range []string{"dirty_kb", "writable_kb"} {
				grown := many.growth(t, key) - few.growth(t, key) // what is loaded once is in both
				if grown > 250 {
					t.Errorf("%s: the host has grown by %d kB in %d sessions more", key, grown, rounds-20)
				}
				t.Logf("%s: %d kB in 20 sessions, %d kB more in %d", key, few.growth(t, key), grown, rounds)
			}
			count.check(rounds)
		})
	}
}

// inARow has a host open and close sessions, all of which must do.
func inARow(t *testing.T, rounds int, flags []string) report {
	t.Helper()
	p := newPamhost(t, "alice", slices.Concat(flags, []string{"--rounds", strconv.Itoa(rounds)})...)
	p.patience = 2 * time.Hour
	r := p.run()
	if r.number(t, "rounds") != rounds || r.number(t, "failed") != 0 {
		t.Errorf("%s of %s sessions failed", r.get("failed"), r.get("rounds"))
	}
	r.unchanged(t, "before", "after", "namespace", "cwd")
	return r
}

// growth is how much a size of the host's has grown.
func (r report) growth(t *testing.T, key string) int {
	t.Helper()
	return r.number(t, "after."+key) - r.number(t, "before."+key)
}
