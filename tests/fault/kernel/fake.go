//go:build faults

package kernel

import (
	"sync"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
)

// Fault decides about the n-th call, from 1, and by its name: nil makes it, and an error is its result without.
type Fault func(n int, call string) error

// Healthy makes every call.
func Healthy(int, string) error { return nil }

// Once fails one call.
func Once(at int, errno unix.Errno) Fault {
	return func(n int, _ string) error {
		if n == at {
			return errno
		}
		return nil
	}
}

// From makes no call any more, of those that can fail: what a process looks like from outside that was killed there.
func From(at int) Fault {
	return func(n int, _ string) error {
		if n >= at {
			return unix.EIO
		}
		return nil
	}
}

// Run runs f on a faulty kernel and returns its calls, but for those of which count, where it isn't nil, says no.
func Run(fault Fault, count func(call string) bool, f func()) (calls []string) {
	var lock sync.Mutex
	linux.SetKernel(func(call string) error {
		if count != nil && !count(call) {
			return nil
		}
		lock.Lock()
		calls = append(calls, call)
		n := len(calls)
		lock.Unlock()
		return fault(n, call)
	})
	defer linux.SetKernel(nil)
	f()
	return calls
}
