package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ErrSetuid says that this program has rights that its file gave it.
var ErrSetuid = errors.New("its file is setuid, setgid or has capabilities")

const atSecure = 23 // getauxval(3): AT_SECURE

// NotSetuid returns ErrSetuid where this program was started with rights that its caller hasn't: it is setuid or setgid, by
// its file or a caller's, or its file has capabilities. The kernel tells of all of these at once (AT_SECURE), and of a
// security module's doing too, as each change of an SELinux domain, which is no reason to refuse; so it is asked which.
func NotSetuid() error {
	values, err := unix.Auxv()
	if err != nil {
		return err
	}
	for _, v := range values {
		if v[0] == atSecure && v[1] != 0 {
			return causeOfSecure()
		}
	}
	return nil
}

func causeOfSecure() error {
	if unix.Getuid() != unix.Geteuid() || unix.Getgid() != unix.Getegid() {
		return ErrSetuid
	}
	err := attempt("getxattr", func() error {
		_, err := unix.Getxattr("/proc/self/exe", "security.capability", nil)
		return err
	})
	switch {
	case err == nil:
		return ErrSetuid
	case err == unix.ENODATA || err == unix.EOPNOTSUPP:
		return nil
	}
	return os.NewSyscallError("getxattr", err) // it can't be told
}
