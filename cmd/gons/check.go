package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/module"
	"gons/internal/safepath"
)

type checkFlags struct {
	how          config.Reading
	strict, json bool
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
	jsonFlag(cmd, &f.json)
	return cmd
}

// checked is what check found; its JSON is documented in gons(8).
type checked struct {
	OK          bool          `json:"ok"`
	Files       []string      `json:"files"`
	Directories int           `json:"directories"`
	Errors      []plannedStep `json:"errors"`
	Warnings    []plannedStep `json:"warnings"`
}

func check(cmd *cobra.Command, file string, f checkFlags) error {
	cfg, warnings, err := readForCheck(file, f.how)
	if err != nil && f.json {
		return errors.Join(printJSON(cmd, checked{Files: []string{}, Errors: located(problems(err)), Warnings: []plannedStep{}}), &statusError{status: 1})
	}
	if err != nil {
		return listProblems(cmd, err)
	}
	warnings = append(warnings, cfg.Warnings...)
	warnings = append(warnings, unknownNames(cfg.Names, localNames{})...)
	failed := f.strict && len(warnings) > 0
	if f.json {
		err := printJSON(cmd, checked{!failed, cfg.Files, len(cfg.Directories), []plannedStep{}, located(warnings)})
		if err == nil && failed {
			err = &statusError{status: 1}
		}
		return err
	}
	for _, w := range warnings {
		warn(cmd, strings.TrimPrefix(w.String(), ": ")) // of what concerns no line
	}
	for _, f := range cfg.Files {
		fmt.Fprintf(cmd.OutOrStdout(), "read %s\n", f)
	}
	if failed {
		return fmt.Errorf("the configuration is not clean: %d warnings are errors with --strict", len(warnings))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ok: %d directories\n", len(cfg.Directories))
	return nil
}

// problems are the errors of a configuration with their places; any other error has none.
func problems(err error) []config.Warning {
	var list config.Errors
	if !errors.As(err, &list) {
		return []config.Warning{{Text: err.Error()}}
	}
	var out []config.Warning
	for _, p := range list {
		out = append(out, config.Warning{Pos: p.Pos, Text: p.Text})
	}
	return out
}

// readForCheck reads the configuration, or one file of it; its warnings are about who can write to that.
func readForCheck(file string, how config.Reading) (cfg *config.Config, warnings []config.Warning, err error) {
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
		warnings = []config.Warning{{Text: distrust}}
	}
	return cfg, warnings, err
}
