package linux

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// failure is how a program ended that didn't reach its end, in memory that a forked process can write to a pipe as it is.
type failure struct {
	part    int32 // which program of several; see spawn.go
	index   int32
	errno   int32
	textLen int32
	text    [256]byte // what the kernel says of it
}

// perform makes the calls. It runs in forked processes too, where neither the collector nor the scheduler is: it
// allocates nothing, grows no stack, and calls nothing that could.
//
//go:nosplit
//go:norace
func (p *Program) perform(f *failure) bool {
	for i := 0; i < len(p.calls); i++ {
		c := &p.calls[i]
		result, errno := c.perform(p.regs)
		if errno == 0 {
			if c.result > 0 {
				p.regs[c.result-1] = result
			}
			continue
		}
		if c.forgives(errno) {
			continue
		}
		f.index, f.errno = int32(i), int32(errno)
		if c.explain > 0 {
			n, _, err := unix.RawSyscall(unix.SYS_READ, p.regs[c.explain-1], uintptr(unsafe.Pointer(&f.text)), unsafe.Sizeof(f.text))
			if err == 0 {
				f.textLen = int32(n)
			}
		}
		return false
	}
	return true
}

//go:nosplit
//go:norace
func (c *syscallEntry) perform(regs []uintptr) (uintptr, unix.Errno) {
	args := c.args
	for i, r := range c.regs {
		if r > 0 {
			if args[i] = regs[r-1]; args[i] == noResult {
				return noResult, 0 // of a call that was forgiven
			}
		}
	}
	for {
		result, _, errno := unix.RawSyscall6(c.number, args[0], args[1], args[2], args[3], args[4], args[5])
		if errno == unix.EINTR {
			continue
		}
		if errno == 0 && result < c.least {
			errno = unix.EPIPE
		}
		return result, errno
	}
}

//go:nosplit
//go:norace
func (c *syscallEntry) forgives(errno unix.Errno) bool {
	for _, e := range c.forgive {
		if e == errno {
			return true
		}
	}
	return false
}

// CallError is a system call of a Program that failed.
type CallError struct {
	About string // what it was for: "bind /a on /b"
	Call  string
	Errno unix.Errno
	Text  string // what the kernel says of it; mostly nothing
}

// Error says what couldn't be done.
func (e *CallError) Error() string {
	text := fmt.Sprintf("cannot %s: %s: %v", e.About, e.Call, e.Errno)
	if e.Text != "" {
		text += " (" + e.Text + ")"
	}
	return text
}

// Unwrap returns the errno.
func (e *CallError) Unwrap() error { return e.Errno }

func (p *Program) failed(f *failure) error {
	c := p.calls[f.index]
	text := ""
	if f.textLen > 2 { // "e overlay: ..."
		text = strings.TrimSpace(string(f.text[2:f.textLen]))
	}
	return &CallError{About: c.about, Call: c.name, Errno: unix.Errno(f.errno), Text: text}
}

// Perform makes the calls of p on the calling thread, which must be locked; the first failure ends it.
func Perform(p *Program) error {
	var f failure
	if p.perform(&f) {
		return nil
	}
	return p.failed(&f)
}
