package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gons/internal/exitstatus"
	"gons/internal/linux"
	"gons/internal/live"
	"gons/internal/login"
	"gons/internal/safepath"
	"gons/internal/session"
)

type enterFlags struct{ asUser, trust bool }

func newEnter() *cobra.Command {
	var f enterFlags
	cmd := &cobra.Command{
		Use:   "enter SESSION|USER|PID|FILE [--] [COMMAND [ARG...]]",
		Short: "Run a command, or a shell, in the mount namespace of a session, a process or a file",
		Long: `Runs COMMAND, a shell without one, in the mount namespace of the session with that id, or a beginning of it; of the one
session that the USER has open; of the process PID; or that FILE is, as "gons run --persist" makes them.
An argument with a "/" is a FILE, one of digits alone a PID. Needs root.
The exit status is the command's; 125 when gons fails, 126 when the command can't be executed, 127 when it isn't there.`,
		Example: "  gons enter alice -- ls -l /tmp\n  gons enter --as-user alice",
	}
	cmd.Flags().BoolVarP(&f.asUser, "as-user", "u", false, "as the session's user, or that of the process, with a login's environment, from the user's home")
	cmd.Flags().BoolVar(&f.trust, "trust", false, "as root, also into a namespace that a user has made, and could have filled with other programs")
	cmd.ValidArgsFunction = completeTargets
	return runs(cmd, func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("what to enter is missing: a session, a user, a process or a file")
		}
		return enter(cmd, args[0], afterDashes(args[1:]), f)
	})
}

// afterDashes takes away the "--" before a command: flags end with the first argument, so that it is handed on.
func afterDashes(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

// visit is where enter goes, and as whom.
type visit struct {
	place *live.Place
	who   *login.Person // nil for root
}

func enter(cmd *cobra.Command, what string, command []string, f enterFlags) error {
	if linux.EffectiveUID() != 0 {
		return fmt.Errorf("cannot enter %s: only root can enter a namespace: %w", what, os.ErrPermission)
	}
	v, err := find(what, f)
	if err != nil {
		return err
	}
	if err := trusted(v, what, f); err != nil {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "/"
	}
	runtime.LockOSThread() // and never unlocked: the thread goes to another namespace, and becomes the command
	if err := linux.EnterMountNamespace(v.place.Namespace, nil); err != nil {
		return fmt.Errorf("cannot enter %s: %w", what, err)
	}
	if v.who != nil {
		return executeAs(cmd, v.who, command)
	}
	goTo(cwd)
	return executeAsRoot(command)
}

// trusted refuses to run root's command in a namespace of a user's user namespace: the user decides there what /bin/ls is.
// That is so with --as-user too where the process is root's, as one who has gone there by nsenter(1).
func trusted(v visit, what string, f enterFlags) error {
	if f.trust || v.who != nil && v.who.UID != 0 {
		return nil
	}
	own, err := v.place.Namespace.OwnNamespace()
	if err != nil {
		return fmt.Errorf("cannot tell who made the namespace of %s: %w", what, err)
	}
	if !own {
		return &untrustedError{what}
	}
	return nil
}

// untrustedError says that a namespace is a user's.
type untrustedError struct{ what string }

// Error names it.
func (e *untrustedError) Error() string {
	return fmt.Sprintf("cannot enter %s as root: a user made that namespace, and could have put other programs in the place of the system's", e.what)
}

// find opens the namespace that is meant, and finds out who to be in it.
func find(what string, f enterFlags) (visit, error) {
	switch {
	case strings.Contains(what, "/"):
		return findFile(what, f)
	case strings.Trim(what, "0123456789") == "" && what != "":
		return findProcess(what, f)
	}
	return findSession(what, f)
}

func findFile(file string, f enterFlags) (visit, error) {
	if f.asUser {
		return visit{}, fmt.Errorf("--as-user is for sessions and processes: a file has no user")
	}
	place, err := live.OfFile(file)
	return visit{place, nil}, err
}

func findProcess(number string, f enterFlags) (visit, error) {
	pid, err := strconv.Atoi(number)
	if err != nil || pid < 1 {
		return visit{}, fmt.Errorf("%s is not the number of a process", number)
	}
	place, err := live.OfProcess(pid)
	if err != nil || !f.asUser {
		return visit{place, nil}, err
	}
	uid, err := place.Owner()
	if err != nil {
		return visit{}, err
	}
	who, err := login.WithID(uid)
	return visit{place, who}, err
}

func findSession(what string, f enterFlags) (visit, error) {
	all, failed := sessions()
	if len(all) == 0 && len(failed) > 0 {
		return visit{}, errors.Join(failed...)
	}
	s, err := only(live.Match(all, what), what, all)
	if err != nil {
		return visit{}, err
	}
	place, err := live.Find(s, session.Proc{})
	if err != nil || !f.asUser {
		return visit{place, nil}, err
	}
	who, err := login.NamedWithID(s.User, s.UID)
	return visit{place, who}, err
}

// only is the one session that is meant. Of several in one namespace, any will do; of others none is chosen, for a guess
// would run a command in the wrong one.
func only(found []live.Session, what string, all []live.Session) (live.Session, error) {
	var open []live.Session
	for _, s := range found {
		if s.State == live.Open || s.State == live.Kept || s.State == live.Unknown {
			open = append(open, s)
		}
	}
	if len(open) == 0 && len(found) > 0 {
		return live.Session{}, fmt.Errorf("session %s of %s is %s: there is nothing to enter", found[0].ID, found[0].User, found[0].State)
	}
	if len(open) == 0 {
		return live.Session{}, noSession(what)
	}
	for _, s := range open {
		if s.Namespace != open[0].Namespace {
			return live.Session{}, &severalError{what, open, all}
		}
	}
	return open[0], nil
}

// severalError says that more than one session is meant.
type severalError struct {
	what       string
	found, all []live.Session
}

// Error lists them.
func (e *severalError) Error() string {
	var lines []string
	for _, s := range e.found {
		lines = append(lines, fmt.Sprintf("  %s  %s  %s  since %s", live.Short(s.ID, e.all), shown(s.Service), orDash(s.TTY),
			s.Opened.Local().Format("2006-01-02 15:04:05")))
	}
	return fmt.Sprintf("%d sessions are meant by %q:\n%s", len(e.found), e.what, strings.Join(lines, "\n"))
}

// goTo goes to the caller's working directory by its name in the namespace, where only root can have said what that is;
// else the working directory stays the namespace's root.
func goTo(cwd string) {
	root, err := safepath.OpenRoot()
	if err != nil {
		return
	}
	defer root.Close()
	dir, err := root.Open(cwd)
	if err != nil {
		return
	}
	defer dir.Close()
	if dir.Trusted {
		_ = dir.Enter()
	}
}

func executeAsRoot(command []string) error {
	if len(command) == 0 {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		command = []string{shell}
	}
	return execute(command[0], command, os.Environ())
}

// executeAs becomes the user and runs the command, or a login shell, from the home.
// What root has open isn't the user's.
func executeAs(cmd *cobra.Command, who *login.Person, command []string) error {
	if err := linux.CloseOnExecute(); err != nil {
		return err
	}
	if err := linux.BecomeUser(who.UID, who.GID, who.Groups); err != nil {
		return fmt.Errorf("cannot become user %s: %w", who.Name, err)
	}
	if err := os.Chdir(who.Home); err != nil {
		warn(cmd, fmt.Sprintf("staying in /: %v", err))
	}
	program, argv := who.Command(command)
	return execute(program, argv, who.Environment(os.Environ()))
}

// execute becomes a program, which is looked for in the PATH of env; an error has the status that says why not.
func execute(name string, argv, env []string) error {
	path, err := login.LookPath(name, env)
	if err == nil {
		err = linux.Execute(path, argv, env)
	}
	status, why := exitstatus.OfExecution(err), ""
	if status == exitstatus.NotFound {
		why = "it isn't there: "
	}
	return &statusError{status, fmt.Errorf("cannot run %s: %s%w", name, why, err)}
}
