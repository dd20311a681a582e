package newns

import (
	"os/signal"

	"gons/internal/entry"
	"gons/internal/linux"
)

// inherited is what this program was given, as far as that is known: in one whose first instruction isn't ours, the signals
// that Go leaves ignored, and none that are blocked. It has to be asked before signals are caught.
func inherited() entry.State {
	given, known := entry.Inherited()
	if known {
		return given
	}
	for n := 1; n <= 64; n++ {
		if signal.Ignored(linux.SignalWith(n)) {
			given.Ignored |= 1 << (n - 1)
		}
	}
	return given
}
