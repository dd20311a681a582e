package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// waiting is how many messages may wait for a command's process to take them.
const waiting = 4096

// Switch connects the processes of commands with the machine's port.
type Switch struct {
	port      sender
	mu        sync.Mutex
	last      int
	lines     map[int]chan Message // to the processes; closed at the end
	greetings int
	greeted   chan struct{} // closed by the next greeting, then another
}

// NewSwitch serves a port until it ends.
func NewSwitch(port io.ReadWriter) *Switch {
	s := &Switch{port: sender{w: port}, lines: map[int]chan Message{}, greeted: make(chan struct{})}
	go func() {
		_ = receive(port, s.handle)
		s.reset()
	}()
	return s
}

// Greetings is how many times the machine has greeted: 1 after its boot, 2 after a reset.
func (s *Switch) Greetings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greetings
}

// AwaitGreeting waits until the machine has greeted n times.
func (s *Switch) AwaitGreeting(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		next, enough := s.greeted, s.greetings >= n
		s.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("the machine's agent doesn't answer: %w", ctx.Err())
		}
	}
}

// Listen connects who comes, if that is this process's own user, until the listener is closed.
func (s *Switch) Listen(listener net.Listener) {
	for {
		process, err := listener.Accept()
		if err != nil {
			return
		}
		if !own(process) {
			process.Close()
			continue
		}
		s.Connect(process)
	}
}

// own reports whether a process of this one's user is at the other end.
func own(process net.Conn) bool {
	socket, ok := process.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	uid := -1
	err = raw.Control(func(fd uintptr) {
		if peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid = int(peer.Uid)
		}
	})
	return err == nil && uid == os.Getuid()
}

// Connect serves the process of one command, which is killed in the machine when the process ends before it.
func (s *Switch) Connect(process io.ReadWriteCloser) {
	line := make(chan Message, waiting)
	s.mu.Lock()
	s.last++
	id := s.last
	s.lines[id] = line
	s.mu.Unlock()
	go func() {
		defer process.Close()
		to := sender{w: process}
		for m := range line {
			_ = to.send(m) // it may be dead; the other goroutine sees to that
		}
	}()
	go func() {
		_ = receive(process, func(m Message) {
			m.ID = id
			_ = s.port.send(m)
		})
		if s.disconnect(id) {
			_ = s.port.send(Message{ID: id, Kill: true})
		}
	}()
}

// disconnect ends the line of a command, and says whether it was there.
func (s *Switch) disconnect(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, ok := s.lines[id]
	if ok {
		delete(s.lines, id)
		close(line)
	}
	return ok
}

// handle passes on what the machine says.
func (s *Switch) handle(m Message) {
	if m.ID == 0 {
		s.reset()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.greetings++
		close(s.greeted)
		s.greeted = make(chan struct{})
		return
	}
	s.mu.Lock()
	if line, ok := s.lines[m.ID]; ok {
		select {
		case line <- m:
		default: // nobody reads: the command's process gets an end too early, which is an error there
			m.Ended = true
		}
	}
	s.mu.Unlock()
	if m.Ended {
		s.disconnect(m.ID)
	}
}

// reset ends all lines: the commands are gone with the machine.
func (s *Switch) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, line := range s.lines {
		delete(s.lines, id)
		close(line)
	}
}
