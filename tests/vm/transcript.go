package vm

// This file is about what is kept for the log of a case that fails.

import (
	"fmt"
	"sync"
	"time"
)

// transcript collects commands and what came of them.
type transcript struct{ text console }

// add appends one command: who ran it, its text, its output, and its error if
// it had one.
func (t *transcript) add(who, what, output string, err error) {
	fmt.Fprintf(&t.text, "%s [%s] %s\n%s\n", time.Now().Format("15:04:05.000"), who, what, output)
	if err != nil {
		fmt.Fprintf(&t.text, "-> %v\n", err)
	}
}

func (t *transcript) String() string { return t.text.String() }

// console collects output; it may be read while a process writes.
type console struct {
	mu   sync.Mutex
	text []byte
}

func (c *console) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, text...)
	return len(text), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}
