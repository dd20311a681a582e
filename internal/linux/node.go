package linux

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// The types of files that MakeNode makes.
const (
	TypeFIFO   Type = unix.S_IFIFO
	TypeSocket Type = unix.S_IFSOCK
)

// Symlink makes a symbolic link to target in the directory h.
func (h *Handle) Symlink(target, name string) error {
	defer runtime.KeepAlive(h)
	return call("symlinkat", func() error { return unix.Symlinkat(target, h.Fd(), name) })
}

// MakeNode makes a FIFO or a socket with mode 0600 in the directory h.
func (h *Handle) MakeNode(name string, t Type) error {
	defer runtime.KeepAlive(h)
	return call("mknodat", func() error { return unix.Mknodat(h.Fd(), name, uint32(t)|0o600, 0) })
}

// ChmodAt sets the permission bits of an entry of h that can't be opened, as a socket. It follows a symbolic link, so
// nobody else may be able to reach h.
func (h *Handle) ChmodAt(name string, mode uint32) error {
	defer runtime.KeepAlive(h)
	return call("fchmodat", func() error { return unix.Fchmodat(h.Fd(), name, mode, 0) })
}
