// Command gons is the administrator's side of pam_gons: it prepares the host at boot, checks and explains the
// configuration, and cleans up after sessions that ended badly. Everything it decides is decided by the packages that
// the module uses; here are words, flags and exit statuses.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gons/internal/linux"
	"gons/internal/printable"
)

// version is set by the Makefile.
var version = "unknown"

func main() {
	if status, ours := runCommand(os.Args[1:]); ours {
		os.Exit(status)
	}
	if err := linux.NotSetuid(); err != nil {
		fmt.Fprintf(os.Stderr, "gons: refused to run with more rights than the caller's: %v\ngons: hint: chmod ug-s and setcap -r take that away\n", err)
		os.Exit(1)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit status: 0, or another, 1 for most, after saying on errs what failed.
// Results go to out, warnings and errors to errs.
func run(args []string, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	status := 1
	var chosen *statusError
	if errors.As(err, &chosen) {
		status = chosen.status
	}
	if err.Error() == "" {
		return status
	}
	text := strings.ReplaceAll(printable.Error(err), "\n", "\ngons: ")
	if several := (*severalError)(nil); errors.As(err, &several) {
		text = err.Error() // a list, of what is printable
	}
	fmt.Fprintf(errs, "gons: %s\n", text)
	if hint := hintFor(cmd.Name(), err); hint != "" {
		fmt.Fprintf(errs, "gons: hint: %s\n", hint)
	}
	return status
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
	root.AddCommand(newBoot(), newCheck(), newMount(), newUmount(), newImport(), newPlan(), newClean())
	root.AddCommand(newList(), newEnter(), newTry(), newDoctor(), newRun())
	return root
}
