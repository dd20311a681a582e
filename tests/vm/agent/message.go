// Package agent runs commands in a machine that can't be entered by its namespaces, since it has a kernel of its own.
// Three parts talk in messages of one line of JSON: Serve runs in the machine; a Switch in the test, at the other end of a
// virtio-serial port; and Run, in a process of the test's for each command, which it stands for: the same standard streams
// and exit status. Any number of commands run at a time.
package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"sync"
)

// Message is what either side says of one command. The first one of a machine has no command and is a greeting: one that
// has been reset greets again, and what ran in it before is gone.
type Message struct {
	ID int // the command's, from 1; 0 for a greeting

	// To the machine: what to start, what it reads, that it reads no more, that it is to be killed.
	Args   []string `json:",omitempty"`
	Env    []string `json:",omitempty"`
	Stdin  []byte   `json:",omitempty"`
	Closed bool     `json:",omitempty"`
	Kill   bool     `json:",omitempty"`

	// From the machine: what it wrote; how it ended, or why it couldn't be started.
	Stdout []byte `json:",omitempty"`
	Stderr []byte `json:",omitempty"`
	Ended  bool   `json:",omitempty"`
	Status int    `json:",omitempty"` // exit status, or 128 and the signal that killed it
	Error  string `json:",omitempty"`
}

// maxLine bounds a message; what a command writes is sent in pieces of pieceSize.
const (
	maxLine   = 1 << 20
	pieceSize = 16 << 10
)

// sender writes whole messages from several goroutines.
type sender struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sender) send(m Message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.w.Write(append(line, '\n'))
	return err
}

// receive calls handle for each message until the stream ends. A line that is none is passed over: a reset may have cut it.
func receive(r io.Reader, handle func(Message)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var m Message
		if json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &m) == nil {
			handle(m)
		}
	}
	return lines.Err()
}
