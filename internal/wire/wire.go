// Package wire is the worker's half of the messages between gate and worker; pam_gons/wire.h is the gate's.
//
// A message is one packet: kind, arg, then strings that each end in NUL, and up to two descriptors. The package frames
// and checks lengths; what a message means belongs to package module.
package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"gons/internal/linux"
)

// Limits of one message, as in wire.h.
const (
	MaxMessage = 32768
	MaxFiles   = 2
	headerSize = 8
)

// Kind says what a message is.
type Kind uint32

// The kinds, as in wire.h, which says what each carries.
const (
	Request Kind = 1
	Answer  Kind = 2
	Log     Kind = 16
	User    Kind = 17
	Group   Kind = 18
	Unshare Kind = 19
	Done    Kind = 20
	UID     Kind = 21
	Enter   Kind = 22
	Env     Kind = 23
)

// Message is one message. Files are the receiver's to close.
type Message struct {
	Kind    Kind
	Arg     int32
	Strings []string
	Files   []*linux.Handle
}

// Conn is one end of the connection.
type Conn struct {
	sock *linux.Handle
	buf  []byte
}

// NewConn takes over a SOCK_SEQPACKET socket.
func NewConn(sock *linux.Handle) *Conn { return &Conn{sock, make([]byte, MaxMessage)} }

// Close closes the connection.
func (c *Conn) Close() error { return c.sock.Close() }

// ErrClosed says that the other side is gone.
var ErrClosed = errors.New("the other side is gone")

// Encode returns the bytes of m. It fails when m is too large or a string holds a NUL.
func Encode(m Message) ([]byte, error) {
	b := binary.NativeEndian.AppendUint32(nil, uint32(m.Kind))
	b = binary.NativeEndian.AppendUint32(b, uint32(m.Arg))
	for _, s := range m.Strings {
		if strings.IndexByte(s, 0) >= 0 {
			return nil, fmt.Errorf("cannot send %q: it holds a NUL", s)
		}
		b = append(append(b, s...), 0)
	}
	if len(b) > MaxMessage || len(m.Files) > MaxFiles {
		return nil, fmt.Errorf("cannot send a message of %d bytes and %d files: too large", len(b), len(m.Files))
	}
	return b, nil
}

// Decode returns the message in b, without files. It fails on anything Encode would not have made.
func Decode(b []byte) (Message, error) {
	if len(b) < headerSize {
		return Message{}, fmt.Errorf("a message of %d bytes is too short", len(b))
	}
	m := Message{
		Kind: Kind(binary.NativeEndian.Uint32(b)),
		Arg:  int32(binary.NativeEndian.Uint32(b[4:])),
	}
	for rest := b[headerSize:]; len(rest) > 0; {
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			return Message{}, errors.New("a message ends inside a string")
		}
		m.Strings = append(m.Strings, string(rest[:end]))
		rest = rest[end+1:]
	}
	return m, nil
}

// Send sends m; its files stay the caller's.
func (c *Conn) Send(m Message) error {
	b, err := Encode(m)
	if err != nil {
		return err
	}
	return linux.SendPacket(c.sock, b, m.Files)
}

// Receive waits for the next message.
func (c *Conn) Receive() (Message, error) {
	n, files, truncated, err := linux.ReceivePacket(c.sock, c.buf, MaxFiles)
	if err != nil {
		return Message{}, err
	}
	m, err := Message{}, ErrClosed
	switch {
	case truncated:
		err = errors.New("a message was cut short")
	case n > 0:
		m, err = Decode(c.buf[:n])
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return Message{}, err
	}
	m.Files = files
	return m, nil
}

// Ask sends m and waits for its answer.
func (c *Conn) Ask(m Message) (Message, error) {
	if err := c.Send(m); err != nil {
		return Message{}, err
	}
	a, err := c.Receive()
	if err == nil && a.Kind != Answer {
		err = fmt.Errorf("expected an answer, got a message of kind %d", a.Kind)
	}
	return a, err
}
