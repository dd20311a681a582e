package config

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// maxParentMode is the widest mode of an instance parent: who could write there would make the instances of others.
const maxParentMode = 0o755

// instances reads the keys that say where instances are on disk.
func (p *yamlParser) instances(s section, d *Directory) {
	if d.Method == MethodTmpfs {
		for _, key := range []string{"instances", "prefix", "parent_mode", "retention"} {
			p.refuse(s, key, "method tmpfs has no instances on disk")
		}
	} else {
		d.InstancePrefix = p.instancePrefix(s, *d)
		if d.Method == MethodEnv {
			d.ParentMode = p.ownParent(s)
		} else {
			d.AnyParent, d.ParentMode = p.parentMode(s)
		}
	}
	d.Shared = p.shared(s, d.Method)
	if d.Method != MethodTmpfs {
		d.Retention = p.retention(s, *d)
	}
}

// instancePrefix joins instances and prefix as pam_namespace's instance_prefix has them; "" where there is a problem.
func (p *yamlParser) instancePrefix(s section, d Directory) string {
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
	if len(joined) > maxPath {
		p.check(it, fmt.Errorf("longer than %d bytes with its prefix", maxPath))
	}
	p.warnInside(it, d, instances)
	return joined
}

// warnInside tells of instances in the directory that they cover. That works, as distributions ship it in
// namespace.conf: an instance is opened before it is covered.
func (p *yamlParser) warnInside(it item, d Directory, instances string) {
	path := d.Path
	switch {
	case path == "" || !isBelow(instances, path) || instances == path && d.Method == MethodEnv:
	case instances == path:
		p.cfg.warn(p.pos(it.node), "%s: %s is the directory that an instance covers: nobody can log in unless its owner and "+
			"mode fit parent_mode, and users who can write there can make the instances of others", it.where, quote(instances))
	default:
		p.cfg.warn(p.pos(it.node), "%s: %s lies below %s: where users can write there, one of them can be first "+
			"to make it, and nobody can log in; `gons boot` makes it in time", it.where, quote(instances), quote(path))
	}
}

// isBelow reports whether path is dir or below it, both clean.
func isBelow(path, dir string) bool {
	return len(path) >= len(dir) && path[:len(dir)] == dir && (len(path) == len(dir) || path[len(dir)] == '/')
}

// shared reads whether an instance is all users'.
func (p *yamlParser) shared(s section, method Method) bool {
	shared, ok := p.boolean(s, "shared")
	if !ok || !shared {
		return false
	}
	it, _ := s.item("shared")
	switch method {
	case MethodLevel, MethodContext:
		return true
	case MethodUser:
		// The prefix is all that is left of the name, so it has to be one.
		if prefix := s.nodes["prefix"]; prefix == nil || prefix.Value == "" || prefix.Value == "." {
			p.check(it, errors.New("a prefix expected, the name of the directory that all users share"))
		}
		return true
	}
	if method == MethodEnv {
		p.check(it, errors.New("not expected: with method env every user has their own"))
		return false
	}
	p.check(it, fmt.Errorf("not expected: with method %s every session has its own", method))
	return false
}

// parentMode reads what the instance parent must be like; the zeroes where nothing is given.
func (p *yamlParser) parentMode(s section) (anyParent bool, mode uint32) {
	it, ok := s.item("parent_mode")
	if !ok {
		return false, 0
	}
	text, ok := p.amount(it)
	if !ok || text == "any" {
		return ok, 0
	}
	mode, err := octal(text)
	switch {
	case err != nil:
		err = fmt.Errorf(`"any" or an octal mode such as "0755" expected, not %s%s`, quote(text),
			didYouMean(text, []string{"any"}))
	case mode&^maxParentMode != 0:
		err = fmt.Errorf("%04o is more than %04o: who can write there can make the instances of others", mode, maxParentMode)
	}
	p.check(it, err)
	return false, mode
}

// retention reads how long unused instances are kept; 0 where nothing is given.
func (p *yamlParser) retention(s section, d Directory) time.Duration {
	it, ok := s.item("retention")
	if !ok {
		return 0
	}
	if d.Shared || d.Method == MethodLevel || d.Method == MethodContext {
		p.check(it, errors.New("not expected: only instances of one user or session are removed"))
		return 0
	}
	text, ok := p.amount(it)
	if !ok {
		return 0
	}
	kept, err := Retention(text)
	p.check(it, err)
	return kept
}

// maxRetention is a hundred years, well within a Duration.
const maxRetention = 36500 * 24 * time.Hour

// Retention reads a time such as "30d": a whole number of hours (h), days (d) or weeks (w), up to a hundred years.
func Retention(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if text != "" {
		unit := units[text[len(text)-1]]
		n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
		if unit != 0 && err == nil && n > 0 && n <= uint64(maxRetention/unit) {
			return time.Duration(n) * unit, nil
		}
	}
	return 0, fmt.Errorf(`a time such as "12h", "30d" or "8w" expected, not %s`, quote(text))
}
