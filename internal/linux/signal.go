package linux

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// EndingSignals are those that end programs on request: two that are sent by name, and two of the keyboard.
var EndingSignals = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT}

// SignalWith is the signal with that number.
func SignalWith(n int) os.Signal { return syscall.Signal(n) }

// IsOwnBusiness reports whether a signal is one that a process gets for what it does itself: SIGURG is Go's.
func IsOwnBusiness(sig os.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU:
		return true
	}
	return false
}

// IsTerminals reports whether a signal is one that terminals send, to all of the group in their foreground.
func IsTerminals(sig os.Signal) bool {
	switch sig {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGWINCH, unix.SIGCONT:
		return true
	}
	return false
}

// SignalName is the name of a signal: "SIGKILL". Real-time signals have numbers alone: "signal 34".
func SignalName(sig os.Signal) string {
	if name := unix.SignalName(sig.(syscall.Signal)); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", NumberOf(sig))
}

// EndBy ends this process by a signal, without a core file: the process that it ended first may have left one. It returns
// where the signal doesn't end a process.
func EndBy(sig os.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	restore := defaultAction(sig.(syscall.Signal))
	defer restore()
	blockSignals(0)
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig.(syscall.Signal)) // to this thread: another one would get it too late
}

// defaultAction gives a signal its default action until restore is called (rt_sigaction(2), whose structure has four
// words, the default being nothing but zeros). Failure isn't possible for a signal that exists.
func defaultAction(sig syscall.Signal) (restore func()) {
	var none, old [4]uint64
	set := func(to, from *[4]uint64) {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), 8, 0, 0)
	}
	set(&none, &old)
	return func() { set(&old, nil) }
}

// blockSignals has the calling thread, which must be locked, block the signals of a set, signal n being bit n-1, and no
// other. It returns the set of those before.
func blockSignals(set uint64) (before uint64) {
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&set)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	return before
}

// NumberOf returns the number of a signal.
func NumberOf(sig os.Signal) int { return int(sig.(syscall.Signal)) }
