package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Limits on the environment: all of it goes to the host in one message.
const (
	// MaxVariables bounds the variables of all files together.
	MaxVariables = 100
	// maxValue bounds one value, in bytes, before $HOME is in it.
	maxValue = 4096
)

// Variable is a variable of a session's environment.
type Variable struct {
	Pos  Pos
	Name string
	// Value has $HOME, $USER, $UID and $GID unexpanded.
	Value string
}

// env reads the mapping of that name. A variable takes the place of an earlier file's.
func (p *yamlParser) env(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "env: a mapping expected, not %s", kindOf(n))
		return
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content) && !p.bad.full(); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name, ok := p.variableName(key, "env")
		if !ok {
			continue
		}
		if first := seen[name]; first != nil {
			p.fail(key, "duplicate key %s in env; the first is on line %d", quote(name), first.Line)
			continue
		}
		seen[name] = key
		text := p.cleanText(item{value, "env." + name}, cleanValue)
		p.cfg.setVariable(Variable{p.pos(key), name, text})
	}
	if len(p.cfg.Environment) > MaxVariables {
		p.fail(n, "env: more than %d variables in all files", MaxVariables)
	}
}

func (c *Config) setVariable(v Variable) {
	i := slices.IndexFunc(c.Environment, func(have Variable) bool { return have.Name == v.Name })
	if i < 0 {
		c.Environment = append(c.Environment, v)
		return
	}
	c.Environment[i] = v
}

// variableName reads the name of a variable.
func (p *yamlParser) variableName(n *yaml.Node, where string) (string, bool) {
	name, ok := p.text(n, where)
	return name, ok && p.check(item{n, where}, checkVariable(name))
}

// checkVariable refuses what no shell can name.
func checkVariable(name string) error {
	switch {
	case name == "":
		return errors.New("an empty name of a variable")
	case len(name) > 255:
		return errors.New("the name of a variable is longer than 255 bytes")
	case name[0] >= '0' && name[0] <= '9' || strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII || !goesOn(string(r)) }):
		return fmt.Errorf("%s is not the name of a variable: letters, digits and _ expected", quote(name))
	}
	return nil
}

// cleanValue checks the value of a variable and returns it with its variables plain.
func cleanValue(text string) (string, error) {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", fmt.Errorf("%s contains a control character", quote(text))
	}
	if len(text) > maxValue {
		return "", fmt.Errorf("longer than %d bytes", maxValue)
	}
	return valueVariables.plain(text)
}

// usualVariables are what programs look for temporary files by, as libpam-tmpdir sets them.
var usualVariables = []string{"TMPDIR", "TMP", "TEMP", "TEMPDIR"}

// environmentDirectory reads what only method env has, and refuses what it hasn't.
func (p *yamlParser) environmentDirectory(s section, d *Directory) {
	for _, key := range []string{"options", "keep", "init", "create"} {
		p.refuse(s, key, "method env covers nothing")
	}
	if _, ok := s.item("variables"); !ok {
		d.Variables = usualVariables
		return
	}
	items := p.list(s, "variables")
	for _, it := range items {
		if name, ok := p.variableName(it.node, it.where); ok {
			d.Variables = append(d.Variables, name)
		}
	}
	if len(items) == 0 || len(items) > MaxVariables {
		p.fail(s.nodes["variables"], "%s: 1 to %d names expected", s.path("variables"), MaxVariables)
	}
}

// The mode of the directory that users' directories are in: libpam-tmpdir's, and what users need to reach theirs.
const (
	ownParentMode = 0o711
	passThrough   = 0o001
)

// ownParent is parentMode for method env.
func (p *yamlParser) ownParent(s section) uint32 {
	it, ok := s.item("parent_mode")
	if !ok {
		return ownParentMode
	}
	bad := len(p.bad)
	anyParent, mode := p.parentMode(s)
	switch {
	case len(p.bad) > bad:
	case anyParent:
		p.check(it, errors.New("any is too much for method env: users reach their directories through it"))
	case mode&passThrough == 0:
		p.check(it, fmt.Errorf("%04o lets no user through to their directory", mode))
	}
	return mode
}
