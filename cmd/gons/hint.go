package main

import (
	"errors"
	"io/fs"
	"os/user"

	"gons/internal/config"
	"gons/internal/exitstatus"
	"gons/internal/linux"
)

// hintFor returns what to do about an error of a subcommand, or "". Lower layers say what is wrong; advice belongs here.
func hintFor(command string, err error) string {
	var unknown user.UnknownUserError
	var problems config.Errors
	var several *severalError
	var none *noSessionError
	var untrusted *untrustedError
	var service *noServiceError
	switch {
	case errors.As(err, &unknown):
		return "the name must be known to this machine; see `getent passwd`"
	case errors.As(err, &problems):
		return "`gons check` lists every error"
	case errors.As(err, &several):
		return "name one by its id; a beginning of it will do"
	case errors.As(err, &none):
		return "`gons list` shows those that are open"
	case errors.As(err, &service):
		return "PAM would take the file \"other\", which refuses most things; see `ls /etc/pam.d`"
	case errors.As(err, &untrusted):
		return "--as-user runs the command as that user, --trust as root all the same"
	case errors.Is(err, linux.ErrNoMountAPI):
		return "see `uname -r`; in a container, the runtime's seccomp profile must allow the mount system calls"
	case isStatus(err, exitstatus.NotFound), isStatus(err, exitstatus.NotExecutable):
		return ""
	case errors.Is(err, fs.ErrNotExist) && (command == "mount" || command == "umount"):
		return "the source must be there, and in each of the sessions the target"
	case errors.Is(err, fs.ErrNotExist) && command == "enter":
		return "`gons run --persist FILE` makes such a file"
	case errors.Is(err, fs.ErrNotExist):
		return "gons.yaml(5) has an example to begin with"
	case errors.Is(err, fs.ErrPermission):
		return "run it as root"
	}
	return ""
}
