package main

import (
	"errors"
	"io/fs"
	"os/user"

	"gons/internal/config"
	"gons/internal/linux"
)

// hintFor returns what to do about an error, or "". Lower layers say what is wrong; advice belongs here.
func hintFor(err error) string {
	var unknown user.UnknownUserError
	var problems config.Errors
	switch {
	case errors.As(err, &unknown):
		return "the name must be known to this machine; see `getent passwd`"
	case errors.As(err, &problems):
		return "`gons check` lists every error"
	case errors.Is(err, linux.ErrNoMountAPI):
		return "see `uname -r`; in a container, the runtime's seccomp profile must allow the mount system calls"
	case errors.Is(err, fs.ErrNotExist):
		return "gons.yaml(5) has an example to begin with"
	case errors.Is(err, fs.ErrPermission):
		return "run it as root"
	}
	return ""
}
