// Command gons-try opens a PAM session for a user, runs a command in it, and closes it. It is what "gons try" runs: a
// program of its own, because it needs libpam, which every other start of gons would have to load for nothing.
//
//	gons-try [-tty TTY] [-rhost HOST] SERVICE USER [COMMAND [ARG...]]
//
// It does what su does for root, but for asking who one is: the account, the groups, the credentials, the session. The
// exit status is the command's, or 128 and the number of the signal that ended it; 124 when the session couldn't be
// opened, 125 for other failures, 126 when the command can't be executed, 127 when it isn't there.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/msteinert/pam/v2"

	"gons/internal/exitstatus"
	"gons/internal/linux"
	"gons/internal/login"
	"gons/internal/printable"
)

// The session is opened on the first thread, and closed there: the module moves the thread that asks into the session's
// namespace, and others look for the namespace of a process at its first thread.
func init() { runtime.LockOSThread() }

func main() {
	tty := flag.String("tty", "", "PAM_TTY")
	rhost := flag.String("rhost", "", "PAM_RHOST")
	flag.Parse()
	if flag.NArg() < 2 {
		say("usage: gons-try [-tty TTY] [-rhost HOST] SERVICE USER [COMMAND [ARG...]]")
		os.Exit(exitstatus.Failed)
	}
	t := trial{signals: login.Catch(), service: flag.Arg(0), items: map[pam.Item]string{pam.Tty: *tty, pam.Rhost: *rhost, pam.Ruser: "root"}}
	os.Exit(t.run(flag.Arg(1), flag.Args()[2:]))
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "gons: %s\n", printable.Line(fmt.Sprintf(format, args...)))
}

// trial is one session.
type trial struct {
	service string
	items   map[pam.Item]string
	who     *login.Person
	pam     *pam.Transaction
	signals login.Caught
}

func (t *trial) run(user string, command []string) int {
	var err error
	if t.who, err = login.Named(user); err != nil {
		say("%v", err)
		return exitstatus.Failed
	}
	if err := t.start(); err != nil {
		say("%v", err)
		return exitstatus.Failed
	}
	defer t.pam.End()
	if err := t.open(); err != nil {
		say("%v", err)
		return exitstatus.NoSession
	}
	status := 0
	if s := t.signals.Pending(); s != nil { // while modules were at work, which nothing interrupts
		status = 128 + linux.NumberOf(s)
	} else {
		status = t.command(command)
	}
	if err := t.close(); err != nil {
		say("%v", err)
		if status == 0 {
			status = exitstatus.Failed
		}
	}
	return status
}

func (t *trial) start() (err error) {
	t.pam, err = pam.StartFunc(t.service, t.who.Name, converse)
	if err != nil {
		return fmt.Errorf("cannot start PAM for service %s: %w", t.service, err)
	}
	for item, value := range t.items {
		if value == "" {
			continue
		}
		if err := t.pam.SetItem(item, value); err != nil {
			return fmt.Errorf("cannot set PAM item %d to %q: %w", item, value, err)
		}
	}
	return nil
}

// converse prints what modules have to say. There is nobody to answer: a session's modules have nothing to ask.
func converse(style pam.Style, text string) (string, error) {
	switch style {
	case pam.ErrorMsg, pam.TextInfo:
		fmt.Fprintf(os.Stderr, "PAM: %s\n", shown(text))
		return "", nil
	}
	say("PAM asks %q, and there is nobody to answer", text)
	return "", errors.New("nobody answers")
}

// shown keeps newlines and tabs of a message and no other control characters.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// open opens the session. That the account may not log in now doesn't keep root from trying it.
func (t *trial) open() error {
	if err := t.pam.AcctMgmt(0); err != nil {
		say("warning: %s would refuse the login of %s: %v (pam_acct_mgmt)", t.service, t.who.Name, err)
	}
	if err := linux.SetGroups(t.who.Groups); err != nil {
		return fmt.Errorf("cannot take the groups of %s: %w", t.who.Name, err)
	}
	if err := t.pam.SetCred(pam.EstablishCred); err != nil {
		say("warning: no credentials for %s: %v (pam_setcred)", t.who.Name, err)
	}
	if err := t.pam.OpenSession(0); err != nil {
		_ = t.pam.SetCred(pam.DeleteCred)
		return fmt.Errorf("%s opens no session for %s: %w (pam_open_session)", t.service, t.who.Name, err)
	}
	return nil
}

func (t *trial) close() error {
	err := t.pam.CloseSession(0)
	if err != nil {
		err = fmt.Errorf("the session of %s couldn't be closed: %w (pam_close_session)", t.who.Name, err)
	}
	_ = t.pam.SetCred(pam.DeleteCred)
	return err
}

// command runs what is to be run in the session, and returns the status that says how it ended.
func (t *trial) command(given []string) int {
	env, err := t.environment()
	if err != nil {
		say("%v", err)
		return exitstatus.Failed
	}
	program, argv := t.who.Command(given)
	path, err := login.LookPath(program, env)
	var child *linux.Process
	if err == nil {
		child, err = t.startAs(path, argv, env)
	}
	if err != nil {
		say("cannot run %s: %v", program, err)
		return exitstatus.OfExecution(err)
	}
	stop := t.signals.PassOn(child)
	exit, err := child.Wait()
	stop()
	if err != nil {
		say("cannot wait for %s: %v", program, err)
		return exitstatus.Failed
	}
	return exit.Status
}

// startAs starts the command in the user's home, or in / where that isn't to be had.
func (t *trial) startAs(path string, argv, env []string) (*linux.Process, error) {
	if info, err := os.Stat(t.who.Home); err == nil && info.IsDir() {
		if child, err := linux.StartAs(path, argv, env, t.who.Home, t.who.UID, t.who.GID); err == nil {
			return child, nil
		}
	}
	return linux.StartAs(path, argv, env, "/", t.who.UID, t.who.GID)
}

// environment is a login's, and what the modules have put into it.
func (t *trial) environment() ([]string, error) {
	set, err := t.pam.GetEnvList()
	if err != nil {
		return nil, fmt.Errorf("cannot get the environment from PAM: %w", err)
	}
	env := slices.DeleteFunc(t.who.Environment(os.Environ()), func(e string) bool {
		key, _, _ := strings.Cut(e, "=")
		_, again := set[key]
		return again
	})
	for key, value := range set {
		env = append(env, key+"="+value)
	}
	slices.Sort(env)
	return env, nil
}
