package selinux

import (
	"fmt"
	"slices"
	"strings"
)

// maxContext bounds a context, in bytes: the kernel takes and gives no more than a page.
const maxContext = 4095

// Context is a security context, raw: its range is as the kernel has it and not in mcstransd(8)'s words.
type Context struct {
	User, Role, Type string
	Range            string // "" where the policy has no levels
}

// ParseContext reads a context such as "system_u:object_r:tmp_t:s0-s0:c5", with the rules of context_new(3) and no empty
// part.
func ParseContext(text string) (Context, error) {
	bad := func(why string) (Context, error) {
		return Context{}, fmt.Errorf("%.200q is not an SELinux context: %s", text, why)
	}
	if len(text) > maxContext {
		return bad(fmt.Sprintf("it is longer than %d bytes", maxContext))
	}
	if strings.ContainsAny(text, " \t\r\n\x00") {
		return bad("it holds white space")
	}
	parts := strings.SplitN(text, ":", 4)
	if len(parts) < 3 || slices.Contains(parts, "") {
		return bad("it must be USER:ROLE:TYPE or USER:ROLE:TYPE:RANGE")
	}
	c := Context{User: parts[0], Role: parts[1], Type: parts[2]}
	if len(parts) == 4 {
		c.Range = parts[3]
	}
	if strings.Count(c.Range, ":") > 2 { // s0:c1-s0:c2
		return bad("its range has too many colons")
	}
	return c, nil
}

// String returns the context as ParseContext reads it.
func (c Context) String() string {
	s := c.User + ":" + c.Role + ":" + c.Type
	if c.Range != "" {
		s += ":" + c.Range
	}
	return s
}

// Level returns the context of an instance of method level: that of the directory dir with the range of the session's.
func Level(dir, session string) (string, error) {
	d, err := ParseContext(dir)
	if err != nil {
		return "", fmt.Errorf("cannot set the level of a directory: %w", err)
	}
	s, err := ParseContext(session)
	if err != nil {
		return "", fmt.Errorf("cannot read the level of a session: %w", err)
	}
	d.Range = s.Range
	return d.String(), nil
}

// Restored returns what restorecon(8) without -F makes of a file's context have where the policy says want: only the type
// changes, and one of the types customizable, which administrators set by hand, stays. What isn't a context is replaced.
func Restored(have, want string, customizable []string) string {
	h, err := ParseContext(have)
	if err != nil {
		return want
	}
	w, err := ParseContext(want)
	if err != nil || slices.Contains(customizable, h.Type) {
		return have
	}
	h.Type = w.Type
	return h.String()
}
