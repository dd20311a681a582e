package vm

// This file is about logins with gons: every promise for every way to log in,
// and what several sessions at a time are to each other.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// gonsYAML is the configuration of the machine: a directory per user at /tmp,
// one per session at /var/tmp.
const gonsYAML = `version: 1
namespace: {propagation: slave}
exempt: {users: [root]}
env: {GONS_USER: "$USER"}
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

// loginCases runs all cases in one machine, one after the other: what one
// leaves behind is found by a later one, at the latest by the last.
func loginCases(t *testing.T, s system) {
	m := s.boot(t, Spec{})
	oneCase(t, s, "install", func(t *testing.T) {
		keepLogs(t, m)
		install(t, m, gonsYAML)
		prepareUsers(t, m)
		checkUnits(t, m)
	})
	before := observe(t, m)
	everyWay(t, s, m, "")
	for _, c := range []struct {
		name  string
		quick bool
		run   func(*testing.T, *Machine)
	}{
		{"two users at once", true, testTwoUsers},
		{"one user twice", true, testTwice},
		{"root in a session", true, testRootInSession},
		{"the user manager's /tmp", true, testUserManager},
		{"sshd restarted", true, testRestartSSH},
		{"nothing left", true, func(t *testing.T, m *Machine) { checkNothingLeft(t, m, before) }},
		{"reboot", s.kernel, func(t *testing.T, m *Machine) { testReboot(t, m, before) }},
	} {
		if c.quick || s.full() {
			oneCase(t, s, c.name, func(t *testing.T) {
				keepLogs(t, m)
				c.run(t, m)
			})
		}
	}
	if s.full() {
		everyWay(t, s, m, " after reboot")
		oneCase(t, s, "nothing left after reboot", func(t *testing.T) {
			keepLogs(t, m)
			checkNothingLeft(t, m, before)
		})
	}
}

// everyWay makes a case of each way to log in.
func everyWay(t *testing.T, s system, m *Machine, when string) {
	for _, w := range ways {
		if w.quick || s.full() {
			oneCase(t, s, w.name+when, func(t *testing.T) {
				keepLogs(t, m)
				keepPromises(t, m, w)
			})
		}
	}
}

// testTwoUsers: two users at once have a /tmp each, in a namespace each.
func testTwoUsers(t *testing.T, m *Machine) {
	alice, bob := open(t, m, ways[0], "alice"), open(t, m, ways[0], "bob")
	if alice.namespace == bob.namespace {
		t.Errorf("alice and bob are in one namespace, %s", bob.namespace)
	}
	for _, directory := range covered {
		checkInvisible(t, m, alice, bob.Shell, directory.path, directory.instances)
		checkInvisible(t, m, bob, alice.Shell, directory.path, directory.instances)
	}
	checkToHost(t, m, alice, bob.Shell)
	alice.logout(t)
	checkDirectory(t, m, bob, "/tmp", "/tmp-inst")
	bob.logout(t)
}

// testTwice: two sessions of one user share what is the user's, and nothing
// that is the session's; the end of one leaves the other whole.
func testTwice(t *testing.T, m *Machine) {
	first, second := open(t, m, ways[0], "alice"), open(t, m, ways[0], "alice")
	script(t, first.Shell, "echo mine >/tmp/x-twice")
	if got := script(t, second.Shell, "cat /tmp/x-twice; rm /tmp/x-twice"); got != "mine" {
		t.Errorf("the second session reads %q from the first one's /tmp, want mine", got)
	}
	one, two := sessionMounts(t, first.Shell).root("/var/tmp"), sessionMounts(t, second.Shell).root("/var/tmp")
	if one == two {
		t.Errorf("two sessions have the same /var/tmp: %s", one)
	}
	checkToHost(t, m, first, second.Shell)
	script(t, first.Shell, "mkdir -p /var/tmp/a/b && touch /var/tmp/a/b/c")
	first.logout(t)
	checkFreed(t, m, ways[0], first.namespace, one)
	for _, directory := range covered {
		checkDirectory(t, m, second, directory.path, directory.instances)
	}
	second.logout(t)
	checkFreed(t, m, ways[0], second.namespace, two)
}

// testRootInSession: an exempt root, by sudo from a session, is in the
// caller's: sees the caller's /tmp, and mounts for nobody else.
func testRootInSession(t *testing.T, m *Machine) {
	alice := open(t, m, ways[0], "alice")
	script(t, alice.Shell, "echo mine >/tmp/x-sudo; mkdir -p ~/disk")
	for _, become := range []string{"sudo", "sudo -i"} {
		if got := script(t, alice.Shell, become+" cat /tmp/x-sudo"); got != "mine" {
			t.Errorf("%s reads %q from the caller's /tmp, want mine", become, got)
		}
		script(t, alice.Shell, become+" mount -t tmpfs alice /home/alice/disk")
		if !sessionMounts(t, alice.Shell).has("/home/alice/disk") || hostMounts(t, m).has("/home/alice/disk") {
			t.Errorf("what %s mounts is not in the session, or on the host", become)
		}
		script(t, alice.Shell, become+" umount /home/alice/disk")
	}
	script(t, alice.Shell, "rm /tmp/x-sudo")
	if got := run(t, m, "su", "-", "root", "-c", "readlink /proc/self/ns/mnt"); got != run(t, m, "readlink", "/proc/1/ns/mnt") {
		t.Errorf("su - root is in %s, although root is exempt", got)
	}
	alice.logout(t)
}

// testUserManager: user@UID.service, which runs a user's services, is a session
// of its own of the service systemd-user: its /tmp is the login's with method
// user, and what is mounted in the one isn't seen in the other.
func testUserManager(t *testing.T, m *Machine) {
	const unit = "user@1001.service"
	alice := open(t, m, ways[0], "alice")
	script(t, alice.Shell, "echo mine >/tmp/x-manager")
	if state := run(t, m, "systemctl", "show", "--property=ActiveState", "--value", unit); state != "active" {
		t.Fatalf("%s is %s", unit, state)
	}
	if got := script(t, alice.Shell, "systemctl --user is-system-running"); got != "running" {
		t.Errorf("the manager of alice is %s", got)
	}
	const service = "systemd-run --user --quiet --wait --pipe "
	if got := script(t, alice.Shell, service+"readlink /proc/self/ns/mnt"); got == alice.namespace {
		t.Errorf("the manager of alice is in the namespace of her login")
	}
	if got := script(t, alice.Shell, service+"cat /tmp/x-manager; rm /tmp/x-manager"); got != "mine" {
		t.Errorf("a service of alice reads %q from her /tmp, want mine", got)
	}
	if got := script(t, alice.Shell, service+"printenv GONS_USER"); got != "alice" {
		t.Errorf("a service of alice has %q of the environment, want alice", got)
	}
	pid := script(t, alice.Shell, "echo $$; mkdir -p ~/disk")
	run(t, m, "nsenter", "--target", pid, "--mount", "mount", "-t", "tmpfs", "alice", "/home/alice/disk")
	if parseMounts(script(t, alice.Shell, service+"cat /proc/self/mountinfo")).has("/home/alice/disk") {
		t.Errorf("a service of alice sees what is mounted in her login")
	}
	alice.logout(t)
	checkJournal(t, m)
}

// testRestartSSH: sessions outlive their sshd, and a new one opens more.
func testRestartSSH(t *testing.T, m *Machine) {
	old := open(t, m, ways[0], "alice")
	run(t, m, "systemctl", "restart", "ssh.service")
	for _, s := range []*session{old, open(t, m, ways[0], "alice")} {
		checkDirectory(t, m, s, "/tmp", "/tmp-inst")
		s.logout(t)
	}
}

// testReboot: a machine goes down with a user logged in, whose sessions, that of
// the user manager too, leave nothing, and the next boot is like the first; what cron runs at boot waits for gons-boot.service.
func testReboot(t *testing.T, m *Machine, before observation) {
	put(t, m, File{Path: "/etc/cron.d/gons-test", Mode: 0o644, Content: []byte(cronJob)})
	alice := open(t, m, ways[0], "alice")
	script(t, alice.Shell, "echo mine >/tmp/x-reboot")
	private := sessionMounts(t, alice.Shell).root("/var/tmp")
	if err := m.Reboot(); err != nil {
		t.Fatal(err)
	}
	_ = alice.Close()
	eventually(t, "cron has run a job of alice", func() error {
		_, err := m.Run("test", "-e", "/home/alice/cron")
		return err
	})
	mounts := parseMounts(run(t, m, "cat", "/home/alice/cron"))
	if got := mounts.root("/tmp"); got != "/tmp-inst/alice" {
		t.Errorf("mounted on /tmp in a job of cron is %q, want /tmp-inst/alice", got)
	}
	run(t, m, "rm", "/etc/cron.d/gons-test")
	checkGone(t, m, private)
	checkNothingLeft(t, m, before)
	next := open(t, m, ways[0], "alice")
	if got := script(t, next.Shell, "cat /tmp/x-reboot; rm /tmp/x-reboot"); got != "mine" {
		t.Errorf("after the reboot alice reads %q from her /tmp, want mine", got)
	}
	next.logout(t)
	keepPromises(t, m, ways[0])
}

// session is a login of a user that runs what the test says.
type session struct {
	*Shell
	user      string
	namespace string // its mount namespace, as in /proc/PID/ns/mnt
	end       func() // waits for the login to end
}

// open logs a user in, in one of the ways. A relay, two pipes that the command
// of the login reads and writes, makes a Shell of each way.
func open(t *testing.T, m *Machine, w way, user string) *session {
	t.Helper()
	relay := run(t, m, "sh", "-euc", `
		mkdir -p /run/vm; relay=$(mktemp -d /run/vm/XXXXXX); chmod 755 $relay
		mkfifo -m 600 $relay/in $relay/out; chown $1 $relay/in $relay/out; echo $relay`, "sh", user)
	// The relay opens one pipe for both, so that neither side waits in an open that a signal might interrupt.
	shell, err := m.startShell("sh", "-c", `
		exec 3<>$0/in; cat $0/out 3>&- & cat >&3; exec 3>&-; wait`, relay)
	if err != nil {
		t.Fatal(err)
	}
	end := w.start(t, m, user, fmt.Sprintf("exec sh <%s/in >%s/out 2>&1", relay, relay))
	if err := shell.await(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shell.Close() })
	shell.what = user + " by " + w.name
	return &session{Shell: shell, user: user, end: end, namespace: script(t, shell, "readlink /proc/self/ns/mnt")}
}

// logout ends a session and waits until its login has ended.
func (s *session) logout(t *testing.T) {
	t.Helper()
	logout(t, s.Shell)
	s.end()
}

// login opens a session by ssh, the plainest way.
func login(t *testing.T, m *Machine, user string) *Shell {
	t.Helper()
	return shell(t, m, "ssh", user+"@127.0.0.1", "sh")
}

// logout closes a shell; that must succeed.
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

// checkGone waits until a path doesn't exist on the host: sshd closes a
// session a moment after the client has left.
func checkGone(t *testing.T, m *Machine, path string) {
	t.Helper()
	eventually(t, path+" is gone", func() error {
		_, err := m.Run("test", "!", "-e", path)
		return err
	})
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
