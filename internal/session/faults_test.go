//go:build faults

package session

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/fault/kernel"
)

// sweeping is a host with a session that is over, and one that isn't.
type sweeping struct {
	host    string
	machine *machine
}

func newSweeping(t testing.TB) sweeping {
	t.Helper()
	host := newHost(t)
	s := openStore(t, host)
	dead := over(1, leave(t, host, "/i", "empty", false), leave(t, host, "/i", "tree", true), leave(t, host, "/j", "other", true))
	must(t, s.Put(dead))
	alive := over(2, leave(t, host, "/i", "alive", true))
	must(t, s.Put(alive))
	return sweeping{host, &machine{starts: map[int]uint64{alive.Leader.PID: alive.Leader.Start}, namespace: 1}}
}

// sweep is what gons clean does, and what failed of it.
func (s sweeping) sweep(t testing.TB) error {
	store, err := Open(rootAt(t, s.host))
	if err != nil {
		return err
	}
	defer store.Close()
	swept, err := store.Sweep(s.machine, false, always)
	for _, r := range swept {
		if r.Err != nil {
			err = r.Err
		}
	}
	return err
}

// check fails the test where something of the living session is gone, or the record of the other one before all that it
// names; with over, all of that one must be gone.
func (s sweeping) check(t testing.TB, over bool) {
	t.Helper()
	record := func(n int) bool { return exists(s.host + RunDir + "/sessions/" + id(n)) }
	if !record(2) || !exists(s.host+"/i/alive/f") {
		t.Error("the living session has lost its directory or its record")
	}
	left := exists(s.host+"/i/empty") || exists(s.host+"/i/tree") || exists(s.host+"/j/other")
	if left && !record(1) {
		t.Error("the record is gone before what it names")
	}
	if over && (left || record(1)) {
		t.Error("the session that is over is still there")
	}
}

// Each system call of a clean-up fails in turn, and every call from there on: nothing of a living session is lost, what is
// not done is told, and the next clean-up does it.
func TestFaultsWhileSweeping(t *testing.T) {
	healthy := newSweeping(t)
	calls := kernel.Run(kernel.Healthy, nil, func() { must(t, healthy.sweep(t)) })
	healthy.check(t, true)
	for n, call := range calls {
		errnos, known := kernel.Try(call, n)
		if !known {
			t.Errorf("no errors are known of %s", call)
		}
		for _, errno := range errnos {
			t.Run(fmt.Sprintf("%d %s %s", n+1, call, unix.ErrnoName(errno)), func(t *testing.T) {
				s := newSweeping(t)
				var err error
				kernel.Run(kernel.Once(n+1, errno), nil, func() { err = s.sweep(t) })
				s.check(t, err == nil && !tolerated(call))
				if err != nil && (!strings.Contains(err.Error(), errno.Error()) || !strings.Contains(err.Error(), "/")) {
					t.Errorf("the error doesn't say of what, or why: %v", err)
				}
				must(t, s.sweep(t))
				s.check(t, true)
			})
		}
		s := newSweeping(t)
		kernel.Run(kernel.From(n+1), nil, func() { s.sweep(t) })
		s.check(t, false)
		must(t, s.sweep(t))
		s.check(t, true)
	}
}

// tolerated are calls without which a clean-up is less certain, and so leaves something for another day.
func tolerated(call string) bool {
	return strings.HasPrefix(call, "pidfd_open") || strings.HasPrefix(call, "ioctl") || strings.HasPrefix(call, "open of /proc")
}
