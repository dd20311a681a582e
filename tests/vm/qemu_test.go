package vm

// This file runs the cases on machines with a kernel of their own.

import (
	"os"
	"testing"
)

// qemu returns the system of a suite that QEMU boots: Debian 12 has Linux 6.1,
// Debian 13 6.12.
func qemu(suite string) system {
	return system{name: "qemu-" + suite, suite: suite, start: StartEmulated, image: Emulated, quick: true, kernel: true}
}

// emulate skips a test that boots a machine in QEMU where the quick tier is wanted.
func emulate(t *testing.T) {
	t.Helper()
	if os.Getenv("GONS_TEST_VM") == "" {
		t.Skip("this emulates a machine, which takes minutes; `make test-vm` does")
	}
}

func TestKernels(t *testing.T) {
	emulate(t)
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) { runCases(t, qemu(suite)) })
	}
}
