package linux

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// EnterMountNamespace takes the calling thread, which must be locked, into the namespace ns and to the directory root
// as its root. The thread's working directory is root afterwards. It first stops sharing its root and working directory
// with the process's other threads, without which setns(2) is EINVAL.
func EnterMountNamespace(ns, root *Handle) error {
	defer runtime.KeepAlive(ns)
	defer runtime.KeepAlive(root)
	if err := call("unshare", func() error { return unix.Unshare(unix.CLONE_FS) }); err != nil {
		return err
	}
	if err := call("setns", func() error { return unix.Setns(ns.Fd(), unix.CLONE_NEWNS) }); err != nil {
		return err
	}
	if err := call("fchdir", func() error { return unix.Fchdir(root.Fd()) }); err != nil {
		return err
	}
	return call("chroot", func() error { return unix.Chroot(".") })
}

// OpenMountNamespace opens the calling process's mount namespace: by pidfd, which needs no /proc but Linux 6.11, or from
// /proc.
func OpenMountNamespace() (*Handle, error) {
	const getMountNamespace = 0xff03 // PIDFD_GET_MNT_NAMESPACE, include/uapi/linux/pidfd.h
	if pidfd, err := unix.PidfdOpen(unix.Getpid(), 0); err == nil {
		defer unix.Close(pidfd)
		if ns, err := unix.IoctlRetInt(pidfd, getMountNamespace); err == nil {
			return NewHandle(ns, "the mount namespace"), nil
		}
	}
	fd := -1
	err := call("open of /proc/self/ns/mnt, which kernels before 6.11 need", func() (err error) {
		fd, err = unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	return NewHandle(fd, "the mount namespace"), err
}

// UnshareMounts takes the calling thread, which must be locked, into a copy of its mount namespace.
func UnshareMounts() error {
	return call("unshare", func() error { return unix.Unshare(unix.CLONE_NEWNS) })
}

// SetUmask sets the process's umask and returns the one before.
func SetUmask(mask int) int { return unix.Umask(mask) }

// EffectiveUID returns the effective user id.
func EffectiveUID() int { return unix.Geteuid() }

// ParentPID returns the process that made this one.
func ParentPID() int { return unix.Getppid() }
