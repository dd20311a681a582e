package selinux

import (
	"fmt"
	"strings"

	"gons/internal/linux"
)

// fileContexts are the files that say how files are labelled; what a later one says goes first.
var fileContexts = []string{
	"contexts/files/file_contexts", "contexts/files/file_contexts.homedirs", "contexts/files/file_contexts.local",
}

// maxPattern bounds a regular expression, in bytes, as libselinux does.
const maxPattern = 4095

// FileContext returns the context that the policy's file_contexts(5) give to a file of that type at path, false where they
// give none, or <<none>> (selabel_lookup(3) with SELABEL_CTX_FILE). The type is linux.TypeDirectory, TypeRegular or
// TypeSymlink, or 0 for a file whose type doesn't matter.
func (s *SELinux) FileContext(path string, t linux.Type) (string, bool, error) {
	context, found, err := s.policy.fileContext(path, t)
	if err != nil {
		return "", false, fmt.Errorf("cannot find the SELinux context for %s: %w", path, err)
	}
	return context, found, nil
}

func (p policy) fileContext(path string, t linux.Type) (string, bool, error) {
	path, err := p.substitute(normal(path))
	if err != nil {
		return "", false, err
	}
	l := lookup{path: path, typ: t, seen: p.seen}
	for i, name := range fileContexts {
		text, found, err := p.read(name, maxFileContexts)
		if err == nil && !found && i == 0 {
			err = fmt.Errorf("%s/%s is missing", p.dir, name)
		}
		if err == nil {
			err = l.collect(p.dir+"/"+name, text)
		}
		if err != nil {
			return "", false, err
		}
	}
	context, found, err := l.result()
	if context == "<<none>>" {
		return "", false, nil
	}
	return context, found, err
}

// normal is a path with single slashes and none at its end.
func normal(path string) string {
	return "/" + strings.Join(strings.FieldsFunc(path, func(c rune) bool { return c == '/' }), "/")
}

// substitute replaces the start of a path as file_contexts.subs(5) say: first the administrator's, then the
// distribution's, each at most once.
func (p policy) substitute(path string) (string, error) {
	for _, name := range []string{"contexts/files/file_contexts.subs", "contexts/files/file_contexts.subs_dist"} {
		text, _, err := p.read(name, maxFile)
		if err != nil {
			return "", err
		}
		path = substitute(text, path)
	}
	return path, nil
}

// substitute applies the last line of a file_contexts.subs file that fits: a path and what it is to be looked up as.
func substitute(text, path string) string {
	out := path
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0][0] == '#' {
			continue
		}
		rest, fits := strings.CutPrefix(path, words[0])
		if !fits || rest != "" && rest[0] != '/' {
			continue
		}
		if words[1] == "/" {
			rest = strings.TrimPrefix(rest, "/")
		}
		out = words[1] + rest
	}
	return out
}

// specification is a line of file_contexts.
type specification struct {
	pattern string
	typ     linux.Type // anyType without one
	context string
	place   string // file and line, for messages
}

const (
	anyType   linux.Type = 0
	otherType linux.Type = 1 // a device, FIFO or socket, which nobody looks up here
)

var types = map[string]linux.Type{
	"-d": linux.TypeDirectory, "--": linux.TypeRegular, "-l": linux.TypeSymlink,
	"-b": otherType, "-c": otherType, "-p": otherType, "-s": otherType,
}

// parseSpecification reads a line: PATTERN [TYPE] CONTEXT. false where it is empty or a comment.
func parseSpecification(line string) (specification, bool, error) {
	words := strings.Fields(line)
	if len(words) == 0 || words[0][0] == '#' {
		return specification{}, false, nil
	}
	s := specification{pattern: words[0]}
	switch {
	case len(words) == 1:
		return s, false, fmt.Errorf("%.200q must be PATTERN CONTEXT or PATTERN TYPE CONTEXT", line)
	case len(words) == 2:
		s.context = words[1]
	default:
		known := false
		if s.typ, known = types[words[1]]; !known {
			return s, false, fmt.Errorf("%.200q is no type of file; known are -- -d -l -b -c -p -s", words[1])
		}
		s.context = words[2]
	}
	if strings.ContainsFunc(s.pattern, func(c rune) bool { return c >= 0x80 }) {
		return s, false, fmt.Errorf("%.200q holds characters beyond ASCII", s.pattern)
	}
	return s, true, nil
}

// lookup gathers the lines that can be about a path. Most are told apart by the plain text that their patterns begin with,
// so that a login reads and compiles a few dozen of some 6,000; what is wrong with the others is no reason to refuse it.
type lookup struct {
	seen     *seen
	path     string
	typ      linux.Type
	exact    *specification  // the last that is the path itself, which goes before every pattern
	patterns []specification // that may match, in the order of the files
}

func (l *lookup) collect(file, text string) error {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if !glance(line, l.path) {
			continue
		}
		s, ok, err := parseSpecification(line)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, number, err)
		}
		if !ok || l.typ != anyType && s.typ != anyType && l.typ != s.typ {
			continue
		}
		start, whole := plainStart(s.pattern)
		switch {
		case whole && start == l.path:
			s.place = fmt.Sprintf("%s:%d", file, number)
			l.exact = &s
		case !whole && mayMatch(start, s.pattern, l.path):
			s.place = fmt.Sprintf("%s:%d", file, number)
			l.patterns = append(l.patterns, s)
		}
	}
	return nil
}

// glance tells, without reading a line, most of those that begin otherwise than path: it is what a look-up spends its time
// on. Alternatives, and a character that may be there no time, need a closer look.
func glance(line, path string) bool {
	line = strings.TrimLeft(line, " \t")
	same := 0
	for same < len(line) && same < len(path) && line[same] == path[same] {
		same++
	}
	rest := line[same:]
	return rest == "" || strings.IndexByte(special+"\\# \t\n", rest[0]) >= 0 ||
		len(rest) > 1 && strings.IndexByte("?*{", rest[1]) >= 0 || strings.IndexByte(rest, '|') >= 0
}

// result is the context of the exact line, or of the last that matches.
func (l *lookup) result() (string, bool, error) {
	if l.exact != nil {
		return l.exact.context, true, nil
	}
	for i := len(l.patterns) - 1; i >= 0; i-- {
		s := l.patterns[i]
		if len(s.pattern) > maxPattern {
			return "", false, fmt.Errorf("%s: the pattern is longer than %d bytes", s.place, maxPattern)
		}
		re, err := l.seen.compile(s.pattern)
		if err != nil {
			return "", false, fmt.Errorf("%s: the pattern may be about %s and can't be read: %w", s.place, l.path, err)
		}
		if re.MatchString(l.path) {
			return s.context, true, nil
		}
	}
	return "", false, nil
}

// special are the characters of a pattern that aren't themselves, escapable those that a backslash makes plain: which these
// are is libselinux's choice, and a pattern that is plain text goes before all others.
const special, escapable = ".^$?*+|[({])}", ".^$?*+|[({])}-_,"

// plainStart returns the text that every match of a pattern begins with, as far as that is plain to see, and whether it is
// all of the pattern.
func plainStart(pattern string) (start string, whole bool) {
	var out []byte
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if strings.IndexByte(special, c) >= 0 {
			if len(out) > 0 && strings.IndexByte("?*{", c) >= 0 {
				out = out[:len(out)-1] // it may be there no time
			}
			return string(out), false
		}
		if c == '\\' {
			if i++; i == len(pattern) || strings.IndexByte(escapable, pattern[i]) < 0 {
				return string(out), false
			}
			c = pattern[i]
		}
		out = append(out, c)
	}
	return string(out), true
}

// mayMatch reports whether a pattern that begins with start can be about path. Of one with alternatives only the
// directories count: libselinux files it under these, and "/a/b|/c" is never found for /c.
func mayMatch(start, pattern, path string) bool {
	if strings.Contains(pattern, "|") {
		start = start[:strings.LastIndexByte(start, '/')+1]
	}
	return strings.HasPrefix(path, start)
}
