package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tmpfsParameter is one key of a tmpfs section.
type tmpfsParameter struct {
	key, option string
	read        func(text string) (string, error)
}

// tmpfsParameters are in the order of the mount options they become.
var tmpfsParameters = []tmpfsParameter{
	{"size", "size", size},
	{"inodes", "nr_inodes", count},
	{"mode", "mode", octalText},
	{"uid", "uid", ownerID},
	{"gid", "gid", ownerID},
}

// The words of a tmpfs section and of options.
var (
	tmpfsKeys = []string{"size", "inodes", "mode", "uid", "gid"}
	// unflagWords would lift a restriction: not to give it is the way to have none.
	unflagWords = []string{"suid", "dev", "exec"}
)

// maxParameter is the longest key, and the longest value, that fsconfig(2) takes.
const maxParameter = 255

// tmpfsOption matches what is passed on: no comma, which would make two options of one where tmpfs(5) is mounted from
// text, and no white space or control character.
var tmpfsOption = lazyPattern(`^([A-Za-z0-9_]+)(?:=([^\s,\pC]*))?$`)

// mpolOption matches the only parameter whose value may have commas, a list of NUMA nodes.
var mpolOption = lazyPattern(`^(mpol)=([^\s\pC]*)$`)

// mountOptions reads tmpfs and options.
func (p *yamlParser) mountOptions(s section, method Method) MountOptions {
	var o MountOptions
	given := make(map[string]string)
	if method == MethodTmpfs {
		o.Data = p.tmpfs(s, given)
	} else {
		p.refuse(s, "tmpfs", "it is for method tmpfs only")
	}
	for _, it := range p.list(s, "options") {
		text, ok := p.text(it.node, it.where)
		if !ok {
			continue
		}
		text, err := cleanOption(text, method)
		if !p.check(it, err) {
			continue
		}
		key, _, _ := strings.Cut(text, "=")
		if where, again := given[key]; again {
			p.fail(it.node, "%s: %s is already given by %s", it.where, key, where)
			continue
		}
		given[key] = it.where
		p.cfg.warnNearFlags(p.pos(it.node), text)
		o.add(text)
	}
	return o
}

// tmpfs reads the section of that name as mount options and notes in given where each comes from.
func (p *yamlParser) tmpfs(s section, given map[string]string) []string {
	it, ok := s.item("tmpfs")
	if !ok {
		return nil
	}
	inner, ok := p.section(it.node, it.where, tmpfsKeys)
	if !ok {
		return nil
	}
	var data []string
	for _, param := range tmpfsParameters {
		it, ok := inner.item(param.key)
		if !ok {
			continue
		}
		given[param.option] = it.where
		if text, ok := p.amount(it); ok {
			value, err := param.read(text)
			p.check(it, err)
			data = append(data, param.option+"="+value)
		}
	}
	return data
}

// cleanOption checks an option and returns it with ${USER}, ${UID} and ${GID} as $USER, $UID and $GID.
func cleanOption(text string, method Method) (string, error) {
	plain, err := optionVariables.plain(text)
	if err != nil {
		return "", err
	}
	return plain, checkOption(plain, method)
}

// checkOption refuses what can't be an option of an instance of that method.
func checkOption(text string, method Method) error {
	switch {
	case slices.Contains(flagWords, text):
		return nil
	case slices.Contains(unflagWords, text):
		return fmt.Errorf("%q is not supported; leave out %q instead", text, "no"+text)
	case method != MethodTmpfs:
		return fmt.Errorf("%s is not one of %s, which are all that method %s has%s",
			quote(text), strings.Join(flagWords, ", "), method, didYouMean(text, flagWords))
	}
	m := tmpfsOption().FindStringSubmatch(text)
	if m == nil {
		m = mpolOption().FindStringSubmatch(text)
	}
	if m == nil {
		return fmt.Errorf(`one option expected, "key" or "key=value", not %s`, quote(text))
	}
	if len(m[1]) > maxParameter || len(m[2]) > maxParameter {
		return errors.New("an option longer than the kernel takes")
	}
	return nil
}
