package config

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// keysOfInit are those of init as a mapping.
var keysOfInit = []string{"script", "on_failure"}

// init reads what adapts an instance: a word or a path, or a mapping of that and what a failure means.
func (p *yamlParser) init(s section) Init {
	it, ok := s.item("init")
	if !ok {
		return Init{}
	}
	if it.node.Kind != yaml.MappingNode {
		return p.script(it)
	}
	inner, ok := p.section(it.node, it.where, keysOfInit)
	if !ok {
		return Init{}
	}
	script, ok := p.required(inner, "script")
	if !ok {
		return Init{}
	}
	bad := len(p.bad)
	init := p.script(script)
	word, given := p.word(inner, "on_failure", []string{"fail", "ignore"})
	if given && init.Kind == InitNone && len(p.bad) == bad {
		p.refuse(inner, "on_failure", "nothing is done that could fail")
	}
	init.IgnoreFailure = word == "ignore"
	return init
}

// initWords are the scripts that have no path.
var initWords = []string{"none", string(InitStandard), string(InitBuiltin)}

// script reads one of initWords, or a path.
func (p *yamlParser) script(it item) Init {
	text, ok := p.text(it.node, it.where)
	switch {
	case !ok || text == "none":
		return Init{}
	case slices.Contains(initWords, text):
		return Init{Kind: InitKind(text)}
	case text == "" || text[0] != '/':
		p.check(it, fmt.Errorf("%s is not one of none, standard, builtin or an absolute path%s", quote(text),
			didYouMean(text, initWords)))
		return Init{}
	}
	path, err := cleanScript(text)
	p.check(it, err)
	return Init{Kind: InitScript, Script: path}
}
