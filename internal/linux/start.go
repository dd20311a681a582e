package linux

import (
	"os"
	"syscall"
)

// StartAs runs a program as a user, with the calling process's descriptors 0 to 2, no other of the caller's, and groups, in the directory dir. The thread
// must be locked: the program starts in its mount namespace and root. It is killed when that thread ends.
func StartAs(path string, argv, env []string, dir string, uid, gid uint32) (*Process, error) {
	if err := CloseOnExecute(); err != nil {
		return nil, err
	}
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir: dir, Env: env, Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uid, Gid: gid, NoSetGroups: true},
			Pdeathsig:  syscall.SIGKILL, PidFD: &pidfd,
		},
	}
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return nil, os.NewSyscallError("execve", err)
	}
	return &Process{pid, NewHandle(pidfd, "a process")}, nil
}
