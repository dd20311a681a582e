package fault_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// hosts are states that hosts are in, as flags of pamhost.
var hosts = [][]string{
	{"--sigchld", "ignore"}, {"--sigchld", "reap"}, {"--sigchld", "nowait"}, {"--handlers", "--sigchld", "handler"},
	{"--close-std"}, {"--ruid", "2002", "--close-std"}, {"--busy", "3"}, {"--cwd", "{A}/tmp"},
}

// trouble is one of each kind: before anything is done, in the middle, with the host having moved and all of it done, and
// while closing.
var trouble = []struct {
	at point
	verdict
}{
	{point{opening, "clone", 1}, verdict{errno: unix.EAGAIN}},
	{point{opening, "unshare", 1}, verdict{errno: unix.ENOMEM}},
	{point{opener, "move_mount", 2}, verdict{killWorker: true}},
	{point{opener, "move_mount", 2}, verdict{killHost: true}},
	{point{opener, "renameat", 2}, verdict{errno: unix.ENOSPC}},
	{point{closing, "clone", 1}, verdict{errno: unix.EAGAIN}},
	{point{closer, "unlinkat", 1}, verdict{killWorker: true}},
}

// Sessions that fail in hosts that wait for any child, ignore them, have descriptors closed, are busy,
// or in a directory that is covered: the host is as it was. Signals all the time are for the next test: whoever waits for the
// supervisor is interrupted in calls that nothing else interrupts.
func TestFailuresInHostileHosts(t *testing.T) {
	s := newSite(t, directories)
	for _, flags := range hosts {
		args := strings.Split(strings.ReplaceAll(strings.Join(flags, "\n"), "{A}", s.dir), "\n")
		for _, c := range trouble {
			t.Run(fmt.Sprint(flags, c.at), func(t *testing.T) {
				s.clear(t)
				undisturbed(t, func() {
					log := sandbox.NewLog(t)
					struck := false
					r, _ := trapped(t, func(p point) verdict {
						if p == c.at {
							struck = true
							return c.verdict
						}
						return verdict{}
					}, append(args, s.look()...)...)
					if !struck {
						t.Error("the host got along without that call")
					}
					if !c.killHost {
						s.survived(t, r, log, false)
					}
					s.gone(t)
					s.repaired(t)
				})
			})
		}
	}
}

// A host that is interrupted in whatever it does opens and closes all the same, and is as it was where that fails.
func TestSignalsThroughout(t *testing.T) {
	s := newSite(t, directories)
	for _, args := range [][]string{nil, {"--thread"}, {"--fork-open"}, {"--fork-close"}, {"--handlers"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			s.clear(t)
			undisturbed(t, func() {
				r := run(t, append(args, append([]string{"--alarm", "100"}, s.look()...)...)...)
				s.works(t, "the session", r)
				if got := s.state(t); got != s.after {
					t.Errorf("left:\n%s\nexpected\n%s", got, s.after)
				}
			})
		})
	}
	undisturbed(t, func() {
		if r := run(t, "--alarm", "100", "--rounds", "30"); r.get("done") != "0" {
			t.Errorf("one of 30 sessions: %v", r)
		}
	})
	sandbox.Config(t, "version: 1\ndirectories: [{path: "+s.dir+"/tmp, method: tmpfs}, {path: /missing, method: tmpfs}]\n")
	undisturbed(t, func() {
		log := sandbox.NewLog(t)
		r := run(t, "--alarm", "100")
		if s.survived(t, r, log, false); r.get("open") != "14" {
			t.Errorf("open %q", r["open"])
		}
	})
}

// Worker, host and both are killed while a script runs: it goes with them, and the next session runs it again, as for a new
// instance.
func TestKillsWhileAScriptRuns(t *testing.T) {
	for _, v := range victims {
		t.Run(v.name, func(t *testing.T) {
			s := newSite(t, filled)
			s.clear(t)
			script := s.dir + "/init"
			quick, err := os.ReadFile(script)
			must(t, err)
			started := s.dir + "/fs/started"
			sandbox.Write(t, script, "#!/bin/sh\n: >$1/half\n: >"+started+"\nexec sleep 1000\n", 0o755)
			undisturbed(t, func() {
				cmd, _ := command(t)
				must(t, cmd.Start())
				for range 30000 {
					if _, err := os.Lstat(started); err == nil {
						break
					}
					pause()
				}
				if v.killWorker {
					for _, pid := range children(cmd.Process.Pid) {
						unix.Kill(pid, unix.SIGKILL)
					}
				}
				if v.killHost {
					cmd.Process.Kill()
				}
				watch := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
				cmd.Wait()
				watch.Stop()
				s.gone(t)
				must(t, os.Remove(started))
				must(t, os.WriteFile(script, quick, 0o755))
				half := s.dir + "/j/alice/half" // of a session that had to be left as it was
				if _, err := os.Lstat(half); err == nil {
					must(t, os.Remove(half))
				}
				s.works(t, "the next session", run(t, s.look()...))
				if got := s.state(t); got != s.after {
					t.Errorf("left:\n%s\nexpected\n%s", got, s.after)
				}
			})
		})
	}
}

// children are those of a process.
func children(parent int) (out []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, of := processOf(pid); of == parent {
			out = append(out, pid)
		}
	}
	return out
}

// Only tests can put a fake kernel before the real one: neither the module nor the command has the way to.
func TestNoFaultsInWhatIsInstalled(t *testing.T) {
	for _, name := range []string{"pam_gons.so", "gons"} {
		data, err := os.ReadFile(sandbox.Built(t, name))
		must(t, err)
		if !bytes.Contains(data, []byte("gons/internal/linux.(*Handle).OpenAt")) {
			t.Errorf("%s: it doesn't name its functions", name)
		}
		if bytes.Contains(data, []byte("SetKernel")) || bytes.Contains(data, []byte("attempt_faults.go")) {
			t.Errorf("%s was built with the tag faults", name)
		}
	}
}
