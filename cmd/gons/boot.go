package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/module"
	"gons/internal/safepath"
	"gons/internal/session"
	"gons/internal/sharedtree"
)

type bootFlags struct {
	file         string
	how          config.Reading
	dryRun, json bool
}

// booted is what boot did; its JSON is documented in gons(8).
type booted struct {
	DryRun   bool             `json:"dry_run"`
	Changes  []string         `json:"changes"`
	Failed   []string         `json:"failed"`
	Problems []string         `json:"problems"`
	Sessions []cleanedSession `json:"sessions"`
}

func newBoot() *cobra.Command {
	var f bootFlags
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "Prepare the host: / shared, polyinstantiated directories private, instance parents made",
		Long: `Makes / and every mount below it shared, each polyinstantiated directory (/tmp where nothing is configured) a
private mount of its own, and every instance parent root's with mode 000; and cleans up after dead sessions.
What is as it should be is left alone, so that it can run at any time.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return boot(cmd, f) },
	}
	cmd.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "print what would change, and change nothing")
	configFlag(cmd, &f.file)
	readingFlags(cmd, &f.how)
	jsonFlag(cmd, &f.json)
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

func boot(cmd *cobra.Command, f bootFlags) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	cfg, err := bootConfig(cmd, root, f.file, f.how)
	if err != nil {
		return err
	}
	wanted := sharedtree.Want(cfg)
	facts, err := sharedtree.Gather(root, wanted)
	if err != nil {
		return err
	}
	plan := sharedtree.Build(wanted, facts)
	out := io.Discard
	if !f.json {
		out = cmd.OutOrStdout()
	}
	done := booted{DryRun: f.dryRun, Problems: append([]string{}, plan.Problems...)}
	failed := done.apply(out, root, plan)
	if !f.dryRun {
		failed = errors.Join(failed, setHost(root))
	}
	done.Sessions, err = cleanSessions(root, f.dryRun)
	if f.json {
		return errors.Join(printJSON(cmd, done), failed, err)
	}
	cleaned := cleaned{DryRun: f.dryRun, Sessions: done.Sessions}.print(cmd)
	if len(plan.Changes)+cleaned == 0 && failed == nil && err == nil {
		fmt.Fprintln(out, "nothing to do")
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

// setHost makes the namespace that the command runs in the host's (gons.yaml(5), exempt.action and namespace.scope).
func setHost(root *safepath.Root) error {
	store, err := session.Open(root)
	if err != nil {
		return err
	}
	defer store.Close()
	return store.SetHost(session.Proc{})
}

// apply makes what changes can be made: one that fails keeps nobody from the others.
func (b *booted) apply(out io.Writer, root *safepath.Root, plan sharedtree.Plan) error {
	prefix := ""
	if b.DryRun {
		prefix = "would "
	}
	b.Changes, b.Failed = []string{}, []string{}
	var failed []error
	for _, c := range plan.Changes {
		if !b.DryRun {
			if err := sharedtree.Apply(root, c); err != nil {
				err = fmt.Errorf("cannot %s: %w", c, err)
				b.Failed, failed = append(b.Failed, err.Error()), append(failed, err)
				continue
			}
		}
		b.Changes = append(b.Changes, c.String())
		fmt.Fprintln(out, prefix+c.String())
	}
	for _, p := range plan.Problems {
		failed = append(failed, errors.New(p))
	}
	return errors.Join(failed...)
}
