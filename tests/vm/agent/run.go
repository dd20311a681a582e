package agent

import (
	"errors"
	"io"
)

// Failed is the exit status of a command's process when it isn't the command's: the machine is gone, or can't run it.
const Failed = 125

// Run has a command run in the machine, by the line to a Switch, with these standard streams, and returns its exit status.
func Run(line io.ReadWriter, environment, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	to := &sender{w: line}
	if err := to.send(Message{Args: args, Env: environment}); err != nil {
		return 0, err
	}
	go func() {
		_, _ = io.Copy(output(func(piece []byte) error { return to.send(Message{Stdin: piece}) }), stdin)
		_ = to.send(Message{Closed: true})
	}()
	end := Message{Error: "the machine was reset or has ended, or too much of what the command wrote was left unread"}
	err := receive(line, func(m Message) {
		_, _ = stdout.Write(m.Stdout)
		_, _ = stderr.Write(m.Stderr)
		if m.Ended {
			end = m
		}
	})
	if err == nil && end.Error != "" {
		err = errors.New(end.Error)
	}
	return end.Status, err
}
