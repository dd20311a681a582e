package config

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// The words of gons.yaml, as gons.yaml(5) lists them.
var (
	rootKeys      = []string{"version", "namespace", "selinux", "exempt", "env", "directories"}
	namespaceKeys = []string{"scope", "linger", "chrooted", "propagation", "home", "always", "inherited", "names", "config_errors"}
	selinuxKeys   = []string{"required", "context"}
	selectorKeys  = []string{"users", "groups", "services"}
	exemptKeys    = append(slices.Clone(selectorKeys), "action", "host_services")

	scopeWords       = []string{string(ScopeSession), string(ScopeUser)}
	chrootedWords    = []string{string(ChrootedRefuse), string(ChrootedSession)}
	actionWords      = []string{string(ActionStay), string(ActionHost)}
	propagationWords = []string{
		string(PropagationSlave), string(PropagationPrivate), string(PropagationShared), string(PropagationUnchanged),
	}
	homeWords      = []string{string(HomeInherit), string(HomeSlave)}
	inheritedWords = []string{string(InheritedKeep), string(InheritedUnmount), string(InheritedUnmountOnly)}
	namesWords     = []string{"plain", "md5"}
	errorsWords    = []string{"refuse", "skip"}
	contextWords   = []string{string(ContextExec), string(ContextCurrent), string(ContextDefault)}
)

// ParseYAML reads one gons.yaml, named file in messages, and returns what it says with the defaults for the rest. The
// error is Errors. The language is strict: a slip in it must not leave a directory shared that was meant to be private.
func ParseYAML(file string, data []byte) (*Config, error) {
	cfg := defaults()
	cfg.Files = []string{file}
	return finish(cfg, parseYAMLInto(cfg, Reading{}, file, data))
}

// parseYAMLInto adds a file to a Config: scalars override what is there, exempt names are added, and a directory
// replaces an earlier file's of the same path. It returns the problems in order.
func parseYAMLInto(cfg *Config, how Reading, file string, data []byte) Errors {
	p := yamlParser{file: file, how: how, cfg: cfg}
	names := len(cfg.Names)
	if root := p.parse(data); root != nil && p.refuseShorthand(root) {
		p.document(root)
	}
	slices.SortStableFunc(cfg.Names[names:], func(a, b Named) int { return a.Pos.compare(b.Pos) })
	return p.bad.sorted()
}

// yamlParser walks the nodes of one file.
type yamlParser struct {
	file string
	// how is Reading; this file's config_errors: skip adds SkipBad.
	how Reading
	cfg *Config
	bad Errors
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
	if n := s.nodes["selinux"]; n != nil {
		p.selinux(n)
	}
	if n := s.nodes["exempt"]; n != nil {
		p.exempt(n)
	}
	if n := s.nodes["env"]; n != nil {
		p.env(n)
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
	p.scope(s)
	if word, ok := p.word(s, "propagation", propagationWords); ok {
		p.cfg.Propagation = Propagation(word)
	}
	if word, ok := p.word(s, "home", homeWords); ok {
		p.cfg.Home = Home(word)
	}
	if always, ok := p.boolean(s, "always"); ok {
		p.cfg.Always = always
	}
	p.namespaceOptions(s)
}

// scope reads what sessions share.
func (p *yamlParser) scope(s section) {
	if word, ok := p.word(s, "scope", scopeWords); ok {
		p.cfg.Scope = Scope(word)
	}
	if word, ok := p.word(s, "chrooted", chrootedWords); ok {
		p.cfg.Chrooted = Chrooted(word)
	}
	if it, ok := s.item("linger"); ok {
		if text, ok := p.amount(it); ok {
			d, err := duration(text)
			p.check(it, err)
			p.cfg.Linger = d
		}
	}
}

// namespaceOptions reads what a PAM line can ask for, too.
func (p *yamlParser) namespaceOptions(s section) {
	o := &p.cfg.Options
	if word, ok := p.word(s, "inherited", inheritedWords); ok {
		o.Inherited = Inherited(word)
	}
	if word, ok := p.word(s, "names", namesWords); ok {
		o.GenHash = word == "md5"
	}
	if word, ok := p.word(s, "config_errors", errorsWords); ok {
		o.SkipBad = word == "skip"
		p.how.SkipBad = p.how.SkipBad || o.SkipBad
	}
}

// selinux reads the section of that name.
func (p *yamlParser) selinux(n *yaml.Node) {
	s, ok := p.section(n, "selinux", selinuxKeys)
	if !ok {
		return
	}
	if required, ok := p.boolean(s, "required"); ok {
		p.cfg.Options.RequireSELinux = required
	}
	if word, ok := p.word(s, "context", contextWords); ok {
		p.cfg.Options.Context = ContextSource(word)
	}
}

// exempt reads the section of that name. A drop-in can add to the exempt, not take away.
func (p *yamlParser) exempt(n *yaml.Node) {
	s, ok := p.section(n, "exempt", exemptKeys)
	if !ok {
		return
	}
	if word, ok := p.word(s, "action", actionWords); ok {
		p.cfg.ExemptAction = Action(word)
	}
	for _, it := range p.list(s, "host_services") {
		if name, ok := p.text(it.node, it.where); ok && p.check(it, checkName(name)) {
			p.cfg.HostServices = append(p.cfg.HostServices, name)
		}
	}
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
			if key != "services" {
				p.cfg.named(p.how, p.pos(item.node), name, key == "groups")
			}
		}
		if p.bad.full() {
			break
		}
	}
	return names
}
