package linux

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Handle is an open file descriptor. Its path is what it was opened by and serves messages only: the file may have
// another name by now, so no operation goes through it.
type Handle struct {
	fd   int
	path string
}

// NewHandle takes over a descriptor that this process was given.
func NewHandle(fd int, path string) *Handle { return &Handle{fd: fd, path: path} }

// Path returns the name the handle was opened by, for messages.
func (h *Handle) Path() string { return h.path }

// Fd returns the descriptor, which stays the handle's.
func (h *Handle) Fd() int {
	if h == nil {
		return -1 // EBADF, where AT_FDCWD would be a surprise
	}
	return h.fd
}

// Close closes the handle. Closing twice, or a nil handle, does nothing.
func (h *Handle) Close() error {
	if h == nil || h.fd < 0 {
		return nil
	}
	fd := h.fd
	h.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}

// Named returns the same handle with another name for messages.
func (h *Handle) Named(path string) *Handle {
	h.path = path
	return h
}

// Dup returns a second handle of the same open file.
func (h *Handle) Dup() (*Handle, error) {
	fd := -1
	err := call("fcntl", func() (err error) {
		fd, err = unix.FcntlInt(uintptr(h.Fd()), unix.F_DUPFD_CLOEXEC, 3)
		return err
	})
	runtime.KeepAlive(h)
	if err != nil {
		return nil, err
	}
	return NewHandle(fd, h.path), nil
}

// OpenRoot opens the calling thread's root directory.
func OpenRoot() (*Handle, error) {
	return openFile("/", unix.O_PATH|unix.O_DIRECTORY)
}

// openFile opens what is at path, as the calling thread resolves it, symbolic links followed.
func openFile(path string, flags int) (*Handle, error) {
	fd := -1
	err := call("open", func() (err error) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return NewHandle(fd, path), nil
}

// OpenPath opens whatever is at a path, which the caller trusts, without reading it; symbolic links are followed.
func OpenPath(path string) (*Handle, error) { return openFile(path, unix.O_PATH) }

// How an entry is opened; each is one component below a directory, never following a symbolic link.
const (
	// LookAt opens anything without reading it: a FIFO doesn't block, a device isn't touched.
	LookAt = unix.O_PATH
	// LookAtDirectory opens a directory without reading it; autofs mounts it.
	LookAtDirectory = unix.O_PATH | unix.O_DIRECTORY
	// ReadDirectory opens a directory to list it and to change its mode.
	ReadDirectory = unix.O_RDONLY | unix.O_DIRECTORY
	// ReadFile opens a file for reading. A FIFO doesn't block and a terminal isn't acquired.
	ReadFile = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	// CreateFile makes a new file for writing.
	CreateFile = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOCTTY
	// OpenOrCreateFile opens a file for reading and writing and makes it when it is missing.
	OpenOrCreateFile = unix.O_RDWR | unix.O_CREAT | unix.O_NONBLOCK | unix.O_NOCTTY
)

// OpenAt opens one entry of the directory h by one of the constants above. name must be a single component. Symbolic
// links are never followed (openat2(2): RESOLVE_NO_SYMLINKS, O_NOFOLLOW), and with sameMount neither are mounts.
// A created file gets mode 0600.
func (h *Handle) OpenAt(name string, how int, sameMount bool) (*Handle, error) {
	o := unix.OpenHow{
		Flags:   uint64(how) | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_BENEATH,
	}
	if how&unix.O_CREAT != 0 {
		o.Mode = 0o600
	}
	if sameMount {
		o.Resolve |= unix.RESOLVE_NO_XDEV
	}
	fd, tries := -1, 0
	err := call("openat2", func() (err error) {
		fd, err = unix.Openat2(h.Fd(), name, &o)
		if tries++; err == unix.EAGAIN && tries < 1000 { // a rename or mount elsewhere raced with the lookup (openat2(2))
			return unix.EINTR
		}
		return err
	})
	runtime.KeepAlive(h)
	if err != nil {
		return nil, err
	}
	return NewHandle(fd, join(h.path, name)), nil
}

func join(dir, name string) string {
	if dir == "" || dir[len(dir)-1] == '/' {
		return dir + name
	}
	return dir + "/" + name
}

// Readlink returns the target of the symbolic link that h is (opened with LookAt).
func (h *Handle) Readlink() (string, error) {
	buf := make([]byte, unix.PathMax)
	n := 0
	err := call("readlinkat", func() (err error) {
		n, err = unix.Readlinkat(h.Fd(), "", buf)
		return err
	})
	runtime.KeepAlive(h)
	return string(buf[:max(n, 0)]), err
}

// Type is a file's type, the S_IFMT bits of its mode.
type Type uint32

// The file types that are told apart.
const (
	TypeDirectory Type = unix.S_IFDIR
	TypeRegular   Type = unix.S_IFREG
	TypeSymlink   Type = unix.S_IFLNK
)

// String returns the type in words, with its article.
func (t Type) String() string {
	switch uint32(t) {
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "a device"
	}
	return fmt.Sprintf("of unknown type %#o", uint32(t))
}

// Stat is what is known of a file.
type Stat struct {
	Type     Type
	Mode     uint32 // permission bits, 07777
	UID, GID uint32
	Dev, Ino uint64
	Nlink    uint32
	MountID  uint64 // of the mount it was reached by; unique among living mounts
}

// SameFile reports whether a and b are one file.
func (a Stat) SameFile(b Stat) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// Stat returns what h is now.
func (h *Handle) Stat() (Stat, error) {
	var st unix.Statx_t
	mask := unix.STATX_BASIC_STATS | unix.STATX_MNT_ID
	err := call("statx", func() error {
		return unix.Statx(h.Fd(), "", unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT, mask, &st)
	})
	runtime.KeepAlive(h)
	if err != nil {
		return Stat{}, err
	}
	return Stat{
		Type: Type(uint32(st.Mode) & unix.S_IFMT), Mode: uint32(st.Mode) &^ unix.S_IFMT,
		UID: st.Uid, GID: st.Gid, Nlink: st.Nlink,
		Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino, MountID: st.Mnt_id,
	}, nil
}

// MountID returns the number of the mount that h was reached by. It asks the file system nothing, so a FUSE server that
// doesn't answer can't hold it up (statx(2): an empty mask, AT_STATX_DONT_SYNC).
func (h *Handle) MountID() (uint64, error) {
	var st unix.Statx_t
	err := call("statx", func() error {
		return unix.Statx(h.Fd(), "", unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, 0, &st)
	})
	runtime.KeepAlive(h)
	return st.Mnt_id, err
}

// Mkdir makes a directory in h with exactly that mode when the process's umask is 0 or 077 and mode within 0700.
func (h *Handle) Mkdir(name string, mode uint32) error {
	defer runtime.KeepAlive(h)
	return call("mkdirat", func() error { return unix.Mkdirat(h.Fd(), name, mode) })
}

// Unlink removes a file from the directory h.
func (h *Handle) Unlink(name string) error {
	defer runtime.KeepAlive(h)
	return call("unlinkat", func() error { return unix.Unlinkat(h.Fd(), name, 0) })
}

// Rmdir removes an empty directory from the directory h.
func (h *Handle) Rmdir(name string) error {
	defer runtime.KeepAlive(h)
	return call("unlinkat", func() error { return unix.Unlinkat(h.Fd(), name, unix.AT_REMOVEDIR) })
}

// RenameNew renames an entry of h to a name in to that must not exist yet (renameat2(2): RENAME_NOREPLACE).
func (h *Handle) RenameNew(name string, to *Handle, newName string) error {
	defer runtime.KeepAlive(h)
	defer runtime.KeepAlive(to)
	return call("renameat2", func() error {
		return unix.Renameat2(h.Fd(), name, to.Fd(), newName, unix.RENAME_NOREPLACE)
	})
}

// RenameOver renames an entry of h to another name in h, replacing what has that name.
func (h *Handle) RenameOver(name, newName string) error {
	defer runtime.KeepAlive(h)
	return call("renameat", func() error { return unix.Renameat(h.Fd(), name, h.Fd(), newName) })
}

// Chown sets the owner and group of h, which may be a LookAt handle.
func (h *Handle) Chown(uid, gid uint32) error {
	defer runtime.KeepAlive(h)
	return call("fchownat", func() error {
		return unix.Fchownat(h.Fd(), "", int(uid), int(gid), unix.AT_EMPTY_PATH)
	})
}

// Chmod sets the permission bits of h, which must be open for reading.
func (h *Handle) Chmod(mode uint32) error {
	defer runtime.KeepAlive(h)
	return call("fchmod", func() error { return unix.Fchmod(h.Fd(), mode) })
}

// Names lists the directory h, at most limit entries; "." and ".." are left out. A further call goes on.
func (h *Handle) Names(limit int) ([]string, error) {
	buf := make([]byte, 32<<10)
	var names []string
	for len(names) < limit {
		n := 0
		err := call("getdents64", func() (err error) {
			n, err = unix.ReadDirent(h.Fd(), buf)
			return err
		})
		runtime.KeepAlive(h)
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	return names, nil
}

// Rewind makes the next Names start again.
func (h *Handle) Rewind() error {
	defer runtime.KeepAlive(h)
	return call("lseek", func() error {
		_, err := unix.Seek(h.Fd(), 0, io.SeekStart)
		return err
	})
}

// Read reads into p from the current offset: the bytes read, 0 at the end.
func (h *Handle) Read(p []byte) (int, error) {
	n := 0
	err := call("read", func() (err error) {
		n, err = unix.Read(h.Fd(), p)
		return err
	})
	runtime.KeepAlive(h)
	if err == nil && n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return max(n, 0), err
}

// Write writes all of p.
func (h *Handle) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := 0
		err := call("write", func() (err error) {
			n, err = unix.Write(h.Fd(), p[done:])
			return err
		})
		runtime.KeepAlive(h)
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// FileSystem is what is known of the file system that holds a file.
type FileSystem struct {
	NoSuid, NoDev, NoExec bool
}

// FileSystem returns the flags of the mount that h was reached by.
func (h *Handle) FileSystem() (FileSystem, error) {
	var st unix.Statfs_t
	err := call("fstatfs", func() error { return unix.Fstatfs(h.Fd(), &st) })
	runtime.KeepAlive(h)
	return FileSystem{
		NoSuid: st.Flags&unix.ST_NOSUID != 0,
		NoDev:  st.Flags&unix.ST_NODEV != 0,
		NoExec: st.Flags&unix.ST_NOEXEC != 0,
	}, err
}

// LockRange takes an exclusive or shared lock on one byte of the file h and waits for it. The lock belongs to the open
// file (fcntl(2): F_OFD_SETLKW): it goes with the handle, or with the process however that ends.
func (h *Handle) LockRange(at int64, exclusive bool) error {
	kind := int16(unix.F_RDLCK)
	if exclusive {
		kind = unix.F_WRLCK
	}
	return h.lock("fcntl F_OFD_SETLKW", unix.F_OFD_SETLKW, kind, at)
}

// TryLockRange is LockRange without waiting: EAGAIN when another holds it.
func (h *Handle) TryLockRange(at int64) error {
	return h.lock("fcntl F_OFD_SETLK", unix.F_OFD_SETLK, unix.F_WRLCK, at)
}

// UnlockRange gives the lock up.
func (h *Handle) UnlockRange(at int64) error {
	return h.lock("fcntl F_OFD_SETLK", unix.F_OFD_SETLK, unix.F_UNLCK, at)
}

func (h *Handle) lock(name string, cmd int, kind int16, at int64) error {
	defer runtime.KeepAlive(h)
	return call(name, func() error {
		lk := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: at, Len: 1}
		return unix.FcntlFlock(uintptr(h.Fd()), cmd, &lk)
	})
}

// ReadCounter reads the number that WriteCounter wrote at the offset; 0 where none was.
func (h *Handle) ReadCounter(at int64) (uint64, error) {
	var b [8]byte
	err := call("pread64", func() error {
		_, err := unix.Pread(h.Fd(), b[:], at)
		return err
	})
	runtime.KeepAlive(h)
	return binary.NativeEndian.Uint64(b[:]), err
}

// WriteCounter writes a number at the offset.
func (h *Handle) WriteCounter(at int64, n uint64) error {
	b := binary.NativeEndian.AppendUint64(nil, n)
	defer runtime.KeepAlive(h)
	return call("pwrite64", func() error {
		_, err := unix.Pwrite(h.Fd(), b, at)
		return err
	})
}

// Modified returns when h was last changed.
func (h *Handle) Modified() (time.Time, error) {
	var st unix.Stat_t
	err := call("fstat", func() error { return unix.Fstat(h.Fd(), &st) })
	runtime.KeepAlive(h)
	return time.Unix(st.Mtim.Unix()), err
}

// String names the handle for debugging.
func (h *Handle) String() string { return h.path + " (fd " + strconv.Itoa(h.Fd()) + ")" }

// Enter makes the directory h the working directory of the calling thread, and of those that it shares that with.
func (h *Handle) Enter() error {
	defer runtime.KeepAlive(h)
	return call("fchdir", func() error { return unix.Fchdir(h.Fd()) })
}
