package config

import (
	"fmt"
	"slices"
	"strconv"
)

// Bounds on what is said about one configuration: every login repeats it in the log.
const (
	// maxReports bounds the errors, and the warnings, that are kept.
	maxReports = 20
	// maxQuoted bounds the bytes of the administrator's text that one message repeats.
	maxQuoted = 64
)

// Error is one thing wrong at one place of a configuration file.
type Error struct {
	Pos  Pos
	Text string
}

// Error returns "file:line:column: text", leaving out what is unknown of the position.
func (e *Error) Error() string { return e.Pos.String() + ": " + e.Text }

// Errors are the problems of one configuration, in the order of the files and, in a file, of their positions. It is
// never returned empty. The parsers stop collecting at 20.
type Errors []*Error

// Error returns the first problem and how many more there are: a log line has room for one.
func (e Errors) Error() string {
	switch len(e) {
	case 0:
		return "no errors"
	case 1:
		return e[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", e[0].Error(), len(e)-1)
}

// err returns e as an error that is nil when there are no problems.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// full reports whether no further problem will be kept, so that a walk over hostile input can end early.
func (e Errors) full() bool { return len(e) >= maxReports }

// add keeps a problem while there is room.
func (e *Errors) add(pos Pos, format string, args ...any) {
	if !e.full() {
		*e = append(*e, &Error{Pos: pos, Text: fmt.Sprintf(format, args...)})
	}
}

// sorted orders the problems of one file by position; equal positions keep the order they were found in.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int { return a.Pos.compare(b.Pos) })
	return e
}

// warn keeps a warning while there is room.
func (c *Config) warn(pos Pos, format string, args ...any) {
	if len(c.Warnings) < maxReports {
		c.Warnings = append(c.Warnings, Warning{Pos: pos, Text: fmt.Sprintf(format, args...)})
	}
}

// quote makes text from a file safe and short enough for a log line: a name with a newline in it must not be able to
// forge a line of its own.
func quote(text string) string {
	if len(text) > maxQuoted {
		return strconv.Quote(text[:maxQuoted]) + "..."
	}
	return strconv.Quote(text)
}
