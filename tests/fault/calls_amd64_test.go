package fault_test

import "golang.org/x/sys/unix"

// Calls that newer machines don't have.
func init() {
	traps[unix.SYS_POLL], traps[unix.SYS_OPEN], traps[unix.SYS_DUP2], traps[unix.SYS_NEWFSTATAT] = "poll", "open", "dup2", "newfstatat"
}
