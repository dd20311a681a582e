// Package printable keeps names from being more than names where they are printed: a path can have line ends and a terminal's
// commands in it, and users choose it.
package printable

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns s as a part of one line: what can't be printed is escaped as in Go, bytes that are no UTF-8 as "\xff".
func Line(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Error returns the text of an error, a line for each of those that errors.Join has joined.
func Error(err error) string {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return Line(err.Error())
	}
	var lines, raw []string
	for _, one := range joined.Unwrap() {
		lines, raw = append(lines, Error(one)), append(raw, one.Error())
	}
	if strings.Join(raw, "\n") != err.Error() { // fmt.Errorf's, with words of its own
		return Line(err.Error())
	}
	return strings.Join(lines, "\n")
}
