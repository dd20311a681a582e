package linux

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is what is executed in the end.
type Command struct {
	// Paths are where the program may be; the first that is there is it.
	Paths []string
	// Argv are its arguments, the first being its name, and Env is its environment.
	Argv, Env []string
}

// Execute replaces the program of this process by the one at path, as the calling thread resolves it, in the thread's
// namespaces, root and working directory and with its ids. It returns only with an error.
func Execute(path string, argv, env []string) error {
	return os.NewSyscallError("execve", syscall.Exec(path, argv, env))
}

// ExecuteFirst replaces this process by the command, as Execute does. It returns only where that fails, with an ExecError.
func ExecuteFirst(c Command) error {
	worst := error(unix.ENOENT)
	for _, path := range c.Paths {
		err := Execute(path, c.Argv, c.Env)
		var errno unix.Errno
		if errors.As(err, &errno); !notThere(errno) {
			return &ExecError{path, errno}
		}
		if errno == unix.EACCES {
			worst = errno
		}
	}
	return &ExecError{c.Argv[0], worst}
}

// notThere reports whether a search for a program goes on after execve(2) failed so, as execvp(3) has it.
//
//go:nosplit
//go:norace
func notThere(errno unix.Errno) bool {
	return errno == unix.ENOENT || errno == unix.ENOTDIR || errno == unix.EACCES
}

// ExecError says that a program couldn't be executed.
type ExecError struct {
	Path string
	Err  error
}

// Error names the program.
func (e *ExecError) Error() string {
	return fmt.Sprintf("cannot run %s: %v", quoted(e.Path), os.NewSyscallError("execve", e.Err))
}

func quoted(name string) string {
	if name == "" {
		return `""`
	}
	return name
}

// Unwrap returns the errno.
func (e *ExecError) Unwrap() error { return e.Err }
