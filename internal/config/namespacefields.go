package config

import "unicode/utf8"

// field is one word of a line of namespace.conf.
type field struct {
	// column counts characters from 1.
	column int
	text   string
}

// pos is the field's place on the line that begins at line.
func (f field) pos(line Pos) Pos {
	line.Column = f.column
	return line
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
		fields = append(fields, field{column: column, text: s.word()})
	}
}

// splitter is the state of splitFields.
type splitter struct {
	rest   string
	column int
	quoted bool
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
			s.quoted = !s.quoted
		case s.quoted:
			out = append(out, c)
		case isSpace(c):
			return string(out)
		case c == '\\':
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
