// Package exitstatus has the exit statuses of programs that run another one, as env(1) and docker-run(1) have them: gons run,
// newns, gons enter, gons try and gons-try. Those of all else are in cmd/gons.
package exitstatus

import "gons/internal/linux"

const (
	// NoSession is gons-try's alone, when PAM opens no session; gons try ends with Failed then.
	NoSession = 124
	// Failed is an error of gons' own.
	Failed = 125
	// NotExecutable is a command that is there and can't be run, NotFound one that isn't.
	NotExecutable = 126
	NotFound      = 127
)

// OfExecution returns the status for the error of a command that couldn't be executed.
func OfExecution(err error) int {
	if linux.Is(err, linux.ENOENT) {
		return NotFound
	}
	return NotExecutable
}
