package linux

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Attr is a set of mount attributes (mount_setattr(2)).
type Attr uint64

// The attributes that gons sets. It never clears one.
const (
	NoSuid Attr = unix.MOUNT_ATTR_NOSUID
	NoDev  Attr = unix.MOUNT_ATTR_NODEV
	NoExec Attr = unix.MOUNT_ATTR_NOEXEC
	// ReadOnly is not for sessions, but for gons mount and gons run.
	ReadOnly Attr = unix.MOUNT_ATTR_RDONLY
)

// String returns the attributes as mount(8) spells them: "nosuid,nodev".
func (a Attr) String() string {
	var words []string
	for _, w := range []struct {
		bit  Attr
		name string
	}{{ReadOnly, "ro"}, {NoSuid, "nosuid"}, {NoDev, "nodev"}, {NoExec, "noexec"}} {
		if a&w.bit != 0 {
			words = append(words, w.name)
		}
	}
	return strings.Join(words, ",")
}

// Propagation is a propagation type (mount_namespaces(7)).
type Propagation uint64

// The propagation types that gons sets.
const (
	Shared  Propagation = unix.MS_SHARED
	Slave   Propagation = unix.MS_SLAVE
	Private Propagation = unix.MS_PRIVATE
	// Unbindable is private, and not copied by recursive binds.
	Unbindable Propagation = unix.MS_UNBINDABLE
)

// CloneTree returns a detached copy of the mount that h is on, starting at h: a bind mount that isn't attached yet
// (open_tree(2), Linux 5.2). h must be of the calling thread's namespace.
func CloneTree(h *Handle, recursive bool) (*Handle, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd := -1
	err := call("open_tree", func() (err error) {
		fd, err = unix.OpenTree(h.Fd(), "", flags)
		return err
	})
	runtime.KeepAlive(h)
	if err != nil {
		return nil, err
	}
	return NewHandle(fd, h.path), nil
}

// SetAttr adds attributes to the mount whose root h is (mount_setattr(2), Linux 5.12).
func SetAttr(h *Handle, attr Attr) error {
	return setattr(h, &unix.MountAttr{Attr_set: uint64(attr)}, false)
}

// SetTreeAttr adds attributes to the mount whose root h is and to all below it.
func SetTreeAttr(h *Handle, attr Attr) error {
	return setattr(h, &unix.MountAttr{Attr_set: uint64(attr)}, true)
}

// SetPropagation changes the propagation of the mount whose root h is, and with recursive of all below it.
func SetPropagation(h *Handle, p Propagation, recursive bool) error {
	return setattr(h, &unix.MountAttr{Propagation: uint64(p)}, recursive)
}

func setattr(h *Handle, attr *unix.MountAttr, recursive bool) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	defer runtime.KeepAlive(h)
	return call("mount_setattr", func() error { return unix.MountSetattr(h.Fd(), "", flags, attr) })
}

// Attach puts the detached tree at the directory target (move_mount(2), Linux 5.2).
func Attach(tree, target *Handle) error {
	return moveMount(tree, target, 0)
}

// JoinGroup makes the private mount at to a member of the peer group, and a slave of the master, of the mount at from
// (move_mount(2): MOVE_MOUNT_SET_GROUP, Linux 5.15). Both must be roots of mounts.
func JoinGroup(from, to *Handle) error {
	return moveMount(from, to, unix.MOVE_MOUNT_SET_GROUP)
}

// ProbeJoinGroup reports whether JoinGroup is there: a kernel that doesn't know the flag says EINVAL to it before it
// looks at the descriptors.
func ProbeJoinGroup() error {
	bad := NewHandle(-1, "")
	if err := JoinGroup(bad, bad); !Is(err, EBADF) {
		return fmt.Errorf("the kernel can't restore a mount's peer group, which needs Linux 5.15: %w", err)
	}
	return nil
}

func moveMount(from, to *Handle, flags int) error {
	flags |= unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	defer runtime.KeepAlive(from)
	defer runtime.KeepAlive(to)
	return call("move_mount", func() error { return unix.MoveMount(from.Fd(), "", to.Fd(), "", flags) })
}

// DetachHere lazily unmounts the mount whose root h is. It changes the calling thread's working directory: there is
// no umount by descriptor, and /proc/self/fd is not always there.
func DetachHere(h *Handle) error {
	defer runtime.KeepAlive(h)
	if err := call("fchdir", func() error { return unix.Fchdir(h.Fd()) }); err != nil {
		return err
	}
	err := call("umount2", func() error { return unix.Unmount(".", unix.MNT_DETACH) })
	return errors.Join(err, call("chdir", func() error { return unix.Chdir("/") }))
}

// DetachTree is DetachHere for a mount whose root may be a file, which it takes by its name in /proc.
func DetachTree(h *Handle) error {
	defer runtime.KeepAlive(h)
	st, err := h.Stat()
	if err != nil {
		return err
	}
	if st.Type == TypeDirectory {
		return DetachHere(h)
	}
	name := fmt.Sprintf("/proc/thread-self/fd/%d", h.Fd())
	return call("umount2", func() error { return unix.Unmount(name, unix.MNT_DETACH) })
}

// DetachEntry lazily unmounts what is mounted on an entry, which may be a file, of the directory h. Like DetachHere it changes
// the calling thread's working directory.
func DetachEntry(h *Handle, name string) error {
	defer runtime.KeepAlive(h)
	if err := call("fchdir", func() error { return unix.Fchdir(h.Fd()) }); err != nil {
		return err
	}
	err := call("umount2", func() error { return unix.Unmount("./"+name, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
	return errors.Join(err, call("chdir", func() error { return unix.Chdir("/") }))
}

// Unmount lazily unmounts what is mounted at path.
func Unmount(path string) error {
	return call("umount2", func() error { return unix.Unmount(path, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH) })
}

// NewTmpfs makes a tmpfs with the parameters, each "key" or "key=value" (tmpfs(5)), and returns it as a detached mount
// (fsopen(2), Linux 5.2). An error holds the kernel's own message where there is one.
func NewTmpfs(parameters []string, attr Attr) (*Handle, error) {
	fs, err := fsopen("tmpfs")
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	for _, p := range append([]string{"source=tmpfs"}, parameters...) { // as mount(8) and pam_namespace name it in /proc/mounts
		if err := fs.setParameter(p); err != nil {
			return nil, fmt.Errorf("parameter %q: %w", p, fs.explain(err))
		}
	}
	if err := call("fsconfig", func() error { return unix.FsconfigCreate(fs.Fd()) }); err != nil {
		return nil, fs.explain(err)
	}
	fd := -1
	err = call("fsmount", func() (err error) {
		fd, err = unix.Fsmount(fs.Fd(), unix.FSMOUNT_CLOEXEC, int(attr))
		return err
	})
	if err != nil {
		return nil, fs.explain(err)
	}
	return NewHandle(fd, "tmpfs"), nil
}

type fsContext struct{ *Handle }

func fsopen(name string) (fsContext, error) {
	fd := -1
	err := call("fsopen", func() (err error) {
		fd, err = unix.Fsopen(name, unix.FSOPEN_CLOEXEC)
		return err
	})
	return fsContext{NewHandle(fd, name)}, err
}

func (fs fsContext) setParameter(p string) error {
	key, value, hasValue := strings.Cut(p, "=")
	return call("fsconfig", func() error {
		if hasValue {
			return unix.FsconfigSetString(fs.Fd(), key, value)
		}
		return unix.FsconfigSetFlag(fs.Fd(), key)
	})
}

// explain adds what the kernel wrote about the failure: one message a read, "e tmpfs: Bad value for 'size'".
func (fs fsContext) explain(err error) error {
	buf := make([]byte, 512)
	n, readErr := fs.Read(buf)
	if readErr != nil || n < 3 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.TrimSpace(string(buf[2:n])))
}

// ErrNoMountAPI says that the kernel, or a seccomp filter, lacks a system call that gons can't do without.
var ErrNoMountAPI = errors.New("the kernel lacks the mount API that gons needs (Linux 5.12 or newer), or a seccomp filter denies it")

// ProbeMountAPI reports whether the mount system calls are there, by calling each with a bad descriptor: ENOSYS, or a
// filter's EPERM, instead of EBADF is ErrNoMountAPI naming the call. Nothing is changed.
func ProbeMountAPI() error {
	bad := NewHandle(-1, "")
	probes := []func() error{
		func() error { _, err := CloneTree(bad, false); return err },
		func() error { return moveMount(bad, bad, 0) },
		func() error { return SetPropagation(bad, Private, false) },
		func() error { _, err := bad.OpenAt("x", LookAt, false); return err },
	}
	for _, probe := range probes {
		var sys *os.SyscallError
		if err := probe(); errors.As(err, &sys) && (sys.Err == unix.ENOSYS || sys.Err == unix.EPERM) {
			return fmt.Errorf("%w: %w", err, ErrNoMountAPI)
		}
	}
	return nil
}

// IsMountRoot reports whether something is mounted at path, symbolic links followed (statx(2): STATX_ATTR_MOUNT_ROOT).
func IsMountRoot(path string) (bool, error) {
	var st unix.Statx_t
	err := call("statx", func() error { return unix.Statx(unix.AT_FDCWD, path, 0, 0, &st) })
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, err
}
