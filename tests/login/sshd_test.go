package login_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gons/tests/sandbox"
)

const sshDir = "/etc/gons-test-ssh"

// sshPort is where the sshd of the running test listens.
var sshPort int

// startSshd starts an sshd of the test's own, which ends with the test.
func startSshd(t testing.TB, _ ...string) {
	t.Helper()
	makeKeys(t)
	sshPort = freePort(t)
	sandbox.Write(t, sshDir+"/sshd_config", fmt.Sprintf(`ListenAddress 127.0.0.1:%d
HostKey %s/host
AuthorizedKeysFile %s/user.pub
PidFile none
UsePAM yes
KbdInteractiveAuthentication yes
Subsystem sftp /usr/lib/openssh/sftp-server
`, sshPort, sshDir, sshDir), 0o644)
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-f", sshDir+"/sshd_config")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	poll(t, "sshd listens", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", sshPort))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// makeKeys makes keys for the host and the users, and programs that type the users' passwords.
func makeKeys(t testing.TB) {
	t.Helper()
	for _, user := range []string{"alice", "bob"} {
		sandbox.Write(t, askpass(user), fmt.Sprintf("#!/bin/sh\necho %q\n", password(user)), 0o755)
	}
	for _, name := range []string{"host", "user"} {
		if _, err := os.Stat(sshDir + "/" + name); err == nil {
			continue
		}
		must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", sshDir+"/"+name)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// sshClient is ssh or sftp, with the options that both have.
func sshClient(program, user, authentication string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, append([]string{
		"-F", "none", "-q", "-i", sshDir + "/user", "-o", "IdentitiesOnly=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PreferredAuthentications=" + authentication, "-o", "NumberOfPasswordPrompts=1",
		"-o", fmt.Sprint("Port=", sshPort), "-o", "User=" + user}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/root", "SSH_ASKPASS=" + askpass(user), "SSH_ASKPASS_REQUIRE=force"}
	return cmd
}

func askpass(user string) string { return sshDir + "/askpass-" + user }

func sshHost(authentication string, terminal bool) host {
	option, begin := "-T", onPipes
	if terminal {
		option, begin = "-tt", onTerminal
	}
	return host{
		service: "sshd",
		start:   startSshd,
		login: func(t testing.TB, user string) *shell {
			t.Helper()
			return &shell{begin(t, sshClient("ssh", user, authentication, option, "127.0.0.1"))}
		},
		attempt: func(t testing.TB, user, command string) string {
			t.Helper()
			return begin(t, sshClient("ssh", user, authentication, option, "127.0.0.1", command)).wait(t)
		},
	}
}

var ssh = map[string]host{
	"key":                            sshHost("publickey", false),
	"key, terminal":                  sshHost("publickey", true),
	"password":                       sshHost("password", false),
	"keyboard-interactive, terminal": sshHost("keyboard-interactive", true),
}

func TestSshd(t *testing.T) {
	for name, h := range ssh {
		t.Run(name, func(t *testing.T) { checkSessions(t, h) })
	}
}

func TestSshdRefused(t *testing.T) {
	for name, h := range ssh {
		t.Run(name, func(t *testing.T) { checkRefusal(t, h) })
	}
}

func TestSshdKilled(t *testing.T) { checkKilled(t, ssh["key, terminal"]) }

// TestSftp moves files to and from the session's /tmp.
func TestSftp(t *testing.T) {
	prepare(t, ssh["key"], methods)
	sandbox.Write(t, "/root/batch", "put /etc/hostname /tmp/sent\nput /etc/hostname /var/tmp/sent\nls /tmp\nget /tmp/sent /root/back\n", 0o600)
	out, err := sshClient("sftp", "alice", "publickey", "-b", "/root/batch", "127.0.0.1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "/tmp/sent") {
		t.Fatalf("sftp: %v\n%s", err, out)
	}
	must(t, "cmp", "/etc/hostname", "/root/back")
	must(t, "cmp", "/etc/hostname", "/tmp-inst/alice/sent")
	nothingLeft(t)
	configure(t, "broken")
	if out, err := sshClient("sftp", "alice", "publickey", "-b", "/root/batch", "127.0.0.1").CombinedOutput(); err == nil {
		t.Errorf("sftp with a broken configuration:\n%s", out)
	}
	nothingLeft(t)
}

// TestSshdManySessions shares one connection: sshd opens one PAM session for it, so all its channels see one /tmp, and
// the last one's end is the session's.
func TestSshdManySessions(t *testing.T) {
	prepare(t, ssh["key"], methods)
	socket := []string{"-o", "ControlPath=/root/control"}
	master := &shell{onPipes(t, sshClient("ssh", "alice", "publickey", append(socket, "-M", "-T", "127.0.0.1")...))}
	master.run(t, "echo 1 > /var/tmp/first")
	channel := &shell{onPipes(t, sshClient("ssh", "alice", "none", append(socket, "-T", "127.0.0.1")...))}
	if got := channel.run(t, "ls /var/tmp"); got != "first" {
		t.Errorf("the second channel sees %q", got)
	}
	channel.logout(t)
	if got := master.run(t, "ls /var/tmp"); got != "first" {
		t.Errorf("after the second channel's end, the first one sees %q", got)
	}
	master.logout(t)
	nothingLeft(t)
}
