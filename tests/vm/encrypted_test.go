package vm

// This file is about encrypted volumes in a session: a user's own, of gocryptfs,
// and a LUKS container that root opens for a session, as README.md says.

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// encryptedCases needs a kernel with dm-crypt for all of its cases.
func encryptedCases(t *testing.T, s system) {
	m := s.boot(t, Spec{Files: []File{{
		Path: "/etc/systemd/logind.conf.d/kill.conf", Mode: 0o644, Content: []byte("[Login]\nKillUserProcesses=yes\n"),
	}}})
	for _, c := range []struct {
		name   string
		kernel bool // needs one of the machine's own
		run    func(*testing.T, *Machine)
	}{
		{"install for volumes", false, func(t *testing.T, m *Machine) { install(t, m, gonsYAML); prepareUsers(t, m) }},
		{"gocryptfs", false, testGocryptfs},
		{"LUKS, by hand", true, testLUKS},
		{"LUKS, at login", true, testLUKSAtLogin},
	} {
		if !c.kernel || s.kernel {
			oneCase(t, s, c.name, func(t *testing.T) {
				keepLogs(t, m)
				c.run(t, m)
			})
		}
	}
}

// checkVolume: a directory has a file in the sessions that see it and nothing
// for others; nobody else has a mount there.
func checkVolume(t *testing.T, m *Machine, directory string, see, others []*session) {
	t.Helper()
	for _, s := range see {
		if got := script(t, s.Shell, "cat "+directory+"/file"); got != "treasure" {
			t.Errorf("%s reads %q from the volume, want treasure", s.what, got)
		}
	}
	for _, s := range others {
		if sessionMounts(t, s.Shell).has(directory) {
			t.Errorf("%s has the volume", s.what)
		}
	}
	if hostMounts(t, m).has(directory) {
		t.Errorf("the host has the volume")
	}
	if got := run(t, m, "ls", "-A", directory); got != "" {
		t.Errorf("the host sees %q in %s", got, directory)
	}
	service := script(t, see[0].Shell, "systemd-run --user --quiet --wait --pipe cat /proc/self/mountinfo")
	if parseMounts(service).has(directory) {
		t.Errorf("the user's manager has the volume")
	}
}

// testGocryptfs: a volume that alice mounts is of that session alone, and gone
// at its end, where logind ends what a user leaves running.
func testGocryptfs(t *testing.T, m *Machine) {
	alice, again, bob := open(t, m, ways[0], "alice"), open(t, m, ways[0], "alice"), open(t, m, ways[0], "bob")
	script(t, alice.Shell, `set -e; mkdir -p ~/cipher ~/plain
		gocryptfs -q -init -scryptn 10 -extpass 'echo secret' ~/cipher
		gocryptfs -q -extpass 'echo secret' ~/cipher ~/plain
		echo treasure >~/plain/file`)
	checkVolume(t, m, "/home/alice/plain", []*session{alice}, []*session{again, bob})
	pid := script(t, alice.Shell, "echo $$")
	if got := script(t, bob.Shell, "ls -A /home/alice/plain /proc/"+pid+"/root/home/alice/plain 2>&1 || :"); strings.Contains(got, "file") ||
		!strings.Contains(got, "Permission denied") {
		t.Errorf("bob lists alice's volume, by her process too: %s", got)
	}
	alice.logout(t)
	eventually(t, "gocryptfs has ended", func() error {
		if _, err := m.Run("pgrep", "-u", "alice", "gocryptfs"); err == nil {
			return errors.New("it runs")
		}
		return nil
	})
	checkFreed(t, m, ways[0], alice.namespace, "/nonexistent")
	again.logout(t)
	bob.logout(t)
	run(t, m, "rm", "-rf", "--one-file-system", "/home/alice/cipher", "/home/alice/plain")
}

// recipe returns the commands of README.md's block that begins with a line.
func recipe(t *testing.T, first string) []string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(repository(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(readme), "\n    "+first)
	block, _, ended := strings.Cut(first+block, "\n\n")
	if !found || !ended {
		t.Fatalf("README.md has no block that begins with %q", first)
	}
	return strings.Split(strings.ReplaceAll(block, "\n    ", "\n"), "\n")
}

// follow runs a recipe, each line with the passphrase to read if it asks.
func follow(t *testing.T, m *Machine, lines []string, environment ...string) {
	t.Helper()
	for _, line := range lines {
		command := append(append([]string{"env"}, environment...), "sh", "-c", line)
		if _, err := m.RunWith(strings.NewReader("sesame open\n"), command...); err != nil {
			t.Fatal(err)
		}
	}
}

// makeVolume makes alice's container.
func makeVolume(t *testing.T, m *Machine) {
	t.Helper()
	follow(t, m, recipe(t, "mkdir -p /srv/volumes"))
	t.Cleanup(func() { _, _ = m.Run("rm", "-rf", "/srv/volumes", "/mnt/volume") })
}

// checkDevices: the mapping and the loop device are there, for root alone, or
// both are gone.
func checkDevices(t *testing.T, m *Machine, name string, want bool) {
	t.Helper()
	eventually(t, "the container's devices are as wanted", func() error {
		devices := run(t, m, "sh", "-c", "ls /dev/mapper; losetup --noheadings --list --output NAME,BACK-FILE")
		if strings.Contains(devices, name) != want || strings.Contains(devices, "alice.luks") != want {
			return errors.New("there are " + devices)
		}
		return nil
	})
	if want {
		if got := run(t, m, "stat", "-Lc", "%U %a", "/dev/mapper/"+name); got != "root 660" {
			t.Errorf("the device is %s, want root 660", got)
		}
	}
}

// testLUKS follows the recipe of one session.
func testLUKS(t *testing.T, m *Machine) {
	makeVolume(t, m)
	checkDevices(t, m, "alice", false)
	alice, again, bob := open(t, m, ways[0], "alice"), open(t, m, ways[0], "alice"), open(t, m, ways[0], "bob")
	number := run(t, m, "sh", "-euc", `tr '\0' '\n' </proc/$1/environ | sed -n s/^XDG_SESSION_ID=//p`, "sh", script(t, alice.Shell, "echo $$"))
	follow(t, m, recipe(t, "cryptsetup open /srv/volumes/alice.luks alice\n    nsenter"), "SESSION="+number)
	script(t, alice.Shell, "echo treasure >/mnt/volume/file")
	checkVolume(t, m, "/mnt/volume", []*session{alice}, []*session{again, bob})
	checkDevices(t, m, "alice", true)
	if got := script(t, bob.Shell, "cat /dev/mapper/alice 2>&1 | head -c 100"); !strings.Contains(got, "Permission denied") {
		t.Errorf("bob reads %q from the container's device", got)
	}
	again.logout(t)
	bob.logout(t)
	checkDevices(t, m, "alice", true)
	alice.logout(t)
	checkFreed(t, m, ways[0], alice.namespace, "/nonexistent")
	checkDevices(t, m, "alice", false)
}

// testLUKSAtLogin has pam_exec mount it in each session of alice.
func testLUKSAtLogin(t *testing.T, m *Machine) {
	makeVolume(t, m)
	put(t, m, File{Path: "/etc/volumes/alice.key", Mode: 0o600, Content: []byte("sesame open")})
	script, err := os.ReadFile(filepath.Join(repository(t), "contrib/volume/gons-volume"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, m, File{Path: "/usr/local/sbin/gons-volume", Mode: 0o755, Content: script})
	run(t, m, "sh", "-euc", `cp /etc/pam.d/sshd /root/sshd
		sed -n 's/^#   session/session/p' /usr/local/sbin/gons-volume | grep . >>/etc/pam.d/sshd`)
	t.Cleanup(func() { _, _ = m.Run("cp", "/root/sshd", "/etc/pam.d/sshd") })
	one, bob := open(t, m, ways[0], "alice"), open(t, m, ways[0], "bob")
	checkLogin(t, m, one, bob)
	one.logout(t)
	checkDevices(t, m, "volume-1001", false)
	bob.logout(t)
}

// checkLogin looks at the volume with one session of alice, and with two.
func checkLogin(t *testing.T, m *Machine, one, bob *session) {
	t.Helper()
	script(t, one.Shell, "echo treasure >/mnt/volume/file")
	checkVolume(t, m, "/mnt/volume", []*session{one}, []*session{bob})
	two := open(t, m, ways[0], "alice")
	checkVolume(t, m, "/mnt/volume", []*session{one, two}, []*session{bob})
	two.logout(t)
	checkFreed(t, m, ways[0], two.namespace, "/nonexistent")
	checkVolume(t, m, "/mnt/volume", []*session{one}, []*session{bob})
	checkDevices(t, m, "volume-1001", true)
}
