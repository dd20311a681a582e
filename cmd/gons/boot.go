package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/module"
	"gons/internal/safepath"
	"gons/internal/session"
	"gons/internal/sharedtree"
)

func newBoot() *cobra.Command {
	var dryRun bool
	var file string
	var how config.Reading
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "Prepare the host: / shared, polyinstantiated directories private, instance parents made",
		Long: `Makes / and every mount below it shared, each polyinstantiated directory (/tmp where nothing is configured) a
private mount of its own, and every instance parent root's with mode 000; and cleans up after dead sessions.
What is as it should be is left alone, so that it can run at any time.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return boot(cmd, file, how, dryRun) },
	}
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "print what would change, and change nothing")
	configFlag(cmd, &file)
	readingFlags(cmd, &how)
	return cmd
}

func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "read `FILE` instead of /etc/security/gons.yaml, as the module's config= does")
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		*file, err = absolute(*file)
		return err
	}
}

// absolute returns file as the module would have to name it; "" stays "", which means the standard ones.
func absolute(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	return filepath.Abs(file)
}

func boot(cmd *cobra.Command, file string, how config.Reading, dryRun bool) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	cfg, err := bootConfig(cmd, root, file, how)
	if err != nil {
		return err
	}
	wanted := sharedtree.Want(cfg)
	facts, err := sharedtree.Gather(root, wanted)
	if err != nil {
		return err
	}
	plan := sharedtree.Build(wanted, facts)
	failed := applyChanges(cmd, root, plan, dryRun)
	cleaned, err := clean(cmd, root, dryRun)
	if len(plan.Changes)+cleaned == 0 && failed == nil && err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to do")
	}
	return errors.Join(failed, err)
}

// bootConfig returns nil for a machine that has no configuration yet, or an empty one as distributions ship it.
func bootConfig(cmd *cobra.Command, root *safepath.Root, file string, how config.Reading) (*config.Config, error) {
	cfg, err := module.LoadConfig(safepath.Files{Root: root, Strict: true}, file, how)
	missing := errors.Is(err, fs.ErrNotExist) && file == ""
	if err != nil && !missing {
		return nil, err
	}
	if missing || len(cfg.Directories) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "gons: warning: no directory is configured; preparing /tmp only")
	}
	return cfg, nil
}

// applyChanges makes what changes can be made: one that fails keeps nobody from the others.
func applyChanges(cmd *cobra.Command, root *safepath.Root, plan sharedtree.Plan, dryRun bool) error {
	prefix := ""
	if dryRun {
		prefix = "would "
	}
	var failed []error
	for _, c := range plan.Changes {
		if !dryRun {
			if err := sharedtree.Apply(root, c); err != nil {
				failed = append(failed, fmt.Errorf("cannot %s: %w", c, err))
				continue
			}
		}
		fmt.Fprintln(cmd.OutOrStdout(), prefix+c.String())
	}
	if len(plan.Problems) > 0 {
		failed = append(failed, errors.New(strings.Join(plan.Problems, "\ngons: ")))
	}
	return errors.Join(failed...)
}

func newClean() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove what sessions left that ended without privilege, or were killed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := safepath.OpenRoot()
			if err != nil {
				return err
			}
			defer root.Close()
			n, err := clean(cmd, root, dryRun)
			if n == 0 && err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to do")
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "print what would be removed, and remove nothing")
	return cmd
}

// clean ends dead sessions and returns how many.
func clean(cmd *cobra.Command, root *safepath.Root, dryRun bool) (int, error) {
	open := session.Open
	if dryRun {
		open = session.OpenExisting
	}
	store, err := open(root)
	if dryRun && errors.Is(err, fs.ErrNotExist) {
		return 0, nil // no session was ever opened
	}
	if err != nil {
		return 0, err
	}
	defer store.Close()
	results, err := store.Sweep(session.Proc{}, dryRun, func() bool { return true })
	verb := "removed"
	if dryRun {
		verb = "would remove"
	}
	removed, failed := 0, []error{err}
	for _, r := range results {
		if r.Err != nil {
			failed = append(failed, r.Err)
			continue
		}
		removed++
		fmt.Fprintf(cmd.OutOrStdout(), "%s what session %s of %s left\n", verb, r.Record.ID, r.Record.User)
	}
	return removed, errors.Join(failed...)
}
