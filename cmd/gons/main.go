// Command gons is the administrator's side of pam_gons: it prepares the host at boot, checks and explains the
// configuration, and cleans up after sessions that ended badly. Everything it decides is decided by the packages that
// the module uses; here are words, flags and exit statuses.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the Makefile.
var version = "unknown"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and returns its exit status: 0, or 1 after saying on errs what failed. Results go to
// out, warnings and errors to errs.
func run(args []string, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	if err := root.Execute(); err != nil {
		fmt.Fprintf(errs, "gons: %v\n", err)
		if hint := hintFor(err); hint != "" {
			fmt.Fprintf(errs, "gons: hint: %s\n", hint)
		}
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "gons",
		Short:         "Private directories for every login",
		Long:          "gons prepares, checks and explains what pam_gons.so does at every login.\nSee gons(8), gons.yaml(5) and pam_gons(8).",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newBoot(), newCheck(), newImport(), newPlan(), newClean())
	return root
}
