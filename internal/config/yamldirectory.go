package config

import (
	"errors"
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// The words of an entry of directories.
var (
	directoryKeys = []string{
		"path", "method", "tmpfs", "options", "keep", "instances", "prefix", "create", "only", "except",
	}
	createKeys  = []string{"mode", "owner", "group"}
	methodWords = []string{string(MethodUser), string(MethodTmpfs), string(MethodTmpdir)}
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
		p.directory(it)
	}
	for _, d := range p.dirs {
		p.merge(d)
	}
}

// merge puts a directory in the place of an earlier file's of the same path, so that a drop-in doesn't change the
// order of mounts, or at the end.
func (p *yamlParser) merge(d Directory) {
	have := &p.cfg.Directories
	i := slices.IndexFunc(*have, func(old Directory) bool { return old.Path == d.Path })
	switch {
	case i >= 0:
		(*have)[i] = d
	case len(*have) == MaxDirectories:
		p.bad.add(d.Pos, "more than %d directories in all files", MaxDirectories)
	default:
		*have = append(*have, d)
	}
}

// directory reads one entry and adds it to p.dirs.
func (p *yamlParser) directory(it item) {
	s, ok := p.section(it.node, it.where, directoryKeys)
	if !ok {
		return
	}
	d := Directory{Pos: p.pos(it.node), Path: p.directoryPath(s), Method: p.method(s)}
	if d.Method != "" {
		d.InstancePrefix = p.instancePrefix(s, d)
		d.Options = p.mountOptions(s, d.Method)
	}
	p.keep(s)
	d.Create = p.create(s)
	d.Only = p.selector(s, "only")
	d.Except = p.selector(s, "except")
	p.dirs = append(p.dirs, d)
}

// directoryPath reads the path, which no other entry of the file may have: two would hide one another.
func (p *yamlParser) directoryPath(s section) string {
	it, ok := p.required(s, "path")
	if !ok {
		return ""
	}
	path := p.cleanText(it, cleanPath)
	if path == "" {
		return ""
	}
	i := slices.IndexFunc(p.dirs, func(d Directory) bool { return d.Path == path })
	if i >= 0 {
		p.fail(it.node, "%s: %s is also on line %d", it.where, quote(path), p.dirs[i].Pos.Line)
	}
	return path
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
	word, _ := p.word(s, "method", methodWords, "level", "context")
	return Method(word)
}

// instancePrefix joins instances and prefix as pam_namespace's instance_prefix has them.
func (p *yamlParser) instancePrefix(s section, d Directory) string {
	if d.Method == MethodTmpfs {
		p.refuse(s, "instances", "method tmpfs has no instances on disk")
		p.refuse(s, "prefix", "method tmpfs has no instances on disk")
		return ""
	}
	prefix := ""
	if it, ok := s.item("prefix"); ok {
		prefix = p.cleanText(it, cleanPrefix)
	}
	it, ok := s.item("instances")
	if !ok {
		p.fail(s.node, "%s: instances expected: method %s keeps them in a directory", s.where, d.Method)
		return ""
	}
	instances := p.cleanText(it, cleanPath)
	if instances == "" {
		return ""
	}
	joined := instances + "/" + prefix
	p.check(it, checkInstances(d.Path, instances, joined))
	if d.Path != "" && instances != d.Path && isBelow(instances, d.Path) {
		p.cfg.warn(p.pos(it.node), "%s: %s lies below %s: where users can write there, one of them can be first "+
			"to make it, and nobody can log in; `gons boot` makes it in time", it.where, quote(instances), quote(d.Path))
	}
	return joined
}

// checkInstances refuses a place for instances that can't work. Below the directory is fine, as distributions ship it in
// namespace.conf: an instance is opened before it is covered.
func checkInstances(path, instances, joined string) error {
	if path != "" && instances == path {
		return fmt.Errorf("%s is the directory that an instance covers", quote(instances))
	}
	if len(joined) > maxPath {
		return fmt.Errorf("longer than %d bytes with its prefix", maxPath)
	}
	return nil
}

// isBelow reports whether path is dir or below it, both clean.
func isBelow(path, dir string) bool {
	return len(path) >= len(dir) && path[:len(dir)] == dir && (len(path) == len(dir) || path[len(dir)] == '/')
}

// refuse reports a key that is of no use here.
func (p *yamlParser) refuse(s section, key, why string) {
	if it, ok := s.item(key); ok {
		p.check(it, errors.New("not expected: "+why))
	}
}

// keep accepts an empty list only.
func (p *yamlParser) keep(s section) {
	if it, _ := s.item("keep"); len(p.list(s, "keep")) > 0 {
		p.fail(it.node, "%s: not supported by this version", it.where)
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
	if ok {
		p.check(it, checkName(name))
	}
	return name
}
