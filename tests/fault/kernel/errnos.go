// Package kernel is a kernel in trouble: it says by which errors each system call that gons makes may fail, and with the
// build tag faults it fails them. So do the packages below internal in their tests, and tests/fault on the real kernel.
//
// An error is here when the call's manual page has it and a machine in trouble, a file system, a security module or a
// seccomp filter can give it to a caller who makes no mistake. What only a wrong argument gives isn't (EFAULT), nor what
// says that another process did something, which it didn't (ENOENT, EEXIST, ECHILD, ECONNRESET; EAGAIN of a lock): tests/attack and the tests
// that kill have such processes.
package kernel

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

type list = []unix.Errno

// What several calls have in common.
var (
	open = list{unix.EACCES, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR, unix.EIO}
	make = list{unix.EACCES, unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO, unix.ENOMEM}
	read = list{unix.EIO, unix.ENOMEM, unix.ESTALE}
	info = list{unix.EACCES, unix.ENOMEM, unix.EIO}
)

// byCall has an entry for each call; one that is empty can't fail for gons.
var byCall = map[string]list{
	// files
	"open": open, "openat": open, "openat2": append(list{unix.ENOSYS, unix.EAGAIN, unix.EPERM}, open...),
	"mkdirat": append(list{unix.EMLINK}, make...), "mknodat": make, "symlinkat": make,
	"renameat": make, "renameat2": append(list{unix.EINVAL}, make...),
	"unlinkat": {unix.EACCES, unix.EBUSY, unix.EIO, unix.EROFS, unix.EPERM},
	"fchown":   {unix.EPERM, unix.EROFS, unix.EIO, unix.EDQUOT}, "fchownat": {unix.EPERM, unix.EROFS, unix.EIO, unix.EDQUOT},
	"fchmod": {unix.EPERM, unix.EROFS, unix.EIO}, "fchmodat": {unix.EPERM, unix.EROFS, unix.EIO},
	"fgetxattr": {unix.EIO, unix.ENODATA, unix.EOPNOTSUPP}, "fsetxattr": {unix.EPERM, unix.ENOSPC, unix.EOPNOTSUPP, unix.EINVAL},
	"statx": append(list{unix.ENOSYS}, info...), "fstat": info, "newfstatat": info, "fstatfs": {unix.EIO, unix.ENOMEM, unix.EINTR},
	"faccessat": info, "readlinkat": {unix.EACCES, unix.EIO, unix.ENOMEM},
	"getdents64": {unix.EIO, unix.ENOMEM}, "lseek": {unix.EOVERFLOW, unix.EINVAL},
	"read": append(list{unix.EINTR}, read...), "pread64": append(list{unix.EINTR}, read...),
	"write": {unix.EINTR, unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EFBIG}, "pwrite64": {unix.EINTR, unix.EIO, unix.ENOSPC, unix.EDQUOT},
	"fcntl": {unix.EMFILE}, "fcntl F_OFD_SETLK": {unix.ENOLCK}, "fcntl F_OFD_SETLKW": {unix.EINTR, unix.ENOLCK},
	"dup": {unix.EMFILE}, "dup2": {unix.EMFILE, unix.EBUSY}, "dup3": {unix.EMFILE, unix.EBUSY},
	"close_range": {unix.EMFILE, unix.ENOMEM, unix.ENOSYS},
	// mounts
	"open_tree":     {unix.EPERM, unix.ENOSYS, unix.ENOMEM, unix.EMFILE, unix.EINVAL},
	"mount_setattr": {unix.EPERM, unix.ENOSYS, unix.EINVAL, unix.ENOMEM, unix.EBUSY},
	"move_mount":    {unix.EPERM, unix.ENOSYS, unix.EINVAL, unix.ENOSPC, unix.ELOOP},
	"fsopen":        {unix.EPERM, unix.ENOSYS, unix.ENODEV, unix.ENOMEM, unix.EMFILE},
	"fsconfig":      {unix.EPERM, unix.ENOSYS, unix.EINVAL, unix.ENOMEM},
	"fsmount":       {unix.EPERM, unix.ENOSYS, unix.ENOMEM, unix.EMFILE},
	"umount2":       {unix.EPERM, unix.EBUSY, unix.EINVAL, unix.ENOMEM},
	// namespaces and places
	"unshare": {unix.EPERM, unix.ENOMEM, unix.ENOSPC}, "setns": {unix.EPERM, unix.ENOMEM, unix.EINVAL},
	"chroot": {unix.EPERM, unix.EACCES, unix.EIO}, "chdir": {unix.EACCES, unix.EIO, unix.ENOMEM}, "fchdir": {unix.EACCES, unix.EIO},
	"ioctl": {unix.ENOTTY, unix.EPERM, unix.ENOMEM}, "getcwd": {unix.EACCES, unix.ENOENT, unix.ENOMEM},
	// processes
	"clone": {unix.EAGAIN, unix.ENOMEM, unix.ENOSPC, unix.EPERM}, "clone3": {unix.EAGAIN, unix.ENOMEM, unix.ENOSYS},
	"execve":            {unix.EACCES, unix.ENOENT, unix.ENOMEM, unix.EAGAIN, unix.ETXTBSY},
	"pidfd_open":        {unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOSYS, unix.EINVAL},
	"pidfd_send_signal": {unix.EPERM, unix.ENOSYS, unix.ESRCH},
	"kill":              {unix.ESRCH}, "wait4": {unix.EINTR}, "waitid": {unix.EINTR},
	"prctl": {unix.EINVAL, unix.EPERM, unix.ENOSYS}, "setgroups": {unix.EPERM, unix.ENOMEM},
	"setresuid": {unix.EAGAIN, unix.EPERM, unix.ENOMEM}, "setresgid": {unix.EPERM, unix.ENOMEM},
	"prlimit64": {unix.EPERM, unix.ENOSYS}, "getrandom": {unix.EINTR, unix.EAGAIN, unix.ENOSYS},
	// talking
	"socketpair": {unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.EAFNOSUPPORT}, "pipe2": {unix.EMFILE, unix.ENFILE},
	"sendmsg": {unix.EINTR, unix.ENOBUFS, unix.ENOMEM, unix.EPIPE, unix.EPERM},
	"recvmsg": {unix.EINTR, unix.ENOMEM, unix.EBADF},
	"poll":    {unix.EINTR, unix.ENOMEM, unix.EINVAL}, "ppoll": {unix.EINTR, unix.ENOMEM, unix.EINVAL},
	// memory
	"mmap": {unix.ENOMEM, unix.EAGAIN, unix.EPERM}, "mprotect": {unix.ENOMEM, unix.EACCES},
	"madvise": {unix.ENOMEM, unix.EINVAL, unix.EAGAIN}, "brk": {unix.ENOMEM},
}

// Errnos returns the errors of a call, named as in an error of gons ("fcntl F_OFD_SETLK", "open of /dev/null"). known is false
// for a call that nobody has thought of.
func Errnos(call string) (errnos []unix.Errno, known bool) {
	if errnos, known = byCall[call]; known {
		return errnos, true
	}
	name, _, _ := strings.Cut(call, " ")
	errnos, known = byCall[name]
	return errnos, known
}

// Long says that a test may take its time: make test-long.
var Long = os.Getenv("GONS_LONG") != ""

// Try returns those errors of the n-th call that are to be tried: all of them in a long test, else one, of calls of a
// kind another one each time.
func Try(call string, n int) (errnos []unix.Errno, known bool) {
	errnos, known = Errnos(call)
	if Long || len(errnos) == 0 {
		return errnos, known
	}
	n %= len(errnos)
	return errnos[n : n+1], known
}
