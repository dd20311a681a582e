package fault_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/fault/kernel"
	"gons/tests/sandbox"
)

// some are the points that a test has the time for: all in a long one, else of each call of each part one, the first or the
// last in turn.
func some(points []point) (out []point) {
	last := map[point]int{}
	kind := func(p point) point { return point{part: p.part, call: p.call} }
	for _, p := range points {
		last[kind(p)] = max(last[kind(p)], p.n)
	}
	wanted := map[point]bool{}
	for _, p := range points {
		if p.n == 1 {
			wanted[point{p.part, p.call, []int{1, last[kind(p)]}[len(wanted)%2]}] = true
		}
	}
	for _, p := range points {
		if kernel.Long || wanted[p] {
			out = append(out, p)
		}
	}
	return out
}

// Each system call of the gate and of its workers fails in turn, with each error that it may have: the session is whole, or
// there is none, the host as it was, and the log says why; and nothing is left that the next session doesn't put right.
func TestFaults(t *testing.T) {
	for _, scene := range []scene{directories, first, second, filled} {
		t.Run(scene.name, func(t *testing.T) {
			s := newSite(t, scene)
			for i, p := range some(s.points) {
				errnos, known := kernel.Try(p.call, i)
				if !known {
					t.Errorf("no errors are known of %s", p.call)
				}
				for _, errno := range errnos {
					t.Run(p.String()+" "+unix.ErrnoName(errno), func(t *testing.T) {
						s.clear(t)
						undisturbed(t, func() { s.fails(t, p, errno) })
					})
				}
			}
		})
	}
}

func (s *site) fails(t *testing.T, at point, errno unix.Errno) {
	t.Helper()
	log := sandbox.NewLog(t)
	r, _ := trapped(t, func(p point) verdict {
		if p == at {
			return verdict{errno: errno}
		}
		return verdict{}
	}, s.look()...)
	said := errors(log)
	if len(r["open"]) == 0 {
		t.Fatalf("the host has ended: %v", r)
	}
	untouched(t, r)
	failed := r.get("open") != "0" || r.get("close") != "0"
	if failed && len(said) == 0 {
		t.Errorf("open %q, close %q, and the log says nothing", r["open"], r["close"])
	}
	for _, line := range said {
		if strings.Contains(line, "did not finish in time") {
			t.Errorf("it had to be given up: %s", line)
		}
	}
	if r.get("open") == "0" {
		s.whole(t, "the session", r)
	}
	if !failed && s.state(t) == s.after {
		return
	}
	s.repaired(t)
}

// The same of the worker that cleans up after one that was killed.
func TestFaultsWhileCleaningUp(t *testing.T) {
	s := newSite(t, directories)
	s.clear(t)
	killed := func(p point) verdict { return verdict{killWorker: p == point{opener, "move_mount", 2}} }
	_, points := trapped(t, killed, s.look()...)
	points = slices.DeleteFunc(points, func(p point) bool { return p.part != cleaner })
	if len(points) < 50 {
		t.Fatalf("a worker that cleans up makes %d calls", len(points))
	}
	for i, at := range some(points) {
		errnos, _ := kernel.Try(at.call, i)
		for _, errno := range errnos {
			t.Run(at.String()+" "+unix.ErrnoName(errno), func(t *testing.T) {
				s.clear(t)
				undisturbed(t, func() {
					log := sandbox.NewLog(t)
					r, _ := trapped(t, func(p point) verdict {
						if p == at {
							return verdict{errno: errno}
						}
						return killed(p)
					}, s.look()...)
					if s.survived(t, r, log, false); r.get("open") == "0" {
						t.Error("the session opens")
					}
					s.repaired(t)
				})
			})
		}
	}
}
