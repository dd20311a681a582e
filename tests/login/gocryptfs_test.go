package login_test

import (
	"os"
	"strings"
	"testing"

	"gons/tests/sandbox"
)

// volume makes alice's encrypted volume and mounts it at a path that another session, bob and the host have too.
const volume = `set -e
mkdir -p ~/cipher ~/plain
gocryptfs -q -init -scryptn 10 -extpass 'echo secret' ~/cipher
gocryptfs -q -extpass 'echo secret' ~/cipher ~/plain
echo treasure > ~/plain/file
cat ~/plain/file`

// removeVolume removes the files of a volume that is mounted no more.
func removeVolume(t testing.TB, name string) {
	t.Helper()
	must(t, "rm", "-rf", "--one-file-system", "/home/alice/cipher", "/home/alice/"+name)
}

// TestGocryptfs mounts an encrypted volume in one session of alice: its plain files are that session's alone.
//
// gocryptfs is a daemon that outlives the shell, as it does with any PAM module: sshd, su and login don't kill what a
// user left behind. It keeps the session's namespace alive, and with it a mount that nobody else can reach. The record
// and the tmpdir go with the logout all the same; the rest goes with the daemon, which the user, or logind with
// KillUserProcesses=yes, ends.
func TestGocryptfs(t *testing.T) {
	for name, h := range map[string]host{"sshd": ssh["key, terminal"], "su": su["by root, -"], "login": login["password"]} {
		t.Run(name, func(t *testing.T) { checkGocryptfs(t, h) })
	}
}

func checkGocryptfs(t *testing.T, h host) {
	prepare(t, h, methods)
	t.Cleanup(func() { removeVolume(t, "plain") })
	alice, again, bob := h.login(t, "alice"), h.login(t, "alice"), h.login(t, "bob")
	if got := alice.run(t, volume); got != "treasure" {
		t.Fatalf("alice's session has %q", got)
	}
	if got := again.run(t, "ls -A ~/plain"); got != "" {
		t.Errorf("alice's other session has %q", got)
	}
	if got := must(t, "ls", "-A", "/home/alice/plain"); got != "" {
		t.Errorf("the host has %q", got)
	}
	for who, pid := range map[string]string{"the host": "self", "bob": bob.pid(t), "alice again": again.pid(t)} {
		if all := strings.Join(sandbox.Mounts(t, pid), "\n"); strings.Contains(all, "gocryptfs") {
			t.Errorf("%s has alice's volume:\n%s", who, all)
		}
	}
	again.logout(t)
	bob.logout(t)
	alice.logout(t)
	checkLeftDaemon(t)
	nothingLeft(t)
}

// checkLeftDaemon looks at what the daemon keeps after the logout, and ends it as logind does.
func checkLeftDaemon(t *testing.T) {
	t.Helper()
	left := map[string]string{} // pids by name
	poll(t, "the logout leaves gocryptfs alone, with the logger it starts", func() bool {
		clear(left)
		for _, pid := range strangers() {
			name, _ := os.ReadFile("/proc/" + pid + "/comm") // it may have ended just now
			left[strings.TrimSpace(string(name))] = pid
		}
		return len(records()) == 0 && len(left) == 2 && left["gocryptfs"] != "" && left["logger"] != ""
	})
	if got := must(t, "ls", "-A", "/home/alice/plain", "/var-inst"); got != "/home/alice/plain:\n\n/var-inst:" {
		t.Errorf("the host has %q after the logout", got)
	}
	must(t, "kill", "-TERM", left["gocryptfs"])
}
