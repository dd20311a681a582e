package login_test

import (
	"os/exec"
	"strings"
	"testing"

	"gons/tests/sandbox"
)

// env is a configuration that covers nothing.
const env = `version: 1
env: {CACHE: /cache/$USER}
directories: [{path: /tmp, method: env, instances: /tmp-inst}]
`

// Which programs give their users PAM's environment, and whether it counts more than the caller's own: as gons.yaml(5) says.
func TestEnvironment(t *testing.T) {
	t.Setenv("TMPDIR", "/of/the/caller")
	for name, h := range map[string]host{
		"su": su["by root"], "su by a user": su["by a user"], "su -": su["by root, -"], "sshd": ssh["key, terminal"],
		"login": login["-f"], "cron": cron, "sudo": {service: "sudo", attempt: sudoOnce()}, "sudo -i": {service: "sudo-i", attempt: sudoOnce("-i")},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "cron" {
				h.start = nil // attempts bring their own
			}
			prepare(t, h, env)
			seen := h.attempt(t, "alice", "all=$(echo I have $TMPDIR $TMP $TEMP $TEMPDIR $CACHE; ls -ld $TMPDIR; touch $TMPDIR/x && rm $TMPDIR/x && echo Mine); echo \"$all\"")
			for _, want := range []string{"I have" + strings.Repeat(" /tmp-inst/alice", 4) + " /cache/alice", "drwx------ 2 alice ", "Mine"} {
				if !strings.Contains(seen, want) {
					t.Errorf("no %q in:\n%s", want, seen)
				}
			}
			nothingLeft(t)
		})
	}
}

// sudoOnce runs a command by sudo, as root. It is in a file: with -i there are two shells to quote it for.
func sudoOnce(args ...string) func(testing.TB, string, string) string {
	return func(t testing.TB, user, command string) string {
		t.Helper()
		const script = "/usr/lib/gons-test/command"
		sandbox.Write(t, script, command, 0o644)
		return onTerminal(t, exec.Command("sudo", append(args, "-n", "-u", user, "sh", script)...)).wait(t)
	}
}
