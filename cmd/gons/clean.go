package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/safepath"
	"gons/internal/session"
)

type cleanFlags struct {
	dryRun, instances, removedUsers, json bool
	olderThan, config                     string
}

func newClean() *cobra.Command {
	var f cleanFlags
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove what dead sessions left and, with --instances, old instances of users without a session",
		Long: `Removes what sessions left that ended without privilege, or were killed. With --instances, it also removes instances that
belong to one user, or to a session that is over, when that user has no session and nothing in them was changed for as
long as the configuration's retention says, or --older-than.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cleanAll(cmd, f) },
	}
	cmd.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "print what would be removed, and remove nothing")
	cmd.Flags().BoolVar(&f.instances, "instances", false, "also remove old instances, by the configuration's retention")
	cmd.Flags().StringVar(&f.olderThan, "older-than", "", "with --instances, for all directories: those unchanged for `TIME`, as 12h, 30d or 8w")
	cmd.Flags().BoolVar(&f.removedUsers, "removed-users", false, "with --instances, also those of users whom this machine doesn't know any more")
	configFlag(cmd, &f.config)
	jsonFlag(cmd, &f.json)
	return cmd
}

// cleaned is what clean did; its JSON is documented in gons(8).
type cleaned struct {
	DryRun    bool              `json:"dry_run"`
	Sessions  []cleanedSession  `json:"sessions"`
	Instances []cleanedInstance `json:"instances"`
}

type cleanedSession struct {
	ID   string `json:"id"`
	User string `json:"user"`
}

func cleanAll(cmd *cobra.Command, f cleanFlags) error {
	limit, err := config.Retention(f.olderThan)
	switch {
	case f.olderThan == "" && !f.removedUsers:
	case !f.instances:
		return errors.New("--older-than and --removed-users are for --instances")
	case f.olderThan != "" && err != nil:
		return fmt.Errorf("--older-than: %w", err)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	done := cleaned{f.dryRun, []cleanedSession{}, []cleanedInstance{}}
	var failed []error
	done.Sessions, err = cleanSessions(root, f.dryRun)
	failed = append(failed, err)
	if f.instances {
		done.Instances, err = cleanInstances(root, f, limit)
		failed = append(failed, err)
	}
	if f.json {
		return errors.Join(printJSON(cmd, done), errors.Join(failed...))
	}
	if n := done.print(cmd); n == 0 && errors.Join(failed...) == nil {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to do")
	}
	return errors.Join(failed...)
}

// print prints what was removed, and returns how much of it there was.
func (c cleaned) print(cmd *cobra.Command) (n int) {
	verb := "removed"
	if c.DryRun {
		verb = "would remove"
	}
	for _, s := range c.Sessions {
		fmt.Fprintf(cmd.OutOrStdout(), "%s what session %s of %s left\n", verb, s.ID, shown(s.User))
	}
	for _, i := range c.Instances {
		switch {
		case i.Removed:
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s, unchanged for %s, %s\n", verb, shown(i.Path), age(i.age), i.Size)
			n++
		case i.Kept != "" && (c.DryRun || i.remarkable):
			fmt.Fprintf(cmd.OutOrStdout(), "kept %s: %s\n", shown(i.Path), shown(i.Kept))
			n++
		}
	}
	return len(c.Sessions) + n
}

// cleanSessions ends dead sessions and returns them.
func cleanSessions(root *safepath.Root, dryRun bool) ([]cleanedSession, error) {
	open := session.Open
	if dryRun {
		open = session.OpenExisting
	}
	out := []cleanedSession{}
	store, err := open(root)
	if dryRun && errors.Is(err, fs.ErrNotExist) {
		return out, nil // no session was ever opened
	}
	if err != nil {
		return out, err
	}
	defer store.Close()
	results, err := store.Sweep(session.Proc{}, dryRun, func() bool { return true })
	failed := []error{err}
	for _, r := range results {
		if r.Err != nil {
			failed = append(failed, r.Err)
			continue
		}
		out = append(out, cleanedSession{r.Record.ID, r.Record.User})
	}
	return out, errors.Join(failed...)
}
