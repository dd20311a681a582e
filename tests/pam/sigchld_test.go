package pam_test

import (
	"strings"
	"syscall"
	"testing"
)

// A host that takes any child's end for that of its own (vsftpd exits) must not hear of the worker's: neither in a
// handler nor, where it blocks the signal, by sigtimedwait or a signalfd.
func TestTheHostHearsNothingOfTheWorker(t *testing.T) {
	for _, args := range [][]string{
		{"--sigchld", "handler"}, {"--handlers", "--sigchld", "handler"}, {"--handlers"}, {"--sigchld", "ignore"}, {"--sigchld", "nowait"}, nil,
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			oneOfEach(t)
			r := host(t, args...).opened(t)
			for _, when := range []string{"after", "closed"} {
				if r.get(when+".heard") != "0" || r.get(when+".pending") != "0" {
					t.Errorf("%s: SIGCHLD was heard %s times, pending: %s", when, r.get(when+".heard"), r.get(when+".pending"))
				}
			}
			r.unchanged(t, "before", "after")
			r.unchanged(t, "before", "closed")
		})
	}
}

// A host that waits for the end of a child of its own must not wait for ever because that came while a worker ran, or
// because the signal was there already; and one that ignores its children must not be left with a zombie.
func TestTheHostHearsOfItsOwnChild(t *testing.T) {
	for _, c := range []struct {
		name              string
		args              []string
		heard             bool // once at least
		pending, children int  // of the one child
	}{
		{"handler", []string{"--sigchld", "handler"}, true, 0, 1},
		{"handler, blocked", []string{"--handlers", "--sigchld", "handler"}, false, 1, 1},
		{"default, blocked", []string{"--handlers"}, false, 1, 1},
		{"ignored", []string{"--sigchld", "ignore"}, false, 0, 0},
		{"handler, no zombies", []string{"--sigchld", "nowait"}, true, 0, 0},
		{"ignored, blocked", []string{"--handlers", "--sigchld", "ignore"}, false, 0, 0},
	} {
		check := func(t *testing.T, r report) {
			t.Helper()
			if got := number(t, r.opened(t).get("after.heard")); got > 0 != c.heard {
				t.Errorf("SIGCHLD was heard %d times, expected any: %v", got, c.heard)
			}
			if got := number(t, r.get("after.pending")); got != c.pending {
				t.Errorf("SIGCHLD is pending: %d, expected %d", got, c.pending)
			}
			if got := strings.Fields(r.get("after.children")); len(got) != c.children {
				t.Errorf("children: %q, expected %d", got, c.children)
			}
		}
		t.Run(c.name+", before", func(t *testing.T) {
			oneOfEach(t)
			check(t, host(t, append(c.args, "--child", "0")...))
		})
		t.Run(c.name+", meanwhile", func(t *testing.T) {
			dir := stuck(t)
			release := holdInstances(t, 2001)
			p := newPamhost(t, "alice", append(c.args, "--child", "60000")...)
			p.start()
			workerOf(t, p.cmd.Process.Pid, dir+"/inst")
			child := childOf(t, p.cmd.Process.Pid)
			syscall.Kill(child, syscall.SIGKILL)
			eventually(t, "the child ends", func() bool { return gone(child) })
			release()
			check(t, p.wait())
		})
	}
}
