//go:build faults

package linux

import "sync/atomic"

// Kernel is asked before each system call, by its name in errors, whether it fails: with the error, and without being
// made; nil makes it. Only a build with the tag faults has it, and no other can be told to fail.
type Kernel func(call string) error

var kernel atomic.Pointer[Kernel]

// SetKernel puts a fake kernel before the real one, or takes it away again (nil).
func SetKernel(k Kernel) {
	if k == nil {
		kernel.Store(nil)
		return
	}
	kernel.Store(&k)
}

func attempt(name string, f func() error) error {
	if k := kernel.Load(); k != nil {
		if err := (*k)(name); err != nil {
			return err
		}
	}
	return f()
}
