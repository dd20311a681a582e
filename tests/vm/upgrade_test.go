package vm

// This file is about another version of gons, or none, while users are logged
// in.

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// upgradeCases are one story: what comes later finds what was before.
func upgradeCases(t *testing.T, s system) {
	m := s.boot(t, Spec{})
	plain := observe(t, m)
	install(t, m, gonsYAML)
	prepareUsers(t, m)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *Machine)
	}{
		{"upgrade with sessions open", testUpgrade},
		{"removal with sessions open", func(t *testing.T, m *Machine) { testRemoval(t, m, plain) }},
	} {
		oneCase(t, s, c.name, func(t *testing.T) {
			keepLogs(t, m)
			c.run(t, m)
		})
	}
}

// nextVersion is a version that there is none of.
const nextVersion = "99.9.9"

// nextTree returns what the next version installs: the same code with another
// version number in the command, built aside.
func nextTree(t *testing.T) []File {
	t.Helper()
	top, next := repository(t), filepath.Join(t.TempDir(), "gons")
	goTool, err := exec.Command(filepath.Join(top, "scripts/find-go")).Output()
	if err != nil {
		t.Fatalf("cannot find Go: %v", err)
	}
	build := exec.Command(strings.TrimSpace(string(goTool)), "build", "-ldflags", "-X main.version="+nextVersion, "-o", next, "./cmd/gons")
	build.Dir = top
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the next version: %v\n%s", err, output)
	}
	content, err := os.ReadFile(next)
	if err != nil {
		t.Fatal(err)
	}
	files := installTree(t)
	for i := range files {
		if files[i].Path == "/usr/sbin/gons" {
			files[i].Content = content
		}
	}
	return files
}

// testUpgrade: sessions that are open go on with the module they were opened
// by, and close with it; new ones have the new one.
func testUpgrade(t *testing.T, m *Machine) {
	old := open(t, m, ways[0], "alice")
	before := moduleOf(t, m, "alice")
	private := sessionMounts(t, old.Shell).root("/var/tmp")
	script(t, old.Shell, "echo mine >/tmp/x-upgrade")

	put(t, m, nextTree(t)...)
	run(t, m, "systemctl", "daemon-reload")
	if got := run(t, m, "gons", "--version"); !strings.Contains(got, nextVersion) {
		t.Errorf("the command is %s, want %s", got, nextVersion)
	}
	if got := moduleOf(t, m, "alice"); got != before+" (deleted)" {
		t.Errorf("the old session's sshd has the module %s, want the deleted %s", got, before)
	}
	next := open(t, m, ways[0], "bob")
	installed := run(t, m, "sh", "-c", "stat -c %i /usr/lib/*/security/pam_gons.so")
	if got := moduleOf(t, m, "bob"); got != installed || got == before {
		t.Errorf("the new session's sshd has the module %s, want %s and not %s", got, installed, before)
	}
	for _, s := range []*session{old, next} {
		checkDirectory(t, m, s, "/tmp", "/tmp-inst")
		checkDirectory(t, m, s, "/var/tmp", "/var/tmp-inst")
	}
	checkInvisible(t, m, old, next.Shell, "/tmp", "/tmp-inst")
	run(t, m, "systemctl", "restart", "gons-boot.service")
	run(t, m, "gons", "clean") // the new one leaves what the old one's session has
	checkDirectory(t, m, old, "/var/tmp", "/var/tmp-inst")
	old.logout(t)
	checkFreed(t, m, ways[0], old.namespace, private)
	again := open(t, m, ways[0], "alice")
	if got := script(t, again.Shell, "cat /tmp/x-upgrade"); got != "mine" {
		t.Errorf("after the upgrade alice reads %q from her /tmp, want mine", got)
	}
	again.logout(t)
	next.logout(t)
	keepPromises(t, m, ways[0])
}

// moduleOf returns the inode of the module that the sshd of a user's login has
// mapped, and " (deleted)" where that is no longer in its place.
func moduleOf(t *testing.T, m *Machine, user string) string {
	t.Helper()
	return run(t, m, "sh", "-euc", `
		pid=$(pgrep --full "^sshd.*: $1 \[priv\]")
		sed -n 's|^\([^ ]* *\)\{4\}\([0-9]*\) .*/pam_gons\.so\(.*\)|\2\3|p' /proc/$pid/maps | sort -u`, "sh", user)
}

// testRemoval: what README.md says under "Removing" leaves a machine that
// people can log in to, and sessions that go on.
func testRemoval(t *testing.T, m *Machine, plain observation) {
	old := open(t, m, ways[0], "alice")
	private := sessionMounts(t, old.Shell).root("/var/tmp")
	checkRemovalDocumented(t)
	uninstall(t, m)
	for _, left := range []string{"/usr/sbin/gons", "/usr/lib/systemd/system/gons-boot.service", "/usr/share/doc/gons"} {
		run(t, m, "test", "!", "-e", left)
	}
	for _, w := range []way{
		{name: "ssh, key", start: startSSH}, {name: "console", start: startConsole}, {name: "cron", start: startCron},
		{name: "su from a user", start: startFromBob("echo " + password + " | su USER -c")},
		{name: "sudo", start: startFromBob("sudo -u USER sh -c")},
	} {
		s := open(t, m, w, "alice")
		if host := run(t, m, "readlink", "/proc/1/ns/mnt"); s.namespace != host {
			t.Errorf("%s: the session is in %s, want the host's %s", w.name, s.namespace, host)
		}
		script(t, s.Shell, "echo text >/tmp/used; rm /tmp/used")
		s.logout(t)
	}
	if got := sessionMounts(t, old.Shell).root("/tmp"); got != "/tmp-inst/alice" {
		t.Errorf("mounted on /tmp of the old session is %q, want /tmp-inst/alice", got)
	}
	script(t, old.Shell, "echo text >/tmp/used; echo text >/var/tmp/used; cat /tmp/used")
	old.logout(t)
	checkFreed(t, m, ways[0], old.namespace, private)
	checkJournal(t, m)
	if err := m.Reboot(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the machine is as before gons, after a reboot", func() error {
		return plain.differs(observe(t, m))
	})
	checkUnits(t, m)
	s := open(t, m, ways[0], "alice")
	s.logout(t)
}

// checkRemovalDocumented: README.md tells the order in which uninstall goes.
func checkRemovalDocumented(t *testing.T) {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(repository(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n## Removing\n")
	for _, step := range []string{removePAMLines, "systemctl disable --now gons-boot.service gons-clean.timer", "make uninstall"} {
		_, rest, found := strings.Cut(text, step)
		if !found {
			t.Errorf("README.md, Removing, doesn't have %q, or not after the steps before it", step)
		}
		text = rest
	}
}
