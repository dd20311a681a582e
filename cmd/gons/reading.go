package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/safepath"
)

// readingFlags adds the flags that stand for the module's options on reading.
func readingFlags(cmd *cobra.Command, how *config.Reading) {
	cmd.Flags().BoolVar(&how.SkipBad, "ignore-config-error", false, "as with ignore_config_error on the PAM line")
	cmd.Flags().BoolVar(&how.Groups, "enable-groups", false, "as with enable_groups on the PAM line")
}

// readTrusting calls read for files that the module would trust. Where file names one that it wouldn't, which may be a
// draft, read is called again for any file, and the result is a warning.
func readTrusting(root *safepath.Root, file string, read func(config.Files) error) (warning string, err error) {
	distrust := read(safepath.Files{Root: root, Strict: true})
	var problems config.Errors
	if distrust == nil || file == "" || errors.As(distrust, &problems) {
		return "", distrust
	}
	if err := read(safepath.Files{Root: root}); err != nil {
		return "", err
	}
	return fmt.Sprintf("the module would refuse this file: %v", distrust), nil
}

// listProblems prints what is wrong in files, each on a line, and returns an error that counts them; other errors are
// returned as they are.
func listProblems(cmd *cobra.Command, err error) error {
	var problems config.Errors
	if !errors.As(err, &problems) {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(cmd.ErrOrStderr(), p)
	}
	return fmt.Errorf("the configuration has errors: %d", len(problems))
}
