package linux

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Target is any process of the machine, held so that its number can't be taken for another's: what is read below its
// directory in /proc is asked for first, and whether it still lives afterwards.
type Target struct {
	pid   int
	pidfd *Handle
}

// OpenTarget holds a process. ESRCH where there is none of that number.
func OpenTarget(pid int) (*Target, error) {
	pidfd, err := openPidfd(pid)
	if err != nil {
		return nil, err
	}
	return &Target{pid, pidfd}, nil
}

// PID returns the number of the process.
func (t *Target) PID() int { return t.pid }

// Close lets go of the process. A nil Target is none.
func (t *Target) Close() error {
	if t == nil {
		return nil
	}
	return t.pidfd.Close()
}

// Lives reports whether the process hasn't been waited for, so that its number is still its own. What was opened below
// /proc before that was the process's.
func (t *Target) Lives() bool {
	defer runtime.KeepAlive(t)
	err := call("pidfd_send_signal", func() error { return unix.PidfdSendSignal(t.pidfd.Fd(), 0, nil, 0) })
	return err == nil || Is(err, unix.EPERM)
}

// Open opens a file of the process's directory in /proc for reading: "mountinfo", "ns/mnt".
func (t *Target) Open(name string) (*Handle, error) {
	path := "/proc/" + strconv.Itoa(t.pid) + "/" + name
	h, err := openFile(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	if !t.Lives() {
		h.Close()
		return nil, fmt.Errorf("cannot open %s: the process has ended: %w", path, os.NewSyscallError("open", unix.ESRCH))
	}
	return h, nil
}
