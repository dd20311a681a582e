package config

import (
	"errors"

	"gopkg.in/yaml.v3"
)

// The words of an entry of directories.
var (
	directoryKeys = []string{
		"path", "method", "tmpfs", "options", "keep", "variables", "instances", "prefix", "shared", "parent_mode", "retention", "init", "create",
		"only", "except",
	}
	createKeys  = []string{"mode", "owner", "group"}
	methodWords = []string{
		string(MethodUser), string(MethodTmpfs), string(MethodTmpdir), string(MethodLevel), string(MethodContext),
		string(MethodEnv),
	}
)

// directories reads the list of that name and merges it into the Config.
func (p *yamlParser) directories(n *yaml.Node) {
	s := section{nodes: map[string]*yaml.Node{"directories": n}}
	items := p.list(s, "directories")
	if len(items) > MaxDirectories {
		p.fail(n, "directories: %d entries; at most %d expected", len(items), MaxDirectories)
		return
	}
	for _, it := range items {
		p.entry(it)
	}
	p.merge()
}

// entry reads one entry and adds it to p.dirs, or leaves it out where it is wrong and that is wanted.
func (p *yamlParser) entry(it item) {
	bad, warnings := len(p.bad), len(p.cfg.Warnings)
	d, ok := p.directory(it)
	switch {
	case len(p.bad) > bad && p.how.SkipBad:
		p.cfg.Warnings = p.cfg.Warnings[:warnings]
		p.cfg.warn(p.bad[bad].Pos, "%s; this entry is left out", p.bad[bad].Text)
		p.bad = p.bad[:bad]
	case ok && len(p.bad) == bad:
		p.dirs = append(p.dirs, d)
	}
}

// directory reads one entry.
func (p *yamlParser) directory(it item) (Directory, bool) {
	s, ok := p.section(it.node, it.where, directoryKeys)
	if !ok {
		return Directory{}, false
	}
	d := Directory{Pos: p.pos(it.node), Path: p.directoryPath(s), Method: p.method(s)}
	if d.Method == MethodEnv {
		p.environmentDirectory(s, &d)
	} else {
		p.refuse(s, "variables", "only method env has variables")
	}
	if d.Method != "" {
		p.instances(s, &d)
		d.Options = p.mountOptions(s, d.Method)
	}
	d.Keep = p.keep(s)
	d.Init = p.init(s)
	d.Create = p.create(s)
	d.Only = p.selector(s, "only")
	d.Except = p.selector(s, "except")
	return d, true
}

// directoryPath reads the path; "" where there is a problem.
func (p *yamlParser) directoryPath(s section) string {
	it, ok := p.required(s, "path")
	if !ok {
		return ""
	}
	return p.cleanText(it, cleanPath)
}

// required is the value of a key that an entry can't do without.
func (p *yamlParser) required(s section, key string) (item, bool) {
	it, ok := s.item(key)
	if !ok {
		p.fail(s.node, "%s: a %s expected", s.where, key)
	}
	return it, ok
}

// cleanText reads a string that clean accepts, as clean returns it; "" where there is a problem.
func (p *yamlParser) cleanText(it item, clean func(string) (string, error)) string {
	text, ok := p.text(it.node, it.where)
	if !ok {
		return ""
	}
	text, err := clean(text)
	p.check(it, err)
	return text
}

// method reads the method; "" where there is a problem.
func (p *yamlParser) method(s section) Method {
	if _, ok := p.required(s, "method"); !ok {
		return ""
	}
	word, _ := p.word(s, "method", methodWords)
	return Method(word)
}

// refuse reports a key that is of no use here.
func (p *yamlParser) refuse(s section, key, why string) {
	if it, ok := s.item(key); ok {
		p.check(it, errors.New("not expected: "+why))
	}
}

// create reads how to make a missing directory; nil where it isn't to be made.
func (p *yamlParser) create(s section) *Create {
	it, ok := s.item("create")
	if !ok {
		return nil
	}
	inner, ok := p.section(it.node, it.where, createKeys)
	if !ok {
		return nil
	}
	return &Create{Mode: p.mode(inner), Owner: p.name(inner, "owner"), Group: p.name(inner, "group")}
}

// mode reads permission bits; nil where there are none.
func (p *yamlParser) mode(s section) *uint32 {
	it, ok := s.item("mode")
	if !ok {
		return nil
	}
	text, ok := p.amount(it)
	if !ok {
		return nil
	}
	mode, err := octal(text)
	p.check(it, err)
	return &mode
}

// name reads one name; "" where there is none.
func (p *yamlParser) name(s section, key string) string {
	it, ok := s.item(key)
	if !ok {
		return ""
	}
	name, ok := p.text(it.node, it.where)
	if ok && p.check(it, checkName(name)) {
		p.cfg.named(p.how, p.pos(it.node), name, key == "group")
	}
	return name
}
