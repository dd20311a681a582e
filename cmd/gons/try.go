package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"gons/internal/exitstatus"
	"gons/internal/linux"
	"gons/internal/login"
	"gons/internal/pamstack"
	"gons/internal/safepath"
)

// libexecDir is where make install puts gons-try; set by the Makefile when it builds. Beside gons itself is where it builds it,
// and for a PREFIX that is given to make install alone it is below that of gons.
var libexecDir = ""

type tryFlags struct{ user, service, tty, rhost string }

func newTry() *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use:   "try --user USER [--service SERVICE] [--] [COMMAND [ARG...]]",
		Short: "Open a real PAM session, run a command in it, and close it",
		Long: `Opens a session for USER as SERVICE does for one who has logged in, through libpam and all modules of the service's
stack, runs COMMAND, or a login shell, in it as the user, and closes it. So a stack can be tried before anybody has to log
in by it. Nobody is asked for a password. Where no session opens, it prints what the module would have done. Needs root.
The exit status is the command's, 128 and the number of the signal that ended it; 125 when gons fails, 126 when the command
can't be executed, 127 when it isn't there.`,
		Example: "  gons try --user alice --service sshd -- ls -la /tmp",
	}
	cmd.Flags().StringVar(&f.user, "user", "", "the `USER` whose session it is")
	cmd.Flags().StringVar(&f.service, "service", "login", "the PAM `SERVICE`, a file name in /etc/pam.d")
	cmd.Flags().StringVar(&f.tty, "tty", "", "the terminal `TTY` (PAM_TTY); that of the caller by default")
	cmd.Flags().StringVar(&f.rhost, "rhost", "", "the `HOST` that the user comes from (PAM_RHOST)")
	completeFlags(cmd)
	return runs(cmd, func(cmd *cobra.Command, args []string) error {
		if f.user == "" {
			return errors.New("--user is missing: whose session to open")
		}
		return try(cmd, afterDashes(args), f)
	})
}

func try(cmd *cobra.Command, command []string, f tryFlags) error {
	if linux.EffectiveUID() != 0 {
		return fmt.Errorf("cannot open a session for %s: only root can: %w", f.user, os.ErrPermission)
	}
	if _, err := user.Lookup(f.user); err != nil {
		return err
	}
	stack, err := sessionStack(f.service)
	if err != nil {
		return err
	}
	helper, err := findHelper()
	if err != nil {
		return err
	}
	if f.tty == "" {
		f.tty = callersTerminal()
	}
	status, err := runHelper(helper, append([]string{"gons-try", "-tty", f.tty, "-rhost", f.rhost, "--", f.service, f.user}, command...))
	switch {
	case err != nil:
		return fmt.Errorf("cannot run %s: %w", helper, err)
	case status == exitstatus.NoSession:
		explain(cmd, f, stack)
		return &statusError{status: exitstatus.Failed}
	case status != 0:
		return &statusError{status: status}
	}
	return nil
}

// sessionStack is what the service runs for sessions. Where it has no file, PAM takes that of "other", which is hardly ever
// meant.
func sessionStack(service string) (pamstack.Stack, error) {
	root, err := safepath.OpenRoot()
	if err != nil {
		return pamstack.Stack{}, err
	}
	defer root.Close()
	stack, err := pamstack.Read(safepath.Files{Root: root}, service, "session")
	if errors.Is(err, fs.ErrNotExist) {
		return stack, &noServiceError{service}
	}
	return stack, err
}

// noServiceError says that PAM knows no such service.
type noServiceError struct{ service string }

// Error names it.
func (e *noServiceError) Error() string {
	return fmt.Sprintf("there is no PAM service %q: no such file in /etc/pam.d or /usr/lib/pam.d", e.service)
}

func findHelper() (string, error) {
	var tried []string
	if libexecDir != "" {
		tried = append(tried, filepath.Join(libexecDir, "gons-try"))
	}
	if self, err := os.Executable(); err == nil {
		dir := filepath.Dir(self)
		tried = append(tried, filepath.Join(dir, "gons-try"), filepath.Join(dir, "../libexec/gons/gons-try"))
	}
	for _, file := range tried {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("cannot find gons-try, which belongs to gons: it is none of %s", strings.Join(tried, ", "))
}

// callersTerminal is the terminal of standard input as su names it, "pts/3"; "" where there is none.
func callersTerminal() string {
	name, err := os.Readlink("/proc/self/fd/0")
	rest, ok := strings.CutPrefix(name, "/dev/")
	if err != nil || !ok || !strings.HasPrefix(rest, "pts/") && !strings.HasPrefix(rest, "tty") {
		return ""
	}
	return rest
}

// runHelper runs gons-try and returns its exit status. Signals are passed on, so that the session is closed.
func runHelper(path string, argv []string) (int, error) {
	runtime.LockOSThread() // its death would be the helper's
	signals := login.Catch()
	helper, err := linux.StartAs(path, argv, os.Environ(), ".", 0, 0)
	if err != nil {
		return 0, err
	}
	stop := signals.PassOn(helper)
	defer stop()
	exit, err := helper.Wait()
	if exit.Signal != nil {
		return 0, fmt.Errorf("it was ended by %s", linux.SignalName(exit.Signal))
	}
	return exit.Status, err
}

// explain prints, after a session that didn't open, what the module was to do, or why it couldn't.
func explain(cmd *cobra.Command, f tryFlags, stack pamstack.Stack) {
	errs := cmd.ErrOrStderr()
	at := stack.Find("pam_gons.so")
	if len(at) == 0 {
		fmt.Fprintf(errs, "gons: %s has no line for pam_gons.so: the failure is another module's\n", f.service)
		return
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return
	}
	defer root.Close()
	rule := stack.Rules[at[0]]
	plan, err := makePlan(root, planFlags{user: f.user, service: f.service, requester: "root", options: rule.Args})
	if err != nil {
		fmt.Fprintf(errs, "gons: pam_gons, %s, can't open the session: %v\n", rule.Where(), err)
		return
	}
	fmt.Fprintf(errs, "gons: the system log (authpriv) says which module failed; pam_gons, %s, was to do this:\n%s", rule.Where(), plan)
}
