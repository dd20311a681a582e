package fault_test

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// traps are the calls that are decided about, by number. Not among them are those that a run doesn't make equally often
// each time (futex, nanosleep), and those that can't fail for who makes no mistake.
var traps = map[uint32]string{
	unix.SYS_OPENAT: "openat", unix.SYS_OPENAT2: "openat2", unix.SYS_MKDIRAT: "mkdirat", unix.SYS_RENAMEAT: "renameat",
	unix.SYS_RENAMEAT2: "renameat2", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_FCHOWN: "fchown", unix.SYS_FCHOWNAT: "fchownat",
	unix.SYS_FCHMOD: "fchmod", unix.SYS_FCHMODAT: "fchmodat", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_MKNODAT: "mknodat",
	unix.SYS_FGETXATTR: "fgetxattr", unix.SYS_FSETXATTR: "fsetxattr", unix.SYS_STATX: "statx", unix.SYS_FSTAT: "fstat",
	unix.SYS_FSTATFS: "fstatfs", unix.SYS_FACCESSAT: "faccessat", unix.SYS_READLINKAT: "readlinkat",
	unix.SYS_GETDENTS64: "getdents64", unix.SYS_LSEEK: "lseek", unix.SYS_READ: "read", unix.SYS_PREAD64: "pread64",
	unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "pwrite64", unix.SYS_FCNTL: "fcntl", unix.SYS_DUP: "dup", unix.SYS_DUP3: "dup3",
	unix.SYS_CLOSE_RANGE: "close_range",

	unix.SYS_OPEN_TREE: "open_tree", unix.SYS_MOUNT_SETATTR: "mount_setattr", unix.SYS_MOVE_MOUNT: "move_mount",
	unix.SYS_FSOPEN: "fsopen", unix.SYS_FSCONFIG: "fsconfig", unix.SYS_FSMOUNT: "fsmount", unix.SYS_UMOUNT2: "umount2",

	unix.SYS_UNSHARE: "unshare", unix.SYS_SETNS: "setns", unix.SYS_CHROOT: "chroot", unix.SYS_CHDIR: "chdir",
	unix.SYS_FCHDIR: "fchdir", unix.SYS_IOCTL: "ioctl", unix.SYS_GETCWD: "getcwd",

	unix.SYS_CLONE: "clone", unix.SYS_CLONE3: "clone3", unix.SYS_PIDFD_OPEN: "pidfd_open",
	unix.SYS_PIDFD_SEND_SIGNAL: "pidfd_send_signal", unix.SYS_WAIT4: "wait4", unix.SYS_WAITID: "waitid", unix.SYS_PRCTL: "prctl",
	unix.SYS_SETGROUPS: "setgroups", unix.SYS_SETRESUID: "setresuid", unix.SYS_SETRESGID: "setresgid",
	unix.SYS_PRLIMIT64: "prlimit64", unix.SYS_GETRANDOM: "getrandom",

	unix.SYS_SOCKETPAIR: "socketpair", unix.SYS_PIPE2: "pipe2", unix.SYS_SENDMSG: "sendmsg", unix.SYS_RECVMSG: "recvmsg",
	unix.SYS_PPOLL: "ppoll",

	unix.SYS_MMAP: "mmap", unix.SYS_MPROTECT: "mprotect", unix.SYS_MADVISE: "madvise", unix.SYS_BRK: "brk",
}

// trapList is traps as pamhost wants them.
func trapList() string {
	var out []string
	for nr := range traps {
		out = append(out, strconv.Itoa(int(nr)))
	}
	return strings.Join(out, ",")
}

// name is the call of a notification, as package kernel knows it.
func (n *notification) name() string {
	if n.nr == unix.SYS_FCNTL {
		switch n.args[1] {
		case unix.F_OFD_SETLK:
			return "fcntl F_OFD_SETLK"
		case unix.F_OFD_SETLKW:
			return "fcntl F_OFD_SETLKW"
		case unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD: // can't fail
			return ""
		}
	}
	return traps[n.nr]
}
