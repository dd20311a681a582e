package main

import (
	"github.com/spf13/cobra"

	"gons/internal/exitstatus"
)

// statusError ends gons with a status other than 1. Where its error is nil, everything has been said.
type statusError struct {
	status int
	err    error
}

// Error is that of the error.
func (e *statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap returns the error.
func (e *statusError) Unwrap() error { return e.err }

// withStatus gives an error a status, unless it has one or is nil.
func withStatus(status int, err error) error {
	if _, has := err.(*statusError); has || err == nil {
		return err
	}
	return &statusError{status, err}
}

func isStatus(err error, status int) bool {
	e, ok := err.(*statusError)
	return ok && e.status == status
}

// runs makes a command one that runs another: all errors of its own, a wrong command line among them, have the status of
// gons' own failures, and flags end with the first argument.
func runs(cmd *cobra.Command, f func(*cobra.Command, []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return withStatus(exitstatus.Failed, f(cmd, args)) }
	cmd.Args = cobra.ArbitraryArgs // f judges them
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return withStatus(exitstatus.Failed, err) })
	cmd.Flags().SetInterspersed(false)
	return cmd
}
