package attack_test

import (
	"os"
	"os/exec"
	"testing"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// A11. Attack: alice calls a program with the module in its stack with an environment, descriptors and a working
// directory of her choice; her directory lies in a tree of hers.
// Passes when the script has an empty environment, no descriptor but 0 to 2, / to work in, and is told that the way to
// the directory isn't safe. Reference: CVE-2010-3853, linux-pam 592d84e1.
func TestA11WhatAScriptGets(t *testing.T) {
	dir := area(t, ground)
	sandbox.Write(t, dir+"/init", `#!/bin/sh
{ echo "$5$6 $(pwd) $(ls /proc/self/fd | wc -l)"; tr '\0' '\n' </proc/$$/environ; } >>`+dir+"/said\n", 0o755)
	configure(t, dir, "{A}/u/a/b/c {A}/i/ user:iscript={A}/init\n{A}/n {A}/i/n. user:iscript={A}/init")
	for _, m := range both {
		os.Remove(dir + "/said")
		cmd := exec.Command("sh", "-c", `cd "$0" && exec 3</etc/passwd 7</etc/group && export LD_PRELOAD=x.so PATH=. IFS=a BASH_ENV=/x && exec "$@"`,
			dir+"/u/a", sandbox.Built(t, "pamhost"), string(m), "alice")
		r := report(t, cmd)
		said, _ := os.ReadFile(dir + "/said")
		t.Logf("%s: %q", m, said)
		if want := "01 / 4\n11 / 4\n"; m == gons && (r["open"] != "0" || string(said) != want) {
			t.Errorf("PAM code %s, the script says %q, expected %q", r["open"], said, want)
		}
	}
}

// A11. Attack: while a new home is filled, alice puts a link to a file of root's where the skeleton's .bashrc goes; she
// can reach the instance in its parent here, as a session of hers could that was quicker.
// Passes when that file keeps its content and owner. pam_namespace's script writes through the link.
// Reference: residual weakness 6.
func TestA11LinkInANewHome(t *testing.T) {
	dir := area(t, "dir homes 0:0 0755; dir victim; file victim/secret 0:0 0600")
	configure(t, dir, "$HOME {A}/homes/ user", "ignore_instance_parent_mode")
	stop := testkit.Attack(t, sandbox.Alice.UID, func() {
		entries, _ := os.ReadDir(dir + "/homes")
		for _, e := range entries {
			os.Symlink(dir+"/victim/secret", dir+"/homes/"+e.Name()+"/.bashrc")
		}
	})
	defer stop()
	fill := func(m module, n int, enough func(s score) bool) (s score) {
		tries := 0
		batches(t, func() bool { return tries < n && !enough(s) }, func(t *testing.T) {
			tries++
			one := rounds(t, m, 1, "alice", "", nil, func() bool {
				data, _ := os.ReadFile(dir + "/victim/secret")
				return string(data) != "content\n" || looks(dir+"/victim/secret") != "0600 0 0"
			})
			s.opened, s.refused, s.lost = s.opened+one.opened, s.refused+one.refused, s.lost+one.lost
			os.RemoveAll(dir + "/homes/alice")
			if one.lost > 0 {
				os.Remove(dir + "/victim/secret")
				build(t, dir, "file victim/secret 0:0 0600")
			}
		})
		return s
	}
	p := fill(peer, 300, func(s score) bool { return s.lost == 3 })
	t.Logf("pam_namespace: %v", p)
	if p.lost == 0 {
		t.Error("the attack never won, not even on pam_namespace")
	}
	g := fill(gons, times(40), func(score) bool { return false })
	t.Logf("gons: %v", g)
	if g.lost > 0 || g.opened == 0 {
		t.Error("expected sessions, and none lost")
	}
}

// A11. Attack: none; a script that hangs, fails or can't be run.
// Passes when there is no session, in time. For pam_namespace all but the first are sessions; it waits for ever.
func TestA11ScriptsThatFail(t *testing.T) {
	for name, text := range map[string]string{
		"hangs": "#!/bin/sh\nsleep 1000\n", "fails": "#!/bin/sh\nexit 3\n", "no interpreter": "#!/no/such/shell\n", "killed": "#!/bin/sh\nkill -9 $$\n",
	} {
		dir := area(t, ground)
		sandbox.Write(t, dir+"/init", text, 0o755)
		configure(t, dir, "{A}/tmp {A}/i/ user:iscript={A}/init", "timeout=2")
		if r := pamhost(t, gons, "alice"); r["open"] != "14" || r["hung"] != "" {
			t.Errorf("%s: PAM code %s", name, r["open"])
		}
		nothingLeft(t, dir+"/i")
		if name != "hangs" {
			t.Logf("pam_namespace, a script that %s: PAM code %s", name, pamhost(t, peer, "alice")["open"])
		}
	}
}
