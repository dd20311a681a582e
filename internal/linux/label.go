package linux

import (
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// The errnos by which a file system says that a file has no label, or that it keeps none.
const (
	ENODATA    = unix.ENODATA
	EOPNOTSUPP = unix.EOPNOTSUPP
)

// ReadWriteFile opens a file that is there, for one question and its answer.
const ReadWriteFile = unix.O_RDWR | unix.O_NONBLOCK | unix.O_NOCTTY

const (
	labelName = "security.selinux"
	maxLabel  = 4096 // a page, as the kernel's own files
)

// Label returns the SELinux context of the file h. A directory may be a LookAt handle, another file must be open for
// reading or writing. The error is ENODATA where the file has no label and SELinux is off, EOPNOTSUPP where the file
// system knows of none.
func (h *Handle) Label() (string, error) {
	buf, n := make([]byte, maxLabel), 0
	err := h.throughOpen(func(fd int) error {
		return call("fgetxattr "+labelName, func() (err error) {
			n, err = unix.Fgetxattr(fd, labelName, buf)
			return err
		})
	})
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(buf[:n]), "\x00"), nil
}

// SetLabel sets the SELinux context of the file h, with the same handles and errors as Label; EINVAL where the policy
// knows no such context.
func (h *Handle) SetLabel(context string) error {
	value := append([]byte(context), 0) // as setfilecon(3) writes it
	return h.throughOpen(func(fd int) error {
		return call("fsetxattr "+labelName, func() error { return unix.Fsetxattr(fd, labelName, value, 0) })
	})
}

// throughOpen runs f on h's descriptor and, where that is one to look at, on "." opened from it. setxattrat(2) would take
// such a descriptor as it is, but came with Linux 6.13, and a path below /proc may lead elsewhere.
func (h *Handle) throughOpen(f func(fd int) error) error {
	defer runtime.KeepAlive(h)
	err := f(h.Fd())
	if !Is(err, EBADF) || h.Fd() < 0 {
		return err
	}
	open, err := h.OpenAt(".", ReadDirectory, true)
	if err != nil {
		return err
	}
	defer open.Close()
	return f(open.Fd())
}

// SELinuxFS reports whether h is on the kernel's selinuxfs, and whether that can be written to.
func (h *Handle) SELinuxFS() (is, writable bool, err error) {
	var st unix.Statfs_t
	err = call("fstatfs", func() error { return unix.Fstatfs(h.Fd(), &st) })
	runtime.KeepAlive(h)
	return err == nil && int64(st.Type) == unix.SELINUX_MAGIC, st.Flags&unix.ST_RDONLY == 0, err
}
