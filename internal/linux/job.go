package linux

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Change is how a process has changed that was waited for.
type Change struct {
	// Stopped says that it may go on, and hasn't ended.
	Stopped bool
	Exit
}

// WaitChange waits until the process ends or stops. After its end its number is free.
func (p *Process) WaitChange() (Change, error) {
	var status unix.WaitStatus
	err := call("wait4", func() error {
		_, err := unix.Wait4(p.pid, &status, unix.WUNTRACED|unix.WALL, nil)
		return err
	})
	if err != nil || status.Stopped() {
		return Change{Stopped: err == nil}, err
	}
	return Change{Exit: exit(status)}, nil
}

// Continue sends SIGCONT.
func (p *Process) Continue() error { return p.Signal(unix.SIGCONT) }

// StopSelf stops this process (SIGSTOP) until another one has it go on. The signal goes to the calling thread, which has stopped
// when the call returns: another thread would get it some time later, and this one would have gone on meanwhile.
func StopSelf() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return call("tgkill", func() error { return unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP) })
}

// SharesForeground reports whether p is in this process's group, and that in the foreground of its terminal.
func (p *Process) SharesForeground() bool {
	own := unix.Getpgrp()
	if group, err := unix.Getpgid(p.pid); err != nil || group != own {
		return false
	}
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && foreground == own
}
