package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"gons/internal/graft"
	"gons/internal/linux"
	"gons/internal/live"
	"gons/internal/safepath"
	"gons/internal/session"
)

// aim says which sessions mount and umount are for.
type aim struct{ user, session string }

type mountFlags struct {
	aim
	recursive, readOnly bool
}

func newMount() *cobra.Command {
	var f mountFlags
	cmd := &cobra.Command{
		Use:   "mount SOURCE TARGET --user USER | --session SESSION",
		Short: "Put a directory, a file or a volume into the open sessions of a user",
		Long: `Mounts what is at SOURCE, a directory or a file as this program sees it, on TARGET in every open session of a user, or in one
session: in all of them, or on an error in none. TARGET must be there. Nothing of it is seen outside of those sessions, and
sessions that are opened later don't have it, unless they share the namespace. It goes with the session, or by "gons umount". Needs root.`,
		Example: "  gons mount /dev/mapper-mounts/alice /home/alice/vault --user alice",
		Args:    cobra.ExactArgs(2),
		RunE:    func(cmd *cobra.Command, args []string) error { return mountInto(cmd, args[0], args[1], f) },
	}
	f.aim.flags(cmd)
	cmd.Flags().BoolVarP(&f.recursive, "recursive", "r", false, "with all that is mounted below SOURCE")
	cmd.Flags().BoolVar(&f.readOnly, "read-only", false, "so that nobody can change it there")
	return cmd
}

func newUmount() *cobra.Command {
	var a aim
	cmd := &cobra.Command{
		Use:   "umount TARGET --user USER | --session SESSION",
		Short: "Take away what gons mount has put into sessions",
		Long: `Takes away what "gons mount" has put on TARGET in the sessions of a user, or in one session; processes that use it go on with
what they have open. Nothing else is ever unmounted. Needs root.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return umountFrom(args[0], a) },
	}
	a.flags(cmd)
	return cmd
}

func (a *aim) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.user, "user", "", "in the sessions of the `USER`")
	cmd.Flags().StringVar(&a.session, "session", "", "in the `SESSION` with that id, or a beginning of it")
	cmd.MarkFlagsOneRequired("user", "session")
	cmd.MarkFlagsMutuallyExclusive("user", "session")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("user", completeUsers))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("session", completeSessions))
}

// mountInto opens the source before any thread leaves this namespace.
func mountInto(_ *cobra.Command, source, target string, f mountFlags) error {
	target, err := graft.Clean(target)
	if err != nil {
		return err
	}
	if source, err = filepath.Abs(source); err != nil {
		return err
	}
	what, err := linux.OpenPath(source)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", source, err)
	}
	defer what.Close()
	scion := graft.Scion{Source: what, Path: source, Recursive: f.recursive}
	if f.readOnly {
		scion.Attributes = linux.ReadOnly
	}
	return f.aim.each(func(store *session.Store, in []live.Session) error { return graft.Mount(store, in, scion, target) })
}

func umountFrom(target string, a aim) error {
	target, err := graft.Clean(target)
	if err != nil {
		return err
	}
	return a.each(func(store *session.Store, in []live.Session) error { return graft.Unmount(store, in, target) })
}

// each calls f with the sessions that are meant, of which there must be one.
func (a aim) each(f func(*session.Store, []live.Session) error) error {
	if linux.EffectiveUID() != 0 {
		return fmt.Errorf("cannot mount in sessions: only root can: %w", os.ErrPermission)
	}
	runtime.LockOSThread() // what is mounted is of this thread's namespace
	defer runtime.UnlockOSThread()
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	store, err := session.Open(root)
	if err != nil {
		return err
	}
	defer store.Close()
	all, failed := live.All(store, session.Proc{})
	var meant []live.Session
	for _, s := range live.Match(all, a.user+a.session) {
		if s.State == live.Open && (a.user == "" || s.User == a.user) {
			meant = append(meant, s)
		}
	}
	if len(meant) == 0 {
		return errors.Join(append(failed, noSession(a.user+a.session))...)
	}
	if a.session != "" && len(meant) > 1 {
		return &severalError{a.session, meant, all}
	}
	return f(store, meant)
}
