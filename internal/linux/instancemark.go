package linux

import "golang.org/x/sys/unix"

// instanceMark is an attribute that only root can set or see (xattr(7)): in the mount table a tmpfs of gons' looks as one
// of the host's.
const instanceMark = "trusted.gons.instance"

// MarkInstance says of a directory that it is an instance, for IsInstance. EOPNOTSUPP where the file system keeps no such
// attributes.
func (h *Handle) MarkInstance() error {
	return h.throughOpen(func(fd int) error {
		return call("fsetxattr "+instanceMark, func() error { return unix.Fsetxattr(fd, instanceMark, []byte("1"), 0) })
	})
}

// IsInstance reports whether MarkInstance has marked the directory. One that can't be asked isn't.
func (h *Handle) IsInstance() bool {
	err := h.throughOpen(func(fd int) error {
		_, err := unix.Fgetxattr(fd, instanceMark, nil)
		return err
	})
	return err == nil
}
