// Package entry knows what a program was given that the Go runtime changes before main: it puts handlers where its caller
// had signals ignored, unblocks some, and lifts the soft limit on open files. A program that runs another one in its place
// has to give all of that on as it came.
//
// So a few instructions run before the runtime does. The linker makes them the program's first ones (go build -ldflags "-E
// gons_entry", for a static program); they ask the kernel and go on to the runtime. Without that flag the limit alone is
// known: a package is initialised before those that it doesn't import and that come after it in the alphabet, as os, which
// lifts it. On machines that have no such code here, nothing is known. The rejected alternative is C before main: a program that the dynamic loader
// has to start takes half a millisecond longer to do so.
package entry

// The entry code writes here.
var (
	ran     uint64
	ignored uint64
	blocked uint64
	nofile  [2]uint64
)

// State is what the program was given.
type State struct {
	// Ignored and Blocked are sets of signals; signal n is bit n-1, as in the kernel's sigset_t.
	Ignored, Blocked uint64
	// Files are the soft and the hard limit on open files (getrlimit(2): RLIMIT_NOFILE).
	Files [2]uint64
}

func init() {
	if ran == 0 {
		askLimits()
	}
}

// Inherited returns what the program was given; false where no signals are known. Limits of 0 are unknown.
func Inherited() (State, bool) {
	return State{Ignored: ignored, Blocked: blocked, Files: nofile}, ran != 0
}
