package linux

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Process is a child of this process that wasn't waited for yet: until then its number can't become another's.
type Process struct {
	pid   int
	pidfd *Handle
}

// Setup is what a program starts with besides its arguments.
type Setup struct {
	// Umask is the program's file mode creation mask.
	Umask uint32
	// Input is its descriptor 0, Output its descriptors 1 and 2. It gets no other.
	Input, Output *Handle
}

// CloseOnExecute keeps all of this process's descriptors but 0 to 2 from the programs that it starts or becomes.
func CloseOnExecute() error {
	return call("close_range", func() error { return unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) })
}

// StartProcess runs the program at path, as the calling thread resolves it, with the arguments argv, of which the first
// is its name. The thread must be locked: the program starts in its mount namespace and root, in /, with an empty
// environment and all signals unblocked and at their defaults, and is killed when the thread ends. The thread's umask is the program's for a
// moment. An error of execve(2) is returned as one, and then no process is left.
func StartProcess(path string, argv []string, s Setup) (*Process, error) {
	defer runtime.KeepAlive(s)
	err := CloseOnExecute()
	if err != nil {
		return nil, err
	}
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir: "/", Env: []string{}, Files: []uintptr{uintptr(s.Input.Fd()), uintptr(s.Output.Fd()), uintptr(s.Output.Fd())},
		Sys: &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, PidFD: &pidfd},
	}
	before := SetUmask(int(s.Umask))
	ignoreAgain := defaultAction(unix.SIGXFSZ) // the worker ignores it, and execve(2) leaves what is ignored
	pid := 0
	err = attempt("execve", func() (err error) {
		pid, err = syscall.ForkExec(path, argv, attr)
		return err
	})
	ignoreAgain()
	SetUmask(before)
	if err != nil {
		return nil, os.NewSyscallError("execve", err)
	}
	p := &Process{pid, NewHandle(pidfd, "a process")}
	if pidfd < 0 { // a kernel before 5.2
		p.Kill()
		p.Wait()
		return nil, os.NewSyscallError("clone CLONE_PIDFD", ENOSYS)
	}
	return p, nil
}

// OpenChild is the child of this process with that number, or ECHILD.
func OpenChild(pid int) (*Process, error) {
	err := call("waitid", func() error {
		return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil)
	})
	if err != nil {
		return nil, err
	}
	pidfd, err := openPidfd(pid)
	if err != nil {
		return nil, err
	}
	return &Process{pid, pidfd}, nil
}

func openPidfd(pid int) (*Handle, error) {
	fd := -1
	err := call("pidfd_open", func() (err error) {
		fd, err = unix.PidfdOpen(pid, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return NewHandle(fd, "a process"), nil
}

// PID returns the process's number.
func (p *Process) PID() int { return p.pid }

// Ended is a handle that can be read from (Poll) once the process has ended.
func (p *Process) Ended() *Handle { return p.pidfd }

// Close closes the handle of the process, which doesn't end it.
func (p *Process) Close() error { return p.pidfd.Close() }

// Kill sends SIGKILL to the process, which mustn't have been waited for.
func (p *Process) Kill() error {
	if p.pid <= 0 { // 0 and below are groups, and everybody (kill(2))
		return os.NewSyscallError("kill", unix.ESRCH)
	}
	return call("kill", func() error { return unix.Kill(p.pid, unix.SIGKILL) })
}

// Signal sends a signal to the process, which mustn't have been waited for.
func (p *Process) Signal(sig os.Signal) error {
	return call("pidfd_send_signal", func() error { return unix.PidfdSendSignal(p.pidfd.Fd(), sig.(syscall.Signal), nil, 0) })
}

// KillIf sends SIGKILL to a process, any one, that still is what it was taken for: is is asked once its number can't
// become another's any more. One that is gone, or another, is no error.
func KillIf(pid int, is func() bool) error {
	pidfd, err := openPidfd(pid)
	if Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer pidfd.Close()
	if !is() {
		return nil
	}
	err = call("pidfd_send_signal", func() error { return unix.PidfdSendSignal(pidfd.Fd(), unix.SIGKILL, nil, 0) })
	if Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Exit is how a process ended.
type Exit struct {
	// Status is its exit status; where a signal ended it, 128 and the number of that, as shells have it.
	Status int
	// Signal is what ended it, nil where it ended by itself.
	Signal os.Signal
}

func exit(status unix.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Status: 128 + int(status.Signal()), Signal: status.Signal()}
	}
	return Exit{Status: status.ExitStatus()}
}

// Wait waits for the end of the process and frees its number.
func (p *Process) Wait() (Exit, error) {
	var status unix.WaitStatus
	err := call("wait4", func() error {
		_, err := unix.Wait4(p.pid, &status, unix.WALL, nil)
		return err
	})
	if err != nil {
		return Exit{}, err
	}
	return exit(status), nil
}

// SetUmask sets the process's umask and returns the one before.
func SetUmask(mask int) int { return unix.Umask(mask) }

// SetSubreaper makes this process the parent of orphans among its descendants (PR_SET_CHILD_SUBREAPER), or no longer,
// and returns what it was before.
func SetSubreaper(on bool) (before bool, err error) {
	var was int32
	if err := call("prctl PR_GET_CHILD_SUBREAPER", func() error {
		return unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&was)), 0, 0, 0)
	}); err != nil {
		return false, err
	}
	value := uintptr(0)
	if on {
		value = 1
	}
	return was != 0, call("prctl PR_SET_CHILD_SUBREAPER", func() error {
		return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, value, 0, 0, 0)
	})
}

// ResetExecContext takes back the SELinux context that the calling thread, and what it forks, would run programs in
// (setexeccon(3) with NULL).
func ResetExecContext() error {
	const path = "/proc/thread-self/attr/exec"
	fd := -1
	err := call("open of "+path, func() (err error) {
		fd, err = unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return call("write to "+path, func() error {
		_, err := unix.Write(fd, nil)
		return err
	})
}

// Pipe returns the two ends of a pipe. Reading doesn't block (EAGAIN), writing does.
func Pipe() (from, to *Handle, err error) {
	if from, to, err = BlockingPipe(); err != nil {
		return nil, nil, err
	}
	if err := call("fcntl", func() error { return unix.SetNonblock(from.Fd(), true) }); err != nil {
		return nil, nil, errors.Join(err, from.Close(), to.Close())
	}
	return from, to, nil
}

// BlockingPipe returns the two ends of a pipe. Reading and writing block.
func BlockingPipe() (from, to *Handle, err error) {
	var fds [2]int
	if err := call("pipe2", func() error { return unix.Pipe2(fds[:], unix.O_CLOEXEC) }); err != nil {
		return nil, nil, err
	}
	return NewHandle(fds[0], "a pipe"), NewHandle(fds[1], "a pipe"), nil
}

// OpenNull opens /dev/null for reading.
func OpenNull() (*Handle, error) {
	return openFile("/dev/null", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK)
}

// Poll waits until one of files can be read from or is at its end, or a signal comes, at most for timeout, and tells
// which are ready. A nil file never is.
func Poll(timeout time.Duration, files ...*Handle) ([]bool, error) {
	fds := make([]unix.PollFd, len(files))
	for i, f := range files {
		fds[i] = unix.PollFd{Fd: int32(f.Fd()), Events: unix.POLLIN}
	}
	ms := (max(timeout, 0) + time.Millisecond - 1) / time.Millisecond
	err := attempt("poll", func() error {
		_, err := unix.Poll(fds, int(min(ms, 1<<30)))
		return err
	})
	runtime.KeepAlive(files)
	ready := make([]bool, len(files))
	for i := range fds {
		ready[i] = err == nil && fds[i].Revents != 0
	}
	if err == unix.EINTR {
		err = nil
	}
	return ready, os.NewSyscallError("poll", err)
}
