package config

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// The words of gons.yaml, as gons.yaml(5) lists them.
var (
	rootKeys      = []string{"version", "namespace", "exempt", "directories"}
	namespaceKeys = []string{"scope", "propagation", "home", "always"}
	selectorKeys  = []string{"users", "groups", "services"}
	exemptKeys    = append(slices.Clone(selectorKeys), "action")

	propagationWords = []string{
		string(PropagationSlave), string(PropagationPrivate), string(PropagationShared), string(PropagationUnchanged),
	}
	homeWords = []string{string(HomeInherit), string(HomeSlave)}
)

// ParseYAML reads one gons.yaml, named file in messages, and returns what it says with the defaults for the rest. The
// error is Errors. The language is strict: a slip in it must not leave a directory shared that was meant to be private.
func ParseYAML(file string, data []byte) (*Config, error) {
	cfg := defaults()
	cfg.Files = []string{file}
	return finish(cfg, parseYAMLInto(cfg, file, data))
}

// parseYAMLInto adds a file to a Config: scalars override what is there, exempt names are added, and a directory
// replaces an earlier file's of the same path. It returns the problems in order.
func parseYAMLInto(cfg *Config, file string, data []byte) Errors {
	p := yamlParser{file: file, cfg: cfg}
	if root := p.parse(data); root != nil && p.refuseShorthand(root) {
		p.document(root)
	}
	return p.bad.sorted()
}

// yamlParser walks the nodes of one file.
type yamlParser struct {
	file string
	cfg  *Config
	bad  Errors
	// dirs are this file's directories so far.
	dirs []Directory
}

// document reads the whole of a file.
func (p *yamlParser) document(root *yaml.Node) {
	s, ok := p.section(root, "", rootKeys)
	if !ok || !p.version(s) {
		return
	}
	if n := s.nodes["namespace"]; n != nil {
		p.namespace(n)
	}
	if n := s.nodes["exempt"]; n != nil {
		p.exempt(n)
	}
	if n := s.nodes["directories"]; n != nil {
		p.directories(n)
	}
}

// version returns false where the file is in a language that this parser doesn't know, so that whatever else it finds
// would be noise.
func (p *yamlParser) version(s section) bool {
	n := s.nodes["version"]
	switch {
	case n == nil:
		p.fail(s.node, "version: 1 expected")
	case n.Kind != yaml.ScalarNode || n.Tag != "!!int":
		p.fail(n, "version: the number 1 expected, not %s", kindOf(n))
	case n.Value != "1":
		p.fail(n, "version: %s is not supported; this gons reads version 1", quote(n.Value))
		return false
	}
	return true
}

// namespace reads the section of that name.
func (p *yamlParser) namespace(n *yaml.Node) {
	s, ok := p.section(n, "namespace", namespaceKeys)
	if !ok {
		return
	}
	p.word(s, "scope", []string{"session"}, "user")
	if word, ok := p.word(s, "propagation", propagationWords); ok {
		p.cfg.Propagation = Propagation(word)
	}
	if word, ok := p.word(s, "home", homeWords); ok {
		p.cfg.Home = Home(word)
	}
	if always, ok := p.boolean(s, "always"); ok {
		p.cfg.Always = always
	}
}

// exempt reads the section of that name. A drop-in can add to the exempt, not take away.
func (p *yamlParser) exempt(n *yaml.Node) {
	s, ok := p.section(n, "exempt", exemptKeys)
	if !ok {
		return
	}
	p.word(s, "action", []string{"stay"}, "host")
	more := p.selectorIn(s)
	have := &p.cfg.Exempt
	have.Users = append(have.Users, more.Users...)
	have.Groups = append(have.Groups, more.Groups...)
	have.Services = append(have.Services, more.Services...)
}

// selector reads only: or except:; the zero Selector where it isn't given.
func (p *yamlParser) selector(s section, key string) Selector {
	n := s.nodes[key]
	if n == nil {
		return Selector{}
	}
	inner, ok := p.section(n, s.path(key), selectorKeys)
	if !ok {
		return Selector{}
	}
	return p.selectorIn(inner)
}

// selectorIn reads the three lists of names in a section.
func (p *yamlParser) selectorIn(s section) Selector {
	return Selector{Users: p.names(s, "users"), Groups: p.names(s, "groups"), Services: p.names(s, "services")}
}

// names reads a list of names; an empty one is the same as none.
func (p *yamlParser) names(s section, key string) []string {
	var names []string
	for _, item := range p.list(s, key) {
		if name, ok := p.text(item.node, item.where); ok && p.check(item, checkName(name)) {
			names = append(names, name)
		}
		if p.bad.full() {
			break
		}
	}
	return names
}
