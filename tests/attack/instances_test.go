package attack_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// A7. Attack: somebody has made the instance parent before the first session needs it.
// Passes when no instance is put into it, the error says what is wrong with it, and a user whose instances lie elsewhere
// isn't affected. Where it lies in a directory that everybody can write to, nobody who needs it gets in: a limit.
// "gons boot" takes an empty one over. Reference: residual weakness 7.
func TestA07InstanceParentMadeByAnother(t *testing.T) {
	for _, c := range []struct{ name, entry, want string }{
		{"alice's", "dir tmp/p 2001:2001 0000", "it is owned by user 2001, expected root"},
		{"bob's and open", "dir tmp/p 2002:2002 0777", "it is owned by user 2002, expected root"},
		{"root's but readable", "dir tmp/p 0:0 0700", "its mode is 0700, expected 0000"},
		{"link", "link tmp/p {A}/victim/inst 2001:2001", "symbolic link {A}/tmp/p"},
		{"file", "file tmp/p 2001:2001", "not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t, ground, c.entry)
			configure(t, dir, "{A}/n {A}/tmp/p/ user:noinit ~alice\n{A}/n {A}/i/ user:noinit ~bob")
			v := watch(t, dir+"/victim", 0)
			refused(t, gons, "alice", strings.ReplaceAll(c.want, "{A}", dir))
			v.untouched("gons")
			if exists(dir + "/tmp/p/alice") {
				t.Error("an instance was put there")
			}
			open(t, gons, "bob")
			s := begin(t, peer, "alice", "", nil)
			t.Logf("pam_namespace: error %v", s.open())
		})
	}
}

// A7, continued: the way out of the lock-out.
func TestA07BootTakesOver(t *testing.T) {
	dir := area(t, ground, "dir tmp/p 2001:2001 0777")
	configure(t, dir, "{A}/n {A}/tmp/p/ user:noinit")
	refused(t, gons, "alice")
	said := elsewhere(t).sh(0, sandbox.Built(t, "gons")+" boot") // it would make / shared for the other tests
	if looks(dir+"/tmp/p") != "0000 0 0" {
		t.Fatalf("after gons boot it is %s:\n%s", looks(dir+"/tmp/p"), said)
	}
	open(t, gons, "alice")
}

// A8. Attack: the instance is there before the first session, where an option lets users write to its parent.
// Passes when one that is a third user's, or no directory, is refused, and what is in one of the user's own is neither
// given away nor changed, a hard link to a file of another among it.
func TestA08InstanceMadeByAnother(t *testing.T) {
	for _, c := range []struct{ name, entry, want string }{
		{"bob's", "dir u/alice 2002:2002 0777", "owned by user 2002"},
		{"link to root's", "link u/alice {A}/victim/b 2001:2001", "symbolic link"},
		{"link to bob's", "dir bobs 2002:2002; link u/alice {A}/bobs 2001:2001", "symbolic link"},
		{"file", "file u/alice 2001:2001", "not a directory"},
		{"alice's, open to all", "dir u/alice 2001:2001 0777", ""},
		{"root's, unfinished by pam_namespace", "dir u/alice 0:0 0400", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t, ground, c.entry, "file victim/secret 0:0 0600")
			configure(t, dir, "{A}/tmp {A}/u/ user:noinit", "ignore_instance_parent_mode")
			if c.want == "" {
				testkit.Must(t, os.Link(dir+"/victim/secret", dir+"/u/alice/secret"))
			}
			v := watch(t, dir+"/victim", 0)
			if c.want != "" {
				refused(t, gons, "alice", dir+"/u/alice", c.want)
			} else {
				open(t, gons, "alice")
			}
			v.untouched("gons")
			s := begin(t, peer, "alice", "", nil)
			t.Logf("pam_namespace: error %v, covers: %v", s.open(), s.covers(dir+"/tmp"))
			v.untouched("pam_namespace")
		})
	}
}

// A9. Attack: the host, its worker, or both are killed at any moment of an open (out of memory, a user who ends su).
// Passes when the next session finds or makes a correct instance, and nothing but that is left. The moments are many
// delays here; tests/fault goes through them by system call. pam_namespace may leave the instance without owner or mode,
// for ever. Reference: residual weakness 5.
func TestA09Killed(t *testing.T) {
	for _, m := range both {
		t.Run(m.String(), func(t *testing.T) {
			dir := area(t, ground)
			configure(t, dir, "{A}/tmp {A}/i/ user:noinit\n{A}/n {A}/u/p/inst/ tmpdir:noinit")
			s := open(t, m, "alice") // makes what all sessions share
			s.close()
			midway, wrong := 0, 0
			began := time.Now()
			killAfter(t, m, deadline) // not at all
			whole := time.Since(began)
			i := 0
			batches(t, func() bool { return i < times(40) }, func(t *testing.T) {
				i++
				os.RemoveAll(dir + "/i/alice")
				killed := killAfter(t, m, whole*time.Duration(i%40)/40)
				if killed && exists(dir+"/i/alice") {
					midway++
				}
				s := open(t, m, "alice")
				if looks(dir+"/i/alice") != "1777 0 0" {
					wrong++
				}
				s.close()
			})
			t.Logf("%s: of %d that were killed, %d had made the instance; %d instances are wrong", m, times(40), midway, wrong)
			if m == gons {
				if wrong > 0 {
					t.Error("an instance is not as it should be")
				}
				left := slices.DeleteFunc(names(t, dir+"/i"), func(name string) bool { return name == "alice" })
				if len(left) > 0 {
					t.Errorf("left over: %q", left)
				}
				for _, id := range names(t, recordsDir) { // drafts are for gons clean, once they are old
					if strings.HasSuffix(id, ".new") {
						os.Remove(recordsDir + "/" + id)
					}
				}
				nothingLeft(t, dir+"/u/p/inst")
			}
		})
	}
}

// killAfter starts a host and kills it so much later. It reports whether the host was still at it.
func killAfter(t testing.TB, m module, delay time.Duration) bool {
	t.Helper()
	cmd := exec.Command(sandbox.Built(t, "pamhost"), "--no-close", string(m), "alice")
	testkit.Must(t, cmd.Start())
	timer := time.AfterFunc(delay, func() { cmd.Process.Kill() })
	cmd.Wait()
	timer.Stop()
	return !cmd.ProcessState.Exited()
}

// A10. Attack: none; a hundred first logins of a user at the same moment.
// Passes when there is one instance, whole in all sessions, and the script has run for a new one once, before any other
// session got it.
func TestA10ConcurrentFirstOpens(t *testing.T) {
	dir := area(t, ground)
	sandbox.Write(t, dir+"/init", "#!/bin/sh\nsleep 0.2\nmkdir $1/once$3 2>/dev/null\necho $3 >>"+dir+"/said\n", 0o755)
	configure(t, dir, "{A}/tmp {A}/i/ user:iscript={A}/init")
	const sessions = 100
	r := pamhost(t, gons, "alice", "--parallel", fmt.Sprint(sessions))
	if got := strings.Count(r["output"], "parallel=0:0:"); got != sessions {
		t.Errorf("%d of %d sessions opened and closed", got, sessions)
	}
	said, _ := os.ReadFile(dir + "/said")
	lines := strings.Fields(string(said))
	if len(lines) != sessions || lines[0] != "1" || strings.Count(string(said), "1") != 1 {
		t.Errorf("the script was run %d times, for a new instance %d times", len(lines), strings.Count(string(said), "1"))
	}
	if got := names(t, dir+"/i"); len(got) != 1 || looks(dir+"/i/alice") != "1777 0 0" || !exists(dir+"/i/alice/once1") {
		t.Errorf("instances %q; alice's is %s", got, looks(dir+"/i/alice"))
	}
}
