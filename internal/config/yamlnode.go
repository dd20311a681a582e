package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// refuseShorthand reports anchors, aliases, merge keys and tags, and returns whether there are none. They let one line
// change the meaning of another far away, and a few of them can stand for a gigabyte.
func (p *yamlParser) refuseShorthand(n *yaml.Node) bool {
	clean := false
	switch {
	case n.Kind == yaml.AliasNode:
		p.fail(n, "an alias (*%s); aliases are not supported", printable(n.Value))
	case n.Anchor != "":
		p.fail(n, "an anchor (&%s); anchors are not supported", printable(n.Anchor))
	case n.Tag == "!!merge":
		p.fail(n, "a merge key (<<); merge keys are not supported")
	case n.Style&yaml.TaggedStyle != 0:
		p.fail(n, "a tag (%s); tags are not supported", printable(n.Tag))
	default:
		clean = true
	}
	for _, child := range n.Content {
		if p.bad.full() {
			return false
		}
		clean = p.refuseShorthand(child) && clean
	}
	return clean
}

// printable is quote without the quotation marks.
func printable(text string) string {
	return strings.ReplaceAll(quote(text), `"`, "")
}

// pos is where a node stands.
func (p *yamlParser) pos(n *yaml.Node) Pos {
	return Pos{File: p.file, Line: n.Line, Column: n.Column}
}

// fail keeps a problem with a node.
func (p *yamlParser) fail(n *yaml.Node, format string, args ...any) {
	p.bad.add(p.pos(n), format, args...)
}

// item is a node and what to call it, such as directories[0].only.users[2].
type item struct {
	node  *yaml.Node
	where string
}

// check keeps a problem with an item, if there is one, and returns whether there is none.
func (p *yamlParser) check(it item, problem error) bool {
	if problem != nil {
		p.fail(it.node, "%s: %v", it.where, problem)
	}
	return problem == nil
}

// section is a mapping whose keys are known ones, each given once.
type section struct {
	where string
	node  *yaml.Node
	nodes map[string]*yaml.Node
}

// path is what to call the value of a key.
func (s section) path(key string) string {
	if s.where == "" {
		return key
	}
	return s.where + "." + key
}

// item is the value of a key; false where it isn't given.
func (s section) item(key string) (item, bool) {
	n := s.nodes[key]
	return item{n, s.path(key)}, n != nil
}

// section reads a mapping with only known keys; false where n is something else.
func (p *yamlParser) section(n *yaml.Node, where string, known []string) (section, bool) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%sa mapping expected, not %s", prefixed(where), kindOf(n))
		return section{}, false
	}
	s := section{where: where, node: n, nodes: make(map[string]*yaml.Node, len(known))}
	keys := make(map[string]*yaml.Node, len(known))
	for i := 0; i+1 < len(n.Content) && !p.bad.full(); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if p.key(key, where, known, keys) {
			s.nodes[key.Value] = value
		}
	}
	return s, true
}

// prefixed is where with a colon, or nothing for the file itself.
func prefixed(where string) string {
	if where == "" {
		return ""
	}
	return where + ": "
}

// key checks a key against the known ones and those before it, which it adds to.
func (p *yamlParser) key(key *yaml.Node, where string, known []string, before map[string]*yaml.Node) bool {
	in := ""
	if where != "" {
		in = " in " + where
	}
	switch first := before[key.Value]; {
	case key.Kind != yaml.ScalarNode:
		p.fail(key, "a word expected as a key%s, not %s", in, kindOf(key))
	case !slices.Contains(known, key.Value):
		p.fail(key, "unknown key %s%s%s", quote(key.Value), in, didYouMean(key.Value, known))
	case first != nil:
		p.fail(key, "duplicate key %s%s; the first is on line %d", quote(key.Value), in, first.Line)
	default:
		before[key.Value] = key
		return true
	}
	return false
}

// list returns the items of the list at a key; none where it isn't given or isn't a list.
func (p *yamlParser) list(s section, key string) []item {
	it, ok := s.item(key)
	if !ok {
		return nil
	}
	if it.node.Kind != yaml.SequenceNode {
		p.check(it, fmt.Errorf("a list expected, not %s", kindOf(it.node)))
		return nil
	}
	items := make([]item, len(it.node.Content))
	for i, n := range it.node.Content {
		items[i] = item{n, it.where + "[" + strconv.Itoa(i) + "]"}
	}
	return items
}

// text reads a string. What YAML takes for a number, a date or a boolean must be quoted: the user named 0755 is not the
// user named 493.
func (p *yamlParser) text(n *yaml.Node, where string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		p.fail(n, "%s: a string expected, not %s", where, kindOf(n))
	case n.Tag != "!!str":
		p.fail(n, "%s: a string expected, not %s; write it in quotes", where, kindOf(n))
	default:
		return n.Value, true
	}
	return "", false
}

// amount reads a scalar by its source text, quoted or not.
func (p *yamlParser) amount(it item) (string, bool) {
	if it.node.Kind != yaml.ScalarNode || it.node.Tag == "!!null" {
		p.fail(it.node, "%s: a string or a number expected, not %s", it.where, kindOf(it.node))
		return "", false
	}
	return it.node.Value, true
}

// word reads one of some words.
func (p *yamlParser) word(s section, key string, words []string) (string, bool) {
	it, ok := s.item(key)
	if !ok {
		return "", false
	}
	word, ok := p.text(it.node, it.where)
	switch {
	case !ok:
	case slices.Contains(words, word):
		return word, true
	default:
		p.fail(it.node, "%s: %s is not one of %s%s", it.where, quote(word), strings.Join(words, ", "),
			didYouMean(word, words))
	}
	return "", false
}

// boolean reads true or false, and none of the other words that YAML 1.1 has for them.
func (p *yamlParser) boolean(s section, key string) (value, ok bool) {
	it, ok := s.item(key)
	if !ok {
		return false, false
	}
	n := it.node
	if n.Tag == "!!bool" && (n.Value == "true" || n.Value == "false") {
		return n.Value == "true", true
	}
	found := kindOf(n)
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		found = quote(n.Value)
	}
	p.fail(n, "%s: true or false expected, not %s", it.where, found)
	return false, false
}

// kindOf says what a node is.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!str":
		return "the string " + quote(n.Value)
	}
	return quote(n.Value)
}
