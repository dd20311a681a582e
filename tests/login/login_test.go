package login_test

import (
	"os"
	"os/exec"
	"testing"
)

// login are the ways to log in on a terminal.
var login = map[string]host{
	"-f":       {service: "login", login: reach(loginForced), attempt: try(loginForced)},
	"password": {service: "login", login: reach(loginAsked), attempt: try(loginAsked)},
}

// loginForced starts login as a getty does that logs somebody in without asking.
func loginForced(t testing.TB, user string) *dialogue {
	t.Helper()
	return onTerminal(t, loginCommand("-f", user))
}

func loginAsked(t testing.TB, user string) *dialogue {
	t.Helper()
	d := onTerminal(t, loginCommand())
	d.expect(t, "login: ")
	d.send(t, user)
	d.expect(t, "Password: ")
	d.send(t, password(user))
	return d
}

func loginCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("/bin/login", args...)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "TERM=dumb")
	return cmd
}

func reach(begin func(testing.TB, string) *dialogue) func(testing.TB, string) *shell {
	return func(t testing.TB, user string) *shell {
		t.Helper()
		d := begin(t, user)
		d.expect(t, prompt)
		return &shell{d}
	}
}

// try types a command when it comes to that.
func try(begin func(testing.TB, string) *dialogue) func(testing.TB, string, string) string {
	return func(t testing.TB, user, command string) string {
		t.Helper()
		d := begin(t, user)
		before, ok := d.await(t, prompt)
		if ok {
			d.send(t, command+"; exit")
		}
		return before + d.wait(t)
	}
}

func TestLogin(t *testing.T) {
	for name, h := range login {
		t.Run(name, func(t *testing.T) { checkSessions(t, h) })
	}
}

func TestLoginRefused(t *testing.T) {
	for name, h := range login {
		t.Run(name, func(t *testing.T) { checkRefusal(t, h) })
	}
}

func TestLoginKilled(t *testing.T) { checkKilled(t, login["-f"]) }
