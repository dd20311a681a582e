package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// maxKeep bounds the patterns of one directory: each is compared with every name in it.
const maxKeep = 32

// keep reads which entries of the covered directory stay visible.
func (p *yamlParser) keep(s section) []string {
	var keep []string
	items := p.list(s, "keep")
	if len(items) > maxKeep {
		p.fail(s.nodes["keep"], "%s: %d entries; at most %d expected", s.path("keep"), len(items), maxKeep)
		return nil
	}
	for _, it := range items {
		if name, ok := p.text(it.node, it.where); ok && p.check(it, checkKeep(name)) {
			keep = append(keep, name)
		}
	}
	return keep
}

// checkKeep refuses what can't be the name of one entry of a directory, or a pattern of "*" and "?" for some. Those
// characters that other patterns have beside are refused, so that nobody takes one of them for what it isn't.
func checkKeep(name string) error {
	switch {
	case name == "":
		return errors.New("an empty name")
	case name == "." || name == "..":
		return fmt.Errorf("%s is not a name", quote(name))
	case len(name) > 255:
		return errors.New("longer than the 255 bytes of a name")
	case strings.Contains(name, "/"):
		return fmt.Errorf("%s contains \"/\"; the name of an entry of path expected", quote(name))
	case strings.ContainsAny(name, `[]\`):
		return fmt.Errorf(`%s: of patterns only "*" and "?" are known`, quote(name))
	case strings.Contains(name, "$"):
		return fmt.Errorf("%s: there are no variables in the names to keep", quote(name))
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%s contains a control character", quote(name))
	}
	return nil
}
