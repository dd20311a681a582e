package newns

import (
	"os"
	"os/signal"

	"gons/internal/exitstatus"
	"gons/internal/linux"
)

// supervisor is this process while another one is the command.
type supervisor struct{ signals chan os.Signal }

// newSupervisor keeps signals from ending this process, before there is a command to give them on to.
func newSupervisor() supervisor {
	s := supervisor{make(chan os.Signal, 64)}
	signal.Notify(s.signals)
	return s
}

func (s supervisor) release() { signal.Stop(s.signals) }

// wait waits for the end of the command, and gives on to it the signals that this process gets. It returns the command's
// exit status; where a signal ended the command, that signal ends this process.
func (s supervisor) wait(job *linux.Started) (int, error) {
	go s.forward(job.Command)
	change, err := untilEnd(job.Command)
	s.release()
	if job.Init != nil { // what the command has left ends with process 1, and that only once all of it has
		job.Init.Kill()
		job.Init.Wait()
	}
	if err != nil {
		return exitstatus.Failed, err
	}
	if change.Signal != nil {
		linux.EndBy(change.Signal)
	}
	return change.Status, nil
}

// untilEnd stops and goes on with the command, as a shell that waits for this process expects.
func untilEnd(command *linux.Process) (linux.Change, error) {
	for {
		change, err := command.WaitChange()
		if err != nil || !change.Stopped {
			return change, err
		}
		if err := linux.StopSelf(); err != nil {
			return change, err
		}
		if err := command.Continue(); err != nil {
			return change, err
		}
	}
}

// forward gives signals on. One that a terminal has sent has reached the command too, where that is in the same group: it
// would come twice.
func (s supervisor) forward(command *linux.Process) {
	for sig := range s.signals {
		if linux.IsOwnBusiness(sig) || linux.IsTerminals(sig) && command.SharesForeground() {
			continue
		}
		command.Signal(sig)
	}
}
