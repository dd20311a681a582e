package fault_test

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/fault/kernel"
	"gons/tests/sandbox"
)

// victims are who is killed.
var victims = []struct {
	name string
	verdict
}{
	{"the worker", verdict{killWorker: true}},
	{"the host", verdict{killHost: true}},
	{"both", verdict{killHost: true, killWorker: true}},
}

// Worker, host and both are killed before each system call of opening and closing, a home being filled and a script running
// among them. A host that lives has a whole session or none; and then a new login finds all as it should be.
func TestKills(t *testing.T) {
	for _, scene := range []scene{directories, first, second, filled} {
		t.Run(scene.name, func(t *testing.T) {
			s := newSite(t, scene)
			for i, p := range some(s.points) {
				for j, v := range victims {
					if !kernel.Long && j != i%len(victims) {
						continue
					}
					t.Run(p.String()+", "+v.name, func(t *testing.T) {
						s.clear(t)
						undisturbed(t, func() { s.killed(t, p, v.verdict) })
					})
				}
			}
		})
	}
}

func (s *site) killed(t *testing.T, at point, v verdict) {
	t.Helper()
	log := sandbox.NewLog(t)
	r, _ := trapped(t, func(p point) verdict {
		if p == at {
			return v
		}
		return verdict{}
	}, s.look()...)
	if !v.killHost {
		s.survived(t, r, log, false)
	}
	s.gone(t)
	s.repaired(t)
}

// survived checks a host that had trouble, which has a whole session or none. With blind, alice couldn't look around.
func (s *site) survived(t *testing.T, r report, log *sandbox.Log, blind bool) {
	t.Helper()
	if len(r["open"]) == 0 {
		t.Fatalf("the host has ended: %v", r)
	}
	untouched(t, r)
	if r.get("open") == "0" && !blind {
		s.whole(t, "the session", r)
	}
	if r.get("open") != "0" && len(errors(log)) == 0 {
		t.Errorf("open %q, and the log says nothing", r["open"])
	}
}

// gone waits until no host and no worker is left: its host's end kills it, and whoever is in a session's namespace until
// then keeps that alive. In the sandbox orphans are this process's to wait for.
func (s *site) gone(t *testing.T) {
	t.Helper()
	var left []int
	for range 5000 {
		left = left[:0]
		for _, pid := range pamhosts() {
			if pid == s.beside {
				continue
			}
			if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err == nil || err == unix.ECHILD {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			return
		}
		pause()
	}
	t.Errorf("processes are left: %v", left)
}

// pamhosts are the processes that run pamhost's program, hosts and workers, zombies too.
func pamhosts() (out []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if comm, _ := os.ReadFile("/proc/" + e.Name() + "/comm"); string(comm) == "pamhost\n" {
			out = append(out, pid)
		}
	}
	return out
}
