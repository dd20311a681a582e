package linux

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BecomeUser gives the calling thread, which must be locked, the ids of a user for good. Other threads keep theirs: it is for
// the thread that is about to Execute, since nothing of root's is left then. It works on the thread and not, as
// syscall.Setuid, on all of them, because they need not be in one namespace.
func BecomeUser(uid, gid uint32, groups []uint32) error {
	list := append([]uint32{0}, groups...)
	if err := call("setgroups", func() error {
		_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(list[1:]))), 0)
		return errnoError(errno)
	}); err != nil {
		return err
	}
	if err := ids("setresgid", unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); err != nil {
		return err
	}
	return ids("setresuid", unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
}

func ids(name string, number, a, b, c uintptr) error {
	return call(name, func() error {
		_, _, errno := unix.RawSyscall(number, a, b, c)
		return errnoError(errno)
	})
}

func errnoError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// SetGroups gives all threads of this process the groups.
func SetGroups(groups []uint32) error {
	list := make([]int, len(groups))
	for i, g := range groups {
		list[i] = int(g)
	}
	return os.NewSyscallError("setgroups", syscall.Setgroups(list))
}

// AccessFilesAs has the calling thread, which must be locked and is of no other use afterwards, access files as a user who
// is in that group alone (setfsuid(2), credentials(7)).
func AccessFilesAs(uid, gid uint32) error {
	if err := fileID("setfsgid", unix.SetfsgidRetGid, gid); err != nil {
		return err
	}
	return fileID("setfsuid", unix.SetfsuidRetUid, uid)
}

// fileID sets an id and asks for it: the calls have no other way to fail.
func fileID(name string, set func(int) (int, error), id uint32) error {
	set(int(id))
	if now, _ := set(-1); uint32(now) != id {
		return os.NewSyscallError(name, unix.EPERM)
	}
	return nil
}
