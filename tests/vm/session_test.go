package vm

// This file tests pam_gons.so and gons where they belong: on a whole machine,
// in the stacks of sshd, su, login, cron and systemd's own user manager.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// gonsYAML is the configuration of the machine: a directory per user at /tmp,
// one per session at /var/tmp.
const gonsYAML = `version: 1
namespace: {propagation: slave}
exempt: {users: [root]}
directories:
  - path: /tmp
    method: user
    instances: /tmp-inst
  - path: /var/tmp
    method: tmpdir
    instances: /var/tmp-inst
`

// cronJob shows the session of a job that cron starts as early as it can.
const cronJob = "@reboot alice umask 077; cat /proc/self/mountinfo >~/cron.new; mv ~/cron.new ~/cron\n"

// pamServices are the PAM services whose sessions gons opens. Debian's su-l
// includes su: a line in both would open two sessions, one in the other.
var pamServices = []string{"sshd", "su", "login", "systemd-user", "cron"}

// installed returns a machine with gons as make has built it, ready to boot.
func installed(t *testing.T, suite string) Spec {
	t.Helper()
	image := image(t, suite)
	modules, err := image.ModuleDir()
	if err != nil {
		t.Fatal(err)
	}
	files := []File{
		built(t, "build/pam_gons.so", filepath.Join(modules, "pam_gons.so"), 0o644),
		built(t, "build/gons", "/usr/sbin/gons", 0o755),
		built(t, "contrib/systemd/gons-boot.service", "/usr/lib/systemd/system/gons-boot.service", 0o644),
		{Path: "/etc/security/gons.yaml", Mode: 0o644, Content: []byte(gonsYAML)},
		{Path: "/etc/cron.d/gons-test", Mode: 0o644, Content: []byte(cronJob)},
	}
	for _, service := range pamServices {
		file, err := image.Append("/etc/pam.d/"+service, "session required pam_gons.so\n")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return Spec{Image: image, Files: files, Units: []string{"gons-boot.service"}}
}

// built reads a file of this repository that goes to path in the machine.
func built(t *testing.T, name, path string, mode fs.FileMode) File {
	t.Helper()
	top, err := Repository()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(top, name))
	if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(name, "build/") {
		t.Fatalf("%s is missing: run make first", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return File{Path: path, Mode: mode, Content: content}
}

// TestSessions runs all cases in one machine, one after the other: what one
// leaves behind is found by a later one, at the latest by the last.
func TestSessions(t *testing.T) {
	for _, suite := range []string{"trixie"} {
		t.Run(suite, func(t *testing.T) { testSessions(t, boot(t, installed(t, suite))) })
	}
}

func testSessions(t *testing.T, m *Machine) {
	authorize(t, m)
	t.Run("Cron", func(t *testing.T) { testCron(t, m) })
	before := observe(t, m)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Machine)
	}{
		{"TwoUsers", testTwoUsers},
		{"Directories", testDirectories},
		{"Tmpdir", testTmpdir},
		{"Propagation", testPropagation},
		{"Su", testSu},
		{"SystemdService", testSystemdService},
		{"UserManager", testUserManager},
		{"RestartSSH", testRestartSSH},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, m) })
	}
	t.Run("NothingLeft", func(t *testing.T) { testNothingLeft(t, m, before) })
}

// testCron: what cron runs at boot is a session like any other, and waits for
// gons-boot.service. Afterwards nobody is logged in.
func testCron(t *testing.T, m *Machine) {
	eventually(t, "cron has run a job of alice", func() error {
		_, err := m.Run("test", "-e", "/home/alice/cron")
		return err
	})
	mounts := parseMounts(run(t, m, "cat", "/home/alice/cron"))
	if got := mounts.root("/tmp"); got != "/tmp-inst/alice" {
		t.Errorf("mounted on /tmp in a job of cron is %q, want /tmp-inst/alice", got)
	}
	eventually(t, "the manager of alice has ended", func() error {
		users, err := m.Run("loginctl", "list-users", "--no-legend")
		if err == nil && users != "" {
			err = fmt.Errorf("logged in: %s", users)
		}
		return err
	})
}

// testTwoUsers: what one user puts into /tmp, no other sees.
func testTwoUsers(t *testing.T, m *Machine) {
	users := map[string]*Shell{"alice": login(t, m, "alice"), "bob": login(t, m, "bob")}
	for user, session := range users {
		script(t, session, "echo "+user+" >/tmp/x-"+user)
	}
	for user, session := range users {
		if got := script(t, session, "ls -A /tmp | grep ^x-"); got != "x-"+user {
			t.Errorf("%s sees %q in /tmp, want x-%s only", user, got, user)
		}
		if got := run(t, m, "cat", "/tmp-inst/"+user+"/x-"+user); got != user {
			t.Errorf("the file of %s is not in /tmp-inst/%s: got %q", user, user, got)
		}
	}
	if got := run(t, m, "ls", "-A", "/tmp"); strings.Contains(got, "x-") {
		t.Errorf("the host sees files of sessions in its /tmp:\n%s", got)
	}
	for _, parent := range []string{"/tmp-inst", "/var/tmp-inst"} {
		if got := run(t, m, "stat", "-c", "%U:%G %a", parent); got != "root:root 0" {
			t.Errorf("%s is %s, want root:root 0", parent, got)
		}
	}
}

// testDirectories: a session's directories are like the ones they cover.
func testDirectories(t *testing.T, m *Machine) {
	session := login(t, m, "alice")
	for path, instances := range map[string]string{"/tmp": "/tmp-inst/", "/var/tmp": "/var/tmp-inst/"} {
		if got := script(t, session, "stat -c '%U:%G %a' "+path); got != "root:root 1777" {
			t.Errorf("%s is %s, want root:root 1777", path, got)
		}
		if got := sessionMounts(t, session).root(path); !strings.HasPrefix(got, instances) {
			t.Errorf("mounted on %s is %q, want something in %s", path, got, instances)
		}
		script(t, session, "touch "+path+"/file && rm "+path+"/file")
	}
}

// testTmpdir: each session has a directory of its own, gone after the logout.
func testTmpdir(t *testing.T, m *Machine) {
	first, second := login(t, m, "alice"), login(t, m, "alice")
	one, two := sessionMounts(t, first).root("/var/tmp"), sessionMounts(t, second).root("/var/tmp")
	if one == two {
		t.Errorf("two sessions have the same /var/tmp: %s", one)
	}
	script(t, first, "mkdir -p /var/tmp/a/b && touch /var/tmp/a/b/c")
	logout(t, first)
	checkGone(t, m, one)
	run(t, m, "test", "-d", two)
	logout(t, second)
	checkGone(t, m, two)
}

// testPropagation: the host's mounts reach the sessions, theirs reach nobody.
func testPropagation(t *testing.T, m *Machine) {
	const usb = "/mnt/usb"
	alice, bob := login(t, m, "alice"), login(t, m, "bob")
	run(t, m, "mkdir", "-p", usb)
	run(t, m, "mount", "-t", "tmpfs", "host", usb)
	run(t, m, "touch", usb+"/photo")
	for _, session := range []*Shell{alice, bob} {
		if got := script(t, session, "ls "+usb); got != "photo" {
			t.Errorf("%s sees %q in %s, want photo", session.what, got, usb)
		}
	}
	run(t, m, "umount", usb)
	for _, session := range []*Shell{alice, bob} {
		if sessionMounts(t, session).has(usb) {
			t.Errorf("%s still sees %s after the host's umount", session.what, usb)
		}
	}

	pid := script(t, alice, "echo $$")
	run(t, m, "nsenter", "--target", pid, "--mount", "mount", "-t", "tmpfs", "alice", usb)
	if !sessionMounts(t, alice).has(usb) {
		t.Errorf("alice doesn't see what was mounted in her session")
	}
	if sessionMounts(t, bob).has(usb) {
		t.Errorf("bob sees what was mounted in the session of alice")
	}
	if hostMounts(t, m).has(usb) {
		t.Errorf("the host sees what was mounted in the session of alice")
	}
}

// testSu: su to a user gives that user's /tmp, and the caller keeps its own.
func testSu(t *testing.T, m *Machine) {
	before := hostMounts(t, m)
	bob := shell(t, m, "su", "-", "bob")
	if got := sessionMounts(t, bob).root("/tmp"); got != "/tmp-inst/bob" {
		t.Errorf("mounted on /tmp after su - bob is %q, want /tmp-inst/bob", got)
	}
	private := sessionMounts(t, bob).root("/var/tmp")
	if got := run(t, m, "su", "alice", "-c", "cat /proc/self/mountinfo"); parseMounts(got).root("/tmp") != "/tmp-inst/alice" {
		t.Errorf("su alice has no private /tmp:\n%s", got)
	}
	logout(t, bob)
	checkGone(t, m, private)
	if got := run(t, m, "su", "-", "root", "-c", "cat /proc/self/mountinfo"); parseMounts(got).root("/tmp") != before.root("/tmp") {
		t.Errorf("su - root has a private /tmp, although root is exempt:\n%s", got)
	}
}

// testSystemdService: systemd opens the session of a service, and its
// (sd-pam), a fork without privilege, closes it.
func testSystemdService(t *testing.T, m *Machine) {
	const unit = "gons-test.service"
	began := time.Now()
	got := parseMounts(run(t, m, "systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit="+unit,
		"--uid=alice", "--property=PAMName=login", "cat", "/proc/self/mountinfo"))
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the service took %s: does a worker hang?", took)
	}
	if got.root("/tmp") != "/tmp-inst/alice" {
		t.Errorf("mounted on /tmp in the service is %q, want /tmp-inst/alice", got.root("/tmp"))
	}
	if state := run(t, m, "systemctl", "show", "--property=LoadState", "--value", unit); state != "not-found" {
		t.Errorf("the service has ended, but its unit is %s", state)
	}
	private := got.root("/var/tmp")
	if !strings.HasPrefix(private, "/var/tmp-inst/") {
		t.Fatalf("mounted on /var/tmp in the service is %q, want something in /var/tmp-inst", private)
	}
	clean(t, m)
	checkGone(t, m, private)
}

// testUserManager: user@UID.service, which runs a user's services, is a
// session of the service systemd-user.
func testUserManager(t *testing.T, m *Machine) {
	const unit = "user@1001.service"
	session := login(t, m, "alice")
	script(t, session, "echo mine >/tmp/x-manager")
	if state := run(t, m, "systemctl", "show", "--property=ActiveState", "--value", unit); state != "active" {
		t.Fatalf("%s is %s", unit, state)
	}
	manager := run(t, m, "systemctl", "show", "--property=MainPID", "--value", unit)
	mounts := parseMounts(run(t, m, "cat", "/proc/"+manager+"/mountinfo"))
	if got := mounts.root("/tmp"); got != "/tmp-inst/alice" {
		t.Errorf("mounted on /tmp in %s is %q, want /tmp-inst/alice", unit, got)
	}
	if got := script(t, session, "systemctl --user is-system-running"); got != "running" {
		t.Errorf("the manager of alice is %s", got)
	}
	if got := script(t, session, "systemd-run --user --quiet --wait --pipe cat /tmp/x-manager"); got != "mine" {
		t.Errorf("a service of alice reads %q from her /tmp, want mine", got)
	}
	journal := run(t, m, "journalctl", "--boot", "--no-pager", "--output=cat", "--priority=warning", "--unit="+unit)
	if journal != "" && journal != "-- No entries --" {
		t.Errorf("%s logged warnings:\n%s", unit, journal)
	}
	logout(t, session)
}

// testRestartSSH: sessions outlive their sshd, and a new one opens more.
func testRestartSSH(t *testing.T, m *Machine) {
	old := login(t, m, "alice")
	run(t, m, "systemctl", "restart", "ssh.service")
	for _, session := range []*Shell{old, login(t, m, "alice")} {
		if got := sessionMounts(t, session).root("/tmp"); got != "/tmp-inst/alice" {
			t.Errorf("mounted on /tmp of %s is %q, want /tmp-inst/alice", session.what, got)
		}
		logout(t, session)
	}
}

// testNothingLeft: when all sessions are closed, the machine is as it was.
func testNothingLeft(t *testing.T, m *Machine, before observation) {
	// A user's manager ends a moment after the last session.
	eventually(t, "the machine is as before its sessions", func() error {
		return before.differs(observe(t, m))
	})
	clean(t, m)
	if records := run(t, m, "find", "/run", "-path", "/run/gons/sessions/*"); records != "" {
		t.Errorf("session records are left:\n%s", records)
	}
	if dirs := run(t, m, "ls", "-A", "/var/tmp-inst"); dirs != "" {
		t.Errorf("directories of closed sessions are left in /var/tmp-inst:\n%s", dirs)
	}
	checkUnits(t, m)
	for _, line := range strings.Split(run(t, m, "journalctl", "--boot", "--no-pager", "--priority=warning"), "\n") {
		if strings.Contains(line, "gons") {
			t.Errorf("the journal has a warning about gons: %s", line)
		}
	}
}

// login opens a session by ssh.
func login(t *testing.T, m *Machine, user string) *Shell {
	t.Helper()
	return shell(t, m, "ssh", user+"@127.0.0.1", "sh")
}

// logout closes a session; that must succeed.
func logout(t *testing.T, session *Shell) {
	t.Helper()
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// script runs a script in a session and returns its output; it must succeed.
func script(t *testing.T, session *Shell, text string) string {
	t.Helper()
	output, err := session.Run(text)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// clean runs gons clean on the host.
func clean(t *testing.T, m *Machine) {
	t.Helper()
	run(t, m, "gons", "clean")
}

// checkGone waits until a path doesn't exist on the host: sshd closes a
// session a moment after the client has left.
func checkGone(t *testing.T, m *Machine, path string) {
	t.Helper()
	eventually(t, path+" is gone", func() error {
		_, err := m.Run("test", "!", "-e", path)
		return err
	})
}

// observation is what sessions must not change for good.
type observation struct {
	mounts    mountTable
	processes []string
}

// observe looks at the host namespace and at all processes.
func observe(t *testing.T, m *Machine) observation {
	t.Helper()
	seen := observation{mounts: hostMounts(t, m)}
	for _, process := range strings.Split(run(t, m, "ps", "-e", "-o", "user=,args="), "\n") {
		if !strings.HasSuffix(process, " ps -e -o user=,args=") {
			seen.processes = append(seen.processes, process)
		}
	}
	slices.Sort(seen.processes)
	return seen
}

// differs returns an error with what is now and what was before, if not equal.
func (o observation) differs(now observation) error {
	if !slices.Equal(o.processes, now.processes) {
		return fmt.Errorf("processes are\n%s\nand were\n%s",
			strings.Join(now.processes, "\n"), strings.Join(o.processes, "\n"))
	}
	if !slices.Equal(o.mounts, now.mounts) {
		return fmt.Errorf("mounts are\n%+v\nand were\n%+v", now.mounts, o.mounts)
	}
	return nil
}

// mountTable is a mountinfo without the ids, which change when a file system
// is mounted again.
type mountTable []mountLine

type mountLine struct{ root, point, rest string }

// parseMounts reads a mountinfo.
func parseMounts(mountinfo string) mountTable {
	var table mountTable
	for _, line := range strings.Split(mountinfo, "\n") {
		// 36 35 98:0 ROOT POINT options optional... - type source options
		if field := strings.Fields(line); len(field) > 6 {
			table = append(table, mountLine{field[3], field[4], strings.Join(field[5:], " ")})
		}
	}
	return table
}

// root returns what of its file system is mounted topmost on a path, or "".
func (m mountTable) root(path string) string {
	for _, mount := range slices.Backward(m) {
		if mount.point == path {
			return mount.root
		}
	}
	return ""
}

// has reports whether anything is mounted on a path.
func (m mountTable) has(path string) bool { return m.root(path) != "" }

// sessionMounts returns what a session sees mounted.
func sessionMounts(t *testing.T, session *Shell) mountTable {
	t.Helper()
	return parseMounts(script(t, session, "cat /proc/self/mountinfo"))
}

// hostMounts returns what process 1 of the machine sees mounted.
func hostMounts(t *testing.T, m *Machine) mountTable {
	t.Helper()
	return parseMounts(run(t, m, "cat", "/proc/1/mountinfo"))
}
