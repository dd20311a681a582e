package login_test

import (
	"strings"
	"testing"

	"gons/tests/sandbox"
)

// oneForAll is a configuration by which alice's sessions share a /tmp in memory, and root goes back to the host from
// wherever.
const oneForAll = `version: 1
namespace: {scope: user}
exempt: {users: [root], action: host}
directories:
  - {path: /tmp, method: tmpfs}
  - {path: /var/tmp, method: tmpdir, instances: /var-inst}
`

// TestOneNamespaceForAll: what alice has in memory, and in an encrypted volume, is in all of her sessions, whatever opened
// them, and in none of bob's; root's su is the host's, and what root mounts there everybody sees.
func TestOneNamespaceForAll(t *testing.T) {
	prepare(t, ssh["key, terminal"], oneForAll)
	for _, service := range []string{"su", "su-l", "login", "cron"} {
		stack(t, service)
	}
	startCron(t, "alice")
	t.Cleanup(func() { removeVolume(t, "plain") })
	first := ssh["key, terminal"].login(t, "alice")
	sessions := map[string]*shell{
		"sshd":       first,
		"sshd again": ssh["password"].login(t, "alice"),
		"su by root": su["by root, -"].login(t, "alice"),
		"su by bob":  su["by a user"].login(t, "alice"),
		"login":      login["password"].login(t, "alice"),
		"cron":       openJob(t, "alice"),
	}
	if got := first.run(t, volume); got != "treasure" {
		t.Fatalf("alice's volume has %q", got)
	}
	for name, s := range sessions {
		s.run(t, "touch '/tmp/"+name+"'")
		if got := s.run(t, "cat ~/plain/file"); got != "treasure" {
			t.Errorf("%s: the volume has %q", name, got)
		}
	}
	for name, s := range sessions {
		if got := s.run(t, "ls /tmp | wc -l"); got != "6" {
			t.Errorf("%s: %s files in /tmp", name, got)
		}
	}
	checkOutsiders(t, first)
	checkRootsWay(t, first)
	first.run(t, "fusermount3 -u ~/plain")
	for _, s := range sessions {
		s.logout(t)
	}
	nothingLeft(t)
}

// checkOutsiders looks at what bob and the host see of it.
func checkOutsiders(t *testing.T, alice *shell) {
	t.Helper()
	bob := ssh["key"].login(t, "bob")
	if got := bob.run(t, "ls -A /tmp"); got != "" {
		t.Errorf("bob sees %q", got)
	}
	for who, pid := range map[string]string{"the host": "self", "bob": bob.pid(t)} {
		if all := strings.Join(sandbox.Mounts(t, pid), "\n"); strings.Contains(all, "gocryptfs") {
			t.Errorf("%s has alice's volume:\n%s", who, all)
		}
	}
	if got := must(t, "ls", "-A", "/home/alice/plain"); got != "" {
		t.Errorf("the host has %q in the volume", got)
	}
	bob.logout(t)
}

// checkRootsWay has root come from alice's session by su, with a password, and mount something for everybody.
func checkRootsWay(t *testing.T, alice *shell) {
	t.Helper()
	alice.send(t, "su -")
	alice.expect(t, "Password: ")
	alice.send(t, password("root"))
	alice.expect(t, "# ")
	if got := alice.run(t, "ls /tmp | grep -c sshd; readlink /proc/self/ns/mnt"); got != "0\n"+must(t, "readlink", "/proc/1/ns/mnt") {
		t.Errorf("root, by su from alice, sees and is in %q", got)
	}
	t.Cleanup(func() { must(t, "rmdir", "/mnt/everybody") })
	alice.run(t, "mkdir /mnt/everybody; mount -t tmpfs everybody /mnt/everybody; touch /mnt/everybody/news")
	alice.send(t, "exit")
	alice.expect(t, prompt)
	bob := ssh["key"].login(t, "bob")
	for name, s := range map[string]*shell{"alice": alice, "bob": bob} {
		if got := s.run(t, "ls /mnt/everybody"); got != "news" {
			t.Errorf("%s sees %q", name, got)
		}
	}
	bob.logout(t)
	must(t, "umount", "/mnt/everybody")
}
