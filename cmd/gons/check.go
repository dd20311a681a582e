package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/module"
	"gons/internal/safepath"
)

type checkFlags struct {
	how    config.Reading
	strict bool
}

func newCheck() *cobra.Command {
	f := checkFlags{how: config.Reading{Names: true}}
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check the configuration, or one file of it, with the module's own parser",
		Long: `Reads the configuration as the module does and says what is wrong with it: every error with its line and column,
and warnings about what is probably a slip, such as a user whom this machine doesn't know. A FILE may be a draft: that
others can write to it is then a warning.
The exit status is 0 when the module would accept it; with --strict, when there is no warning either.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return check(cmd, file, f)
		},
	}
	cmd.Flags().BoolVar(&f.strict, "strict", false, "warnings are errors")
	readingFlags(cmd, &f.how)
	return cmd
}

func check(cmd *cobra.Command, file string, f checkFlags) error {
	cfg, warnings, err := readForCheck(file, f.how)
	if err != nil {
		return listProblems(cmd, err)
	}
	for _, w := range cfg.Warnings {
		warnings = append(warnings, w.String())
	}
	warnings = append(warnings, unknownNames(cfg.Names, localNames{})...)
	for _, w := range warnings {
		warn(cmd, w)
	}
	for _, f := range cfg.Files {
		fmt.Fprintf(cmd.OutOrStdout(), "read %s\n", f)
	}
	if f.strict && len(warnings) > 0 {
		return fmt.Errorf("the configuration is not clean: %d warnings are errors with --strict", len(warnings))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ok: %d directories\n", len(cfg.Directories))
	return nil
}

// readForCheck reads the configuration, or one file of it; its warnings are about who can write to that.
func readForCheck(file string, how config.Reading) (cfg *config.Config, warnings []string, err error) {
	root, err := safepath.OpenRoot()
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	if file, err = absolute(file); err != nil {
		return nil, nil, err
	}
	distrust, err := readTrusting(root, file, func(files config.Files) (err error) {
		cfg, err = module.LoadConfig(files, file, how)
		return err
	})
	if distrust != "" {
		warnings = []string{distrust}
	}
	return cfg, warnings, err
}
