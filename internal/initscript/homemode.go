package initscript

import (
	"strconv"
	"strings"
)

// privateMode is what namespace.init falls back to.
const privateMode = 0o700

// HomeMode returns the mode of a new home by the content of /etc/login.defs: 0777 without the bits of UMASK, which is
// octal, decimal or hexadecimal as a shell reads it. HOME_MODE doesn't count. Without exactly one line of UMASK, or with
// one that is no number, and where the result would lock the user out or let everybody write, it is 0700. There
// namespace.init says 0777 (no UMASK; UMASK 0), 0662 (UMASK 77, which is decimal), 0 (UMASK 0777), or what the shell
// that is /bin/sh makes of it; in all other cases it says the same.
func HomeMode(loginDefs []byte) uint32 {
	values := umasks(string(loginDefs))
	if len(values) != 1 {
		return privateMode
	}
	mask, ok := shellNumber(values[0])
	mode := 0o777 &^ mask
	if !ok || mode&0o700 != 0o700 || mode&0o002 != 0 {
		return privateMode
	}
	return uint32(mode)
}

// umasks are the values of UMASK in login.defs, each up to a comment.
func umasks(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		rest, ok := strings.CutPrefix(line, "UMASK")
		value := strings.TrimLeft(rest, " \t\v\f\r")
		if !ok || value == rest {
			continue
		}
		if end := strings.IndexAny(value, "# \t\v\f\r"); end >= 0 {
			value = value[:end]
		}
		if value != "" {
			out = append(out, value)
		}
	}
	return out
}

// shellNumber reads a number as a POSIX shell's arithmetic does: 022, 18, 0x12. strconv's own 0o, 0b and underscores are
// none to it.
func shellNumber(s string) (uint64, bool) {
	s = strings.ToLower(strings.TrimPrefix(s, "+"))
	if strings.HasPrefix(s, "0o") || strings.HasPrefix(s, "0b") || strings.Contains(s, "_") {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 0, 63)
	return n, err == nil
}
