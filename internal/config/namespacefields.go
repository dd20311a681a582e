package config

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// field is one word of a line of namespace.conf.
type field struct {
	// column counts characters from 1.
	column int
	text   string
	// plain says that the text is as it was written, without quotes and backslashes.
	plain bool
}

// pos is the field's place on the line that begins at line.
func (f field) pos(line Pos) Pos {
	line.Column = f.column
	return line
}

// cutPrefix returns the field without a prefix, and whether it had that.
func (f field) cutPrefix(prefix string) (field, bool) {
	rest, found := strings.CutPrefix(f.text, prefix)
	if found && f.plain {
		f.column += utf8.RuneCountInString(prefix)
	}
	f.text = rest
	return f, found
}

// parts yields the parts of a field between separators, empty ones too, each with its place. In a field that isn't plain
// that is the field's own: where a part began isn't known any more.
func (f field) parts(line Pos, separator string) iter.Seq2[Pos, string] {
	return func(yield func(Pos, string) bool) {
		pos := f.pos(line)
		for part := range strings.SplitSeq(f.text, separator) {
			if !yield(pos, part) {
				return
			}
			if f.plain {
				pos.Column += utf8.RuneCountInString(part) + len(separator)
			}
		}
	}
}

// isSpace is isspace(3) in the C locale.
func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

// splitFields splits a line as linux-pam's argv_parse does: at white space, with quotes that may begin and end within
// a word, and with backslashes that mean something outside quotes only. closed is false where a quote isn't ended,
// which is no error to argv_parse.
func splitFields(line string) (fields []field, closed bool) {
	s := splitter{rest: line, column: 1}
	for {
		s.skipSpace()
		if s.rest == "" {
			return fields, !s.quoted
		}
		column := s.column
		s.plain = true
		text := s.word()
		fields = append(fields, field{column, text, s.plain})
	}
}

// splitter is the state of splitFields.
type splitter struct {
	rest   string
	column int
	quoted bool
	// plain says that the word has had no quote or backslash yet.
	plain bool
}

// next takes one byte; a column ends with the first byte of the next character.
func (s *splitter) next() byte {
	c := s.rest[0]
	s.rest = s.rest[1:]
	if s.rest == "" || utf8.RuneStart(s.rest[0]) {
		s.column++
	}
	return c
}

// skipSpace drops white space before a word.
func (s *splitter) skipSpace() {
	for s.rest != "" && isSpace(s.rest[0]) {
		s.next()
	}
}

// word takes a word and the white space that ends it.
func (s *splitter) word() string {
	var out []byte
	for s.rest != "" {
		switch c := s.next(); {
		case c == '"':
			s.quoted, s.plain = !s.quoted, false
		case s.quoted:
			out = append(out, c)
		case isSpace(c):
			return string(out)
		case c == '\\':
			s.plain = false
			out = append(out, s.escaped())
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// escaped takes what follows a backslash; at the end of a line that is the backslash itself.
func (s *splitter) escaped() byte {
	if s.rest == "" {
		return '\\'
	}
	switch c := s.next(); c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	default:
		return c
	}
}
