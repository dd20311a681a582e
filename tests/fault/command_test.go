package fault_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/fault/kernel"
	"gons/tests/sandbox"
)

// gons runs "gons WORD" in a trap, in a mount namespace of its own, and returns what it said and whether it succeeded.
func gons(t testing.TB, word string, j judge) (said string, ok bool, points []point) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", sandbox.Built(t, "pamhost"),
		"--trap", trapList(), "--instead", sandbox.Built(t, "gons"), word, "alice")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", []string{"PATH=/usr/bin:/bin"}, &out, &out
	points = supervise(t, cmd, j)
	for _, line := range strings.SplitAfter(out.String(), "\n") {
		if !strings.HasPrefix(line, "start.") { // of pamhost
			said += line
		}
	}
	return said, cmd.ProcessState.Success(), points
}

// eachFault runs "gons WORD", after prepare, with each of its calls failing in turn, and killed before it, and then looks at
// what came of it.
func eachFault(t *testing.T, word string, prepare func(t *testing.T), check func(t *testing.T, said string, ok, killed bool)) {
	prepare(t)
	said, ok, points := gons(t, word, func(point) verdict { return verdict{} })
	if check(t, said, ok, false); !ok {
		t.Fatalf("gons %s: %s", word, said)
	}
	t.Logf("%d calls", len(points))
	for i, p := range some(points) {
		errnos, known := kernel.Try(p.call, i)
		if !known {
			t.Errorf("no errors are known of %s", p.call)
		}
		for _, errno := range append(slices.Clone(errnos), 0) {
			v := verdict{errno: errno, killHost: errno == 0}
			t.Run(strings.TrimSpace(p.String()+" "+unix.ErrnoName(errno)), func(t *testing.T) {
				prepare(t)
				undisturbed(t, func() {
					said, ok, _ := gons(t, word, func(at point) verdict {
						if at == p {
							return v
						}
						return verdict{}
					})
					check(t, said, ok, v.killHost)
					loading := p.call == "mmap" || p.call == "brk" // without which a program doesn't come to speak
					if !ok && !v.killHost && !loading && said == "" {
						t.Error("it fails and says nothing")
					}
				})
			})
		}
	}
}

// gons clean in trouble keeps what a living session uses, and the record of a dead one until nothing of it is left.
func TestFaultsWhileCleaning(t *testing.T) {
	s := newSite(t, directories)
	living, _ := command(t, "--hold")
	stdin, err := living.StdinPipe()
	must(t, err)
	must(t, living.Start())
	defer living.Wait()
	defer stdin.Close()
	instances := func() []string {
		out, _ := filepath.Glob(s.dir + "/j/*")
		return out
	}
	for len(instances()) == 0 || len(children(living.Process.Pid)) > 0 {
		pause()
	}
	used, its := instances(), records(t)
	prepare := func(t *testing.T) { run(t, "--no-close") }
	check := func(t *testing.T, said string, ok, killed bool) {
		left := instances()
		if _, err := os.Lstat(used[0]); err != nil || !slices.Contains(records(t), its[0]) {
			t.Fatalf("the living session has lost %v or its record: %s", err, said)
		}
		if len(left) > 1 && len(records(t)) < 2 {
			t.Errorf("the record is gone before what it names: %q, %q", left, records(t))
		}
		clean(t)
		if got := instances(); !slices.Equal(got, used) || !slices.Equal(records(t), its) {
			t.Errorf("the next gons clean leaves %q and %q", got, records(t))
		}
	}
	eachFault(t, "clean", prepare, check)
}

// gons boot in trouble makes instance parents as they have to be, or not at all, and the next one makes them.
func TestFaultsWhileBooting(t *testing.T) {
	s := newSite(t, scene{name: "parents", yaml: "directories:\n" +
		"  - {path: {A}/tmp, method: user, instances: {A}/i}\n  - {path: {A}/var, method: tmpdir, instances: {A}/j}\n"})
	prepare := func(t *testing.T) { s.clear(t) }
	want := []string{"d--------- 0 0 " + s.dir + "/i", "d--------- 0 0 " + s.dir + "/j"}
	made := func(t *testing.T) (out []string) {
		for _, line := range sandbox.Tree(t, s.dir) {
			if strings.HasPrefix(line, "d---------") || strings.Contains(line, ".gons") {
				out = append(out, line)
			}
		}
		return out
	}
	check := func(t *testing.T, said string, ok, killed bool) {
		for _, line := range made(t) {
			if !slices.Contains(want, line) && !killed {
				t.Errorf("it has made %s", line)
			}
		}
		if got := made(t); ok && !slices.Equal(got, want) {
			t.Errorf("it says %s, and has made %q", said, got)
		}
		out, ok, _ := gons(t, "boot", func(point) verdict { return verdict{} })
		if got := made(t); !ok || !slices.Equal(got, want) {
			t.Errorf("the next gons boot says %s, and there is %q", out, got)
		}
	}
	eachFault(t, "boot", prepare, check)
}
