// Package linux is one Go function per system call that gons makes, on handles, and nothing else.
//
// It is the only package that imports golang.org/x/sys/unix. A wrapper retries EINTR, asks for close-on-exec, keeps its
// handles alive, and returns *os.SyscallError with the call's name; it knows no policy and no configuration. What a
// call is for, and what must be checked before it, belongs to the packages that call it.
package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// call runs one system call until it isn't interrupted, and names it in the error.
func call(name string, f func() error) error {
	for {
		err := attempt(name, f)
		if err == unix.EINTR {
			continue
		}
		return os.NewSyscallError(name, err)
	}
}

// The errnos that callers tell apart.
const (
	EACCES     = unix.EACCES
	EAGAIN     = unix.EAGAIN
	EBADF      = unix.EBADF
	EBUSY      = unix.EBUSY
	ECONNRESET = unix.ECONNRESET
	EDQUOT     = unix.EDQUOT
	EEXIST     = unix.EEXIST
	EINVAL     = unix.EINVAL
	ELOOP      = unix.ELOOP
	EMFILE     = unix.EMFILE
	EMLINK     = unix.EMLINK
	ENODEV     = unix.ENODEV
	ENOENT     = unix.ENOENT
	ENOEXEC    = unix.ENOEXEC
	ENOSPC     = unix.ENOSPC
	ENOSYS     = unix.ENOSYS
	ENOTDIR    = unix.ENOTDIR
	ENOTEMPTY  = unix.ENOTEMPTY
	EPERM      = unix.EPERM
	ESRCH      = unix.ESRCH
	EXDEV      = unix.EXDEV
)

// Is reports whether err comes from a system call that failed with errno.
func Is(err error, errno unix.Errno) bool { return errors.Is(err, errno) }

// FromCall reports whether err comes from a system call at all.
func FromCall(err error) bool {
	var call *os.SyscallError
	return errors.As(err, &call)
}

// Errno returns the error of an errno that another process reported.
func Errno(n int32) error { return unix.Errno(n) }

// Random fills b with random bytes from the kernel. It is not crypto/rand, which brings 32 MiB of zeroed memory into
// every host (Go 1.26, crypto/internal/fips140/drbg).
func Random(b []byte) error {
	for done := 0; done < len(b); {
		n := 0
		err := call("getrandom", func() (err error) {
			n, err = unix.Getrandom(b[done:], 0)
			return err
		})
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}
