package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/module"
	"gons/internal/safepath"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check the configuration, or one file of it, with the module's own parser",
		Long: `Reads the configuration as the module does and says what is wrong with it: every error with its line and column,
and warnings about what is probably a slip. A FILE may be a draft: that others can write to it is then a warning.
The exit status is 0 when the module would accept it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return check(cmd, file)
		},
	}
}

func check(cmd *cobra.Command, file string) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	if file, err = absolute(file); err != nil {
		return err
	}
	cfg, err := module.LoadConfig(safepath.Files{Root: root, Strict: true}, file)
	var problems config.Errors
	if err != nil && file != "" && !errors.As(err, &problems) {
		distrust := err
		if cfg, err = module.LoadConfig(safepath.Files{Root: root}, file); err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "gons: warning: the module would refuse this file: %v\n", distrust)
		}
	}
	if errors.As(err, &problems) {
		return listProblems(cmd, problems)
	}
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "gons: warning: %s\n", w)
	}
	for _, f := range cfg.Files {
		fmt.Fprintf(cmd.OutOrStdout(), "read %s\n", f)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ok: %d directories\n", len(cfg.Directories))
	return nil
}

func listProblems(cmd *cobra.Command, problems config.Errors) error {
	for _, p := range problems {
		fmt.Fprintln(cmd.ErrOrStderr(), p)
	}
	return fmt.Errorf("the configuration has errors: %d", len(problems))
}
