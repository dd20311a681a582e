package main

import (
	"os"

	"github.com/spf13/cobra"

	"gons/internal/newns"
)

// runCommand is gons run, which doesn't go through cobra: its options are an order of work, and its time until the command
// runs counts. False where args are for another subcommand.
func runCommand(args []string) (status int, ours bool) {
	if len(args) == 0 || args[0] != "run" {
		return 0, false
	}
	runner := newns.Runner{Name: "gons", Out: os.Stdout, Errors: os.Stderr, Configure: configure}
	return runner.Main(args[1:]), true
}

// newRun is what help and completion know of gons run.
func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [OPTION...] [--] [COMMAND [ARGUMENT...]]",
		Short: "Run a command, or a shell, in a mount namespace of its own",
		Long: `Runs a command in namespaces of its own, as newns does. Without root it makes a user namespace. The exit status is the
command's; 125 for an error of gons', 126 and 127 for a command that can't be run or isn't there. See gons-run(1).`,
		DisableFlagsInUseLine: true,
		RunE:                  func(*cobra.Command, []string) error { return nil },
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().SortFlags = false
	for _, o := range newns.All() {
		if o.Value == "" {
			cmd.Flags().Bool(o.Name, false, o.Help)
			continue
		}
		cmd.Flags().Var(placeholder(o.Value), o.Name, o.Help)
		if o.Optional {
			cmd.Flags().Lookup(o.Name).NoOptDefVal = "standard"
		}
	}
	completeValues(cmd)
	return cmd
}

// placeholder is the value of a flag that help names and nobody sets.
type placeholder string

// String, Set and Type implement pflag.Value.
func (placeholder) String() string   { return "" }
func (placeholder) Set(string) error { return nil }
func (p placeholder) Type() string   { return string(p) }

// completeValues says what a shell offers for options whose values aren't paths.
func completeValues(cmd *cobra.Command) {
	types := []string{"slave", "private", "shared", "unchanged"}
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("propagation", cobra.FixedCompletions(types, cobra.ShellCompDirectiveNoFileComp)))
	for _, name := range []string{"root", "chdir"} {
		cobra.CheckErr(cmd.MarkFlagDirname(name))
	}
	for _, name := range []string{"hostname", "monotonic", "boottime", "setenv"} {
		cobra.CheckErr(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
}
