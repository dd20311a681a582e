// Package fault_test opens and closes sessions on a real kernel in trouble: system calls of the gate and of the worker fail
// in turn, either is killed before each of them, and disks, quotas and limits are at their end.
//
// A run is traced from outside by a seccomp filter (seccomp_unotify(2)): tests/pamhost asks for one, and this process
// decides about each call. So a single call of a single process fails, which strace can't do: it counts for each thread.
package fault_test

import (
	"testing"

	"gons/tests/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }
