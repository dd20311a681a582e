package login_test

import (
	"strings"
	"testing"

	"gons/tests/sandbox"
)

// homeOnly leaves / as it is, in the host's peer group, and makes the user's home alone a place from which mounts
// don't come back.
const homeOnly = "version: 1\nnamespace: {propagation: unchanged, home: slave}\n"

// withTmp has a directory covered besides; the cover must not reach the host, although / is shared with it.
const withTmp = homeOnly + "directories:\n  - {path: /tmp, method: user, instances: /tmp-inst}\n"

func TestHomeAlone(t *testing.T) {
	for name, config := range map[string]string{"home": homeOnly, "home and /tmp": withTmp} {
		for program, h := range map[string]host{"su": su["by root"], "sshd": ssh["key"]} {
			t.Run(name+", "+program, func(t *testing.T) { checkHomeAlone(t, h, config) })
		}
	}
}

func checkHomeAlone(t *testing.T, h host, config string) {
	prepare(t, h, config)
	t.Cleanup(func() { removeVolume(t, "volume") })
	alice, bob := h.login(t, "alice"), h.login(t, "bob")
	alice.run(t, "mkdir ~/volume")
	if config == withTmp {
		checkCover(t, alice)
	}
	checkHomeMounts(t, alice, bob)
	checkSharedMounts(t, alice, bob)
	alice.logout(t)
	bob.logout(t)
	nothingLeft(t)
}

func checkCover(t *testing.T, alice *shell) {
	t.Helper()
	if root := topMount(sandbox.Mounts(t, alice.pid(t)), "/tmp"); root != "/tmp-inst/alice" {
		t.Errorf("alice's /tmp is the mount of %q", root)
	}
	if root := topMount(sandbox.Mounts(t, "self"), "/tmp"); root != "/" {
		t.Errorf("the host's /tmp is the mount of %q", root)
	}
}

// checkHomeMounts mounts in alice's home: what she mounts stays with her, what the host mounts comes to her.
func checkHomeMounts(t *testing.T, alice, bob *shell) {
	t.Helper()
	if got := alice.run(t, strings.ReplaceAll(volume, "plain", "volume")); got != "treasure" {
		t.Fatalf("alice has %q in her volume", got)
	}
	for who, pid := range map[string]string{"the host": "self", "bob": bob.pid(t)} {
		if all := strings.Join(sandbox.Mounts(t, pid), "\n"); strings.Contains(all, "gocryptfs") {
			t.Errorf("%s has alice's volume:\n%s", who, all)
		}
	}
	alice.run(t, "fusermount3 -u ~/volume")
	mountTmpfs(t, "/home/alice/stick")
	sandbox.Write(t, "/home/alice/stick/file", "", 0o644)
	if got := alice.run(t, "ls ~/stick"); got != "file" {
		t.Errorf("alice sees %q on the stick that the host mounted in her home", got)
	}
}

// checkSharedMounts has root mount inside the session but outside of the home: that reaches everybody.
func checkSharedMounts(t *testing.T, alice, bob *shell) {
	t.Helper()
	mountTmpfs(t, "/mnt/usb")
	for _, dir := range []string{"/mnt/direct", "/mnt/usb/inner"} {
		sandbox.Write(t, dir+"/covered", "", 0o644)
		must(t, "nsenter", "-m", "-t", alice.pid(t), "mount", "-t", "tmpfs", "gons-shared", dir)
		sandbox.Write(t, dir+"/new", "", 0o644)
		for who, s := range map[string]*shell{"alice": alice, "bob": bob} {
			if got := s.run(t, "ls "+dir); got != "new" {
				t.Errorf("%s sees %q in %s, where root mounted in alice's session", who, got, dir)
			}
		}
		must(t, "umount", dir)
		must(t, "rm", "-r", dir)
	}
}
