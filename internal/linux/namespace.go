package linux

import (
	"runtime"
	"strconv"
	"unsafe"

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
	pidfd, fd := -1, -1
	err := call("pidfd_open", func() (err error) {
		pidfd, err = unix.PidfdOpen(unix.Getpid(), 0)
		return err
	})
	if err == nil {
		defer unix.Close(pidfd)
		err = call("ioctl PIDFD_GET_MNT_NAMESPACE", func() (err error) {
			fd, err = unix.IoctlRetInt(pidfd, getMountNamespace)
			return err
		})
		if err == nil {
			return NewHandle(fd, "the mount namespace"), nil
		}
	}
	err = call("open of /proc/self/ns/mnt, which kernels before 6.11 need", func() (err error) {
		fd, err = unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	return NewHandle(fd, "the mount namespace"), err
}

// NamespaceID returns the number of the mount namespace that h is a handle of, which is never used again, unlike an
// inode number (ioctl_nsfs(2): NS_GET_MNTNS_ID, Linux 6.11).
func (h *Handle) NamespaceID() (uint64, error) {
	const getID = 0x8008b705 // NS_GET_MNTNS_ID, include/uapi/linux/nsfs.h
	var id uint64
	err := call("ioctl NS_GET_MNTNS_ID", func() error {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(h.Fd()), getID, uintptr(unsafe.Pointer(&id)))
		if errno != 0 {
			return errno
		}
		return nil
	})
	runtime.KeepAlive(h)
	return id, err
}

// OpenNamespaceOf opens the mount namespace of a process, from /proc.
func OpenNamespaceOf(pid int) (*Handle, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/ns/mnt"
	fd := -1
	err := call("open", func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	return NewHandle(fd, path), err
}

// UnshareMounts takes the calling thread, which must be locked, into a copy of its mount namespace.
func UnshareMounts() error {
	return call("unshare", func() error { return unix.Unshare(unix.CLONE_NEWNS) })
}

// SetUmask sets the process's umask and returns the one before.
func SetUmask(mask int) int { return unix.Umask(mask) }

// EffectiveUID returns the effective user id.
func EffectiveUID() int { return unix.Geteuid() }

// UID returns the real user id.
func UID() int { return unix.Getuid() }

// ParentPID returns the process that made this one.
func ParentPID() int { return unix.Getppid() }
