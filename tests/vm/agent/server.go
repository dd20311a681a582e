package agent

import (
	"errors"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// server is the side in the machine.
type server struct {
	sender
	mu      sync.Mutex
	running map[int]*running
}

// running is a command, and what it is to read still.
type running struct {
	process *exec.Cmd
	input   chan []byte // closed at its end
}

// inputPieces is how many pieces of input may wait for a command to read them.
const inputPieces = 1024

// Serve greets, and runs the commands that it is told to until the stream ends.
func Serve(stream io.ReadWriter) error {
	s := &server{sender: sender{w: stream}, running: map[int]*running{}}
	// What a reset may have cut ends here.
	if _, err := stream.Write([]byte("\n")); err != nil {
		return err
	}
	if err := s.send(Message{}); err != nil {
		return err
	}
	return receive(stream, s.handle)
}

func (s *server) handle(m Message) {
	if len(m.Args) > 0 {
		s.start(m)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	command := s.running[m.ID]
	switch {
	case command == nil: // it has ended
	case m.Kill: // it leads a process group
		_ = syscall.Kill(-command.process.Process.Pid, syscall.SIGKILL)
	case m.Closed:
		close(command.input)
		command.input = nil
	case command.input != nil:
		command.input <- m.Stdin
	}
}

// start runs a command in a session of its own, and reports its end when it has ended and nothing holds its output open.
func (s *server) start(m Message) {
	cmd := exec.Command(m.Args[0], m.Args[1:]...)
	cmd.Env = m.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout = output(func(b []byte) error { return s.send(Message{ID: m.ID, Stdout: b}) })
	cmd.Stderr = output(func(b []byte) error { return s.send(Message{ID: m.ID, Stderr: b}) })
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_ = s.send(Message{ID: m.ID, Ended: true, Error: err.Error()})
		return
	}
	command := &running{process: cmd, input: make(chan []byte, inputPieces)}
	s.mu.Lock()
	s.running[m.ID] = command
	s.mu.Unlock()
	go feed(stdin, command.input)
	go s.wait(m.ID, cmd)
}

// feed writes what comes to a command, which may read none of it.
func feed(stdin io.WriteCloser, input <-chan []byte) {
	defer stdin.Close()
	for piece := range input {
		_, _ = stdin.Write(piece) // it may have closed its input
	}
}

func (s *server) wait(id int, cmd *exec.Cmd) {
	err := cmd.Wait()
	s.mu.Lock()
	delete(s.running, id)
	s.mu.Unlock()
	end := Message{ID: id, Ended: true, Status: status(cmd)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		end.Error = err.Error()
	}
	_ = s.send(end)
}

// status is a shell's for how a command ended.
func status(cmd *exec.Cmd) int {
	if state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return 128 + int(state.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// output is a writer that passes on what is written, in pieces.
type output func([]byte) error

func (o output) Write(b []byte) (int, error) {
	for from := 0; from < len(b); from += pieceSize {
		if err := o(b[from:min(len(b), from+pieceSize)]); err != nil {
			return from, err
		}
	}
	return len(b), nil
}
