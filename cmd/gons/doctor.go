package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/doctor"
	"gons/internal/linux"
	"gons/internal/safepath"
)

type doctorFlags struct {
	config    string
	how       config.Reading
	bad, json bool
}

func newDoctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say whether this machine is ready, and as it is configured, with the command that mends each finding",
		Long: `Looks at the kernel, the configuration, mounts, PAM stacks, files that only root may change, sessions and instances, and
prints a line for each finding: ok, warning or problem. Changes nothing. Needs root.
The exit status is 0 when there is no problem.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd, f) },
	}
	cmd.Flags().BoolVarP(&f.bad, "quiet", "q", false, "leave out what is ok")
	configFlag(cmd, &f.config)
	readingFlags(cmd, &f.how)
	jsonFlag(cmd, &f.json)
	return cmd
}

func runDoctor(cmd *cobra.Command, f doctorFlags) error {
	if linux.EffectiveUID() != 0 {
		return fmt.Errorf("cannot look at PAM, sessions and instances: %w", os.ErrPermission)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	facts, err := doctor.Gather(root, f.config, f.how, knownUser)
	if err != nil {
		return err
	}
	shown := []doctor.Finding{}
	findings := doctor.Diagnose(facts)
	for _, one := range findings {
		if !f.bad || one.Level != doctor.OK {
			shown = append(shown, one)
		}
	}
	if f.json {
		err = printJSON(cmd, shown)
	} else {
		printFindings(cmd, shown)
	}
	if err == nil && !doctor.Healthy(findings) {
		err = &statusError{status: 1}
	}
	return err
}

func printFindings(cmd *cobra.Command, findings []doctor.Finding) {
	for _, f := range findings {
		where := f.Check
		if f.Where != "" {
			where += " " + f.Where
		}
		line := fmt.Sprintf("%-8s %s: %s", f.Level, where, f.Text)
		if f.Fix != "" {
			line += "; fix: " + f.Fix
		}
		fmt.Fprintln(cmd.OutOrStdout(), shown(line))
	}
}
