package config

import (
	"bytes"
	"errors"
	"io"
	"sort"
	"strconv"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// parse returns the root of the only document in data, or nil where there is a problem. A file of nothing but comments
// is one.
func (p *yamlParser) parse(data []byte) *yaml.Node {
	if len(data) > MaxFileSize {
		p.bad.add(Pos{File: p.file}, "longer than %d bytes", MaxFileSize)
		return nil
	}
	// YAML may be UTF-16 too; then it would not say to grep or an editor what it says to us.
	if !utf8.Valid(data) {
		p.bad.add(Pos{File: p.file}, "not UTF-8")
		return nil
	}
	first, second, err := documents(data)
	switch {
	case err != nil:
		p.syntaxError(data, err)
	case second != nil:
		p.fail(second, "a second document; one expected")
	case first == nil || first.Tag == "!!null":
		p.bad.add(Pos{File: p.file, Line: 1, Column: 1}, "version: 1 expected, not an empty file")
	default:
		return first
	}
	return nil
}

// documents returns the roots of the first two documents in data, nil for those that aren't there.
func documents(data []byte) (first, second *yaml.Node, err error) {
	in := yaml.NewDecoder(bytes.NewReader(data))
	if first, err = document(in); err != nil || first == nil {
		return nil, nil, err
	}
	second, err = document(in)
	return first, second, err
}

// document returns the root of the next document, nil at the end.
func document(in *yaml.Decoder) (*yaml.Node, error) {
	var n yaml.Node
	switch err := in.Decode(&n); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return n.Content[0], nil
}

// maxLocated bounds the data in which the line of an error is looked for: it takes a parse for each bit of the number
// of lines, and the module has a deadline.
const maxLocated = 64 << 10

// yamlMessage matches the errors of package yaml.
var yamlMessage = lazyPattern(`^yaml: (?:line ([0-9]+): )?(.{0,120})`)

// syntaxError keeps an error of package yaml.
func (p *yamlParser) syntaxError(data []byte, err error) {
	pos, text := Pos{File: p.file}, err.Error()
	if m := yamlMessage().FindStringSubmatch(text); m != nil {
		pos.Line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	if len(data) <= maxLocated {
		pos.Line = errorLine(data, err.Error())
	}
	p.bad.add(pos, "not YAML: %s", text)
}

// errorLine returns the number of lines it takes to get an error. Package yaml often names the line before the error,
// the one where the enclosing mapping begins, or none; but it reads no further than the error, so all that begins with
// these lines ends in the same one.
func errorLine(data []byte, text string) int {
	lines := bytes.SplitAfter(data, []byte("\n"))
	ends := make([]int, len(lines))
	end := 0
	for i, line := range lines {
		end += len(line)
		ends[i] = end
	}
	return 1 + sort.Search(len(ends)-1, func(i int) bool {
		_, _, err := documents(data[:ends[i]])
		return err != nil && err.Error() == text
	})
}
