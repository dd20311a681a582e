package vm

// This file is about the ways to log in. Each starts a login in which a given
// command runs; session_test.go makes a shell of that.

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// way is one kind of login.
type way struct {
	name  string
	quick bool // part of the quick tier
	// start begins a login of user in which the line of shell, command, runs. What
	// it returns waits for the login to end, once command has ended.
	start func(t *testing.T, m *Machine, user, command string) (end func())
	// late says that whoever closes the session isn't root any more, so that what
	// it left on disk is removed by gons clean.
	late bool
	// outlives says that the session is closed by the time that command is used,
	// and that its processes live on.
	outlives bool
}

// ways are the kinds of login that every promise is made for.
var ways = []way{
	{name: "ssh, key", quick: true, start: startSSH},
	{name: "ssh, password", start: startSSHPassword},
	{name: "ssh host command", quick: true, start: startSSHCommand},
	{name: "sftp", start: startSFTP},
	{name: "console", start: startConsole},
	{name: "su from root", quick: true, start: startAsRoot("su", "USER", "-c")},
	{name: "su - from root", start: startAsRoot("su", "-", "USER", "-c")},
	{name: "su from a user", start: startFromBob("echo " + password + " | su USER -c")},
	{name: "su - from a user", quick: true, start: startFromBob("echo " + password + " | su - USER -c")},
	{name: "sudo", quick: true, start: startFromBob("sudo -u USER sh -c")},
	{name: "sudo -i", start: startFromBob("sudo -i -u USER sh -c")},
	{name: "cron", quick: true, start: startCron},
	{name: "at", start: startAt},
	{name: "systemctl --user", late: true, start: startUserService},
	{name: "systemd-run --user", quick: true, late: true, start: startUserRun},
	{name: "systemd-run PAMName=", late: true, start: startAsRoot("systemd-run", "--quiet", "--wait", "--pipe",
		"--collect", "--property=PAMName=login", "--uid=USER", "sh", "-c")},
	{name: "machinectl shell", late: true, start: startMachinectl},
	{name: "tmux", outlives: true, start: startDetached("tmux new-session -d")},
	{name: "screen", outlives: true, start: startDetached("screen -dm sh -c")},
}

// process is a command that runs while the test does other things.
type process struct {
	what   string
	stdin  io.WriteCloser
	output console
	done   chan error
}

// background starts a command as root in the machine. The returned process is
// killed at the end of the test, unless it has ended before.
func background(t *testing.T, m *Machine, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := m.Command(ctx, args...)
	p := &process{what: strings.Join(args, " "), done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	var err error
	if p.stdin, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatalf("cannot start %s: %v", p.what, err)
	}
	go func() { p.done <- cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		m.record.add("background", p.what, p.output.String(), nil)
	})
	return p
}

// end closes the command's input and waits until it has ended, with status 0.
func (p *process) end(t *testing.T) {
	t.Helper()
	_ = p.stdin.Close()
	select {
	case err := <-p.done:
		if err != nil {
			t.Errorf("%s: %v\n%s", p.what, err, p.output.String())
		}
	case <-time.After(commandDeadline):
		t.Errorf("%s doesn't end:\n%s", p.what, p.output.String())
	}
}

// startArgs runs args with the command as the last one, as root.
func startArgs(t *testing.T, m *Machine, args ...string) func() {
	t.Helper()
	p := background(t, m, args...)
	return func() { p.end(t) }
}

// startAsRoot is a way in which root runs args and the command.
func startAsRoot(args ...string) func(*testing.T, *Machine, string, string) func() {
	return func(t *testing.T, m *Machine, user, command string) func() {
		named := make([]string, 0, len(args)+1)
		for _, arg := range args {
			named = append(named, strings.ReplaceAll(arg, "USER", user))
		}
		return startArgs(t, m, append(named, command)...)
	}
}

// startFromBob is a way in which bob, logged in by ssh, runs prefix and the
// command.
func startFromBob(prefix string) func(*testing.T, *Machine, string, string) func() {
	return func(t *testing.T, m *Machine, user, command string) func() {
		return startArgs(t, m, "ssh", "bob@127.0.0.1", strings.ReplaceAll(prefix, "USER", user)+" '"+command+"'")
	}
}

// startSSH types the command at a login shell on a terminal.
func startSSH(t *testing.T, m *Machine, user, command string) func() {
	p := background(t, m, "ssh", "-tt", user+"@127.0.0.1")
	if _, err := io.WriteString(p.stdin, command+"\n"); err != nil {
		t.Fatal(err)
	}
	return func() { p.end(t) }
}

func startSSHCommand(t *testing.T, m *Machine, user, command string) func() {
	return startArgs(t, m, "ssh", user+"@127.0.0.1", command)
}

func startSSHPassword(t *testing.T, m *Machine, user, command string) func() {
	return startArgs(t, m, "env", "SSH_ASKPASS=/root/askpass", "SSH_ASKPASS_REQUIRE=force", "ssh",
		"-o", "BatchMode=no", "-o", "PubkeyAuthentication=no",
		"-o", "PreferredAuthentications=password,keyboard-interactive", user+"@127.0.0.1", command)
}

// startSFTP has sftp put a file into /tmp, and runs the command beside its
// server, in the server's namespace.
func startSFTP(t *testing.T, m *Machine, user, command string) func() {
	p := background(t, m, "sftp", "-q", user+"@127.0.0.1")
	if _, err := io.WriteString(p.stdin, "put /etc/hostname /tmp/by-sftp\n"); err != nil {
		t.Fatal(err)
	}
	var server string
	eventually(t, "sftp has put a file", func() (err error) {
		if server, err = m.Run("pgrep", "--newest", "--uid", user, "sftp-server"); err == nil {
			_, err = m.Run("test", "-s", "/tmp-inst/"+user+"/by-sftp")
		}
		return err
	})
	beside := background(t, m, "nsenter", "--target", server, "--mount",
		"setpriv", "--reuid", user, "--regid", user, "--init-groups", "sh", "-c", command)
	return func() {
		beside.end(t)
		p.end(t)
	}
}

// startConsole logs in where a getty waits.
func startConsole(t *testing.T, m *Machine, user, command string) func() {
	seen := len(m.Console())
	for _, step := range []struct{ text, prompt string }{
		{"\n", "login: "}, {user + "\n", "assword: "}, {password + "\n", "$ "}, {command + "\n", "exec"},
	} {
		err := m.Type(step.text)
		if err == nil {
			seen, err = m.AwaitConsole(seen, step.prompt)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if _, err := m.AwaitConsole(seen, "login: "); err != nil {
			t.Error(err)
		}
	}
}

// startCron has cron run the command as a job of a boot, which is the only
// kind that it doesn't wait with for the next minute.
func startCron(t *testing.T, m *Machine, user, command string) func() {
	put(t, m, File{Path: "/etc/cron.d/vm", Mode: 0o644, Content: []byte("@reboot " + user + " " + command + "\n")})
	run(t, m, "sh", "-c", "rm -f /run/crond.reboot; systemctl restart cron.service")
	return func() { run(t, m, "rm", "/etc/cron.d/vm") }
}

func startAt(t *testing.T, m *Machine, user, command string) func() {
	if _, err := m.RunWith(strings.NewReader(command+"\n"), "runuser", "-u", user, "--", "at", "now"); err != nil {
		t.Fatal(err)
	}
	return func() {}
}

// startUserService has the user's manager start a unit, from a login by ssh.
func startUserService(t *testing.T, m *Machine, user, command string) func() {
	home := "/home/" + user
	run(t, m, "runuser", "-u", user, "--", "sh", "-euc", `
		mkdir -p ~/.config/systemd/user
		printf '[Service]\nExecStart=/bin/sh -c "%s"\n' "$1" >~/.config/systemd/user/vm.service`, "sh", command)
	end := startArgs(t, m, "ssh", user+"@127.0.0.1", "systemctl --user daemon-reload; systemctl --user start --wait vm.service")
	return func() {
		end()
		run(t, m, "rm", "-r", home+"/.config")
	}
}

func startUserRun(t *testing.T, m *Machine, user, command string) func() {
	return startArgs(t, m, "ssh", user+"@127.0.0.1", "systemd-run --user --quiet --wait --pipe sh -c '"+command+"'")
}

func startMachinectl(t *testing.T, m *Machine, user, command string) func() {
	return startArgs(t, m, "machinectl", "--quiet", "shell", user+"@.host", "/bin/sh", "-c", command)
}

// startDetached is a way in which the command goes on without the login that
// has started it by ssh: when this returns, that has ended.
func startDetached(prefix string) func(*testing.T, *Machine, string, string) func() {
	return func(t *testing.T, m *Machine, user, command string) func() {
		// Debian 13's tmux is a part of the user manager, which ends soon after the
		// last login unless it lingers.
		run(t, m, "loginctl", "enable-linger", user)
		// They end when nobody has their terminal open any more: so without exec.
		run(t, m, "ssh", user+"@127.0.0.1", prefix+" '"+strings.TrimPrefix(command, "exec ")+"; :'")
		eventually(t, "the login of "+user+" by ssh has ended", func() error {
			if _, err := m.Run("pgrep", "--full", "sshd.*: "+user); err == nil {
				return errors.New("its sshd is there")
			}
			return nil
		})
		return func() { run(t, m, "loginctl", "disable-linger", user) }
	}
}
