package linux

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// EnterMountNamespace takes the calling thread, which must be locked, into the namespace ns and to the directory root
// as its root, or where that is nil to the namespace's own. The thread's working directory is its root afterwards. It first
// stops sharing its root and working directory with the process's other threads, without which setns(2) is EINVAL.
func EnterMountNamespace(ns, root *Handle) error {
	defer runtime.KeepAlive(ns)
	defer runtime.KeepAlive(root)
	if err := call("unshare", func() error { return unix.Unshare(unix.CLONE_FS) }); err != nil {
		return err
	}
	if err := call("setns", func() error { return unix.Setns(ns.Fd(), unix.CLONE_NEWNS) }); err != nil {
		return err
	}
	if root == nil { // setns(2) has put it there
		return nil
	}
	if err := root.Enter(); err != nil {
		return err
	}
	return call("chroot", func() error { return unix.Chroot(".") })
}

// OpenMountNamespace opens the calling process's mount namespace: by pidfd, which needs no /proc but Linux 6.11, or from
// /proc.
func OpenMountNamespace() (*Handle, error) {
	const getMountNamespace = 0xff03 // PIDFD_GET_MNT_NAMESPACE, include/uapi/linux/pidfd.h
	fd := -1
	pidfd, err := openPidfd(unix.Getpid())
	if err == nil {
		defer pidfd.Close()
		err = call("ioctl PIDFD_GET_MNT_NAMESPACE", func() (err error) {
			fd, err = unix.IoctlRetInt(pidfd.Fd(), getMountNamespace)
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
	return OpenNamespace("/proc/" + strconv.Itoa(pid) + "/ns/mnt")
}

// OpenNamespace opens a namespace by its name below /proc.
func OpenNamespace(path string) (*Handle, error) {
	return openFile(path, unix.O_RDONLY|unix.O_NOCTTY)
}

// OpenThreadNamespace opens the calling thread's mount namespace, from /proc.
func OpenThreadNamespace() (*Handle, error) { return OpenNamespace("/proc/thread-self/ns/mnt") }

// UnshareMounts takes the calling thread, which must be locked, into a copy of its mount namespace.
func UnshareMounts() error {
	return call("unshare", func() error { return unix.Unshare(unix.CLONE_NEWNS) })
}

// OpenNamespaceFile opens the namespace that a file is: one below /proc/PID/ns, or what was bound from there. Symbolic links
// are followed. EINVAL for any other file, which is looked at and not opened: that could do something to a device.
func OpenNamespaceFile(path string) (*Handle, error) {
	h, err := openFile(path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	is, err := h.onNamespaceFS()
	if err == nil && !is {
		err = os.NewSyscallError("fstatfs", unix.EINVAL)
	}
	if err != nil {
		return nil, err
	}
	return openFile(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
}

func (h *Handle) onNamespaceFS() (bool, error) {
	var st unix.Statfs_t
	err := call("fstatfs", func() error { return unix.Fstatfs(h.Fd(), &st) })
	runtime.KeepAlive(h)
	return err == nil && int64(st.Type) == unix.NSFS_MAGIC, err
}

// NamespaceKind returns what namespace the file h is: "mount", "user" and so on; "" where it is no namespace
// (statfs(2), ioctl_nsfs(2): NS_GET_NSTYPE).
func (h *Handle) NamespaceKind() (string, error) {
	if is, err := h.onNamespaceFS(); err != nil || !is {
		return "", err
	}
	kind := 0
	err := call("ioctl NS_GET_NSTYPE", func() (err error) {
		kind, err = unix.IoctlRetInt(h.Fd(), unix.NS_GET_NSTYPE)
		return err
	})
	runtime.KeepAlive(h)
	if err != nil {
		return "", err
	}
	name, known := map[int]string{
		unix.CLONE_NEWNS: "mount", unix.CLONE_NEWUSER: "user", unix.CLONE_NEWPID: "pid", unix.CLONE_NEWUTS: "uts",
		unix.CLONE_NEWIPC: "ipc", unix.CLONE_NEWNET: "net", unix.CLONE_NEWCGROUP: "cgroup", unix.CLONE_NEWTIME: "time",
	}[kind]
	if !known {
		name = fmt.Sprintf("unknown (%#x)", kind)
	}
	return name, nil
}

// OwnNamespace reports whether the namespace h was made in the user namespace that this process is in: then only root of
// this one can have arranged what is in it. One whose user namespace may not be seen is not.
func (h *Handle) OwnNamespace() (bool, error) {
	fd := -1
	err := call("ioctl NS_GET_USERNS", func() (err error) {
		fd, err = unix.IoctlRetInt(h.Fd(), unix.NS_GET_USERNS)
		return err
	})
	runtime.KeepAlive(h)
	if Is(err, unix.EPERM) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	owner := NewHandle(fd, "a user namespace")
	defer owner.Close()
	own, err := OpenNamespaceFile("/proc/self/ns/user")
	if err != nil {
		return false, err
	}
	defer own.Close()
	a, err := owner.Stat()
	if err != nil {
		return false, err
	}
	b, err := own.Stat()
	return a.SameFile(b), err
}
