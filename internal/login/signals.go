package login

import (
	"os"
	"os/signal"

	"gons/internal/linux"
)

// Caught are the signals that end programs, kept from ending this one: what it has begun, it ends itself. It isn't in package
// linux, since what the module loads has no use for os/signal.
type Caught chan os.Signal

// Catch catches them from now on.
func Catch() Caught {
	c := make(Caught, 8)
	signal.Notify(c, linux.EndingSignals...)
	return c
}

// Pending returns a signal that has come; nil for none.
func (c Caught) Pending() os.Signal {
	select {
	case s := <-c:
		return s
	default:
		return nil
	}
}

// PassOn sends a process what was caught, and what will be, until stop is called, so that it ends first. Signals of the
// keyboard reach it by themselves, and are passed over.
func (c Caught) PassOn(p *linux.Process) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case s := <-c:
				if !linux.IsTerminals(s) {
					_ = p.Signal(s) // by its handle: it may have been waited for
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-gone
	}
}
