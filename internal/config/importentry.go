package config

import (
	"fmt"
	"strings"
)

// importEntry gathers the lines of an entry of directories.
type importEntry struct {
	im    *importer
	d     Directory
	lines []string
}

// key adds a key and its value.
func (e *importEntry) key(name, value string) {
	e.lines = append(e.lines, name+": "+value)
}

// instances adds where instances are on disk.
func (e *importEntry) instances() {
	if e.d.Method == MethodTmpfs {
		return
	}
	const what = "instance_prefix"
	instances, prefix := splitPrefix(e.d.InstancePrefix)
	if instances == "" {
		e.im.bad.add(e.d.Pos, "gons.yaml can't say this %s: instances are in a directory other than /, with a slash "+
			"between it and what their names begin with", what)
		return
	}
	e.key("instances", e.im.text(e.d, what, instances, pathVariables, cleanPath))
	if prefix != "" {
		e.key("prefix", e.im.text(e.d, what, prefix, pathVariables, cleanPrefix))
	}
	if e.d.Shared {
		e.key("shared", "true")
	}
}

// options adds the mount options.
func (e *importEntry) options() {
	o := e.d.Options
	var items []string
	for i, given := range []bool{o.NoSuid, o.NoDev, o.NoExec} {
		if given {
			items = append(items, flagWords[i])
		}
	}
	before := make(map[string]bool)
	clean := func(text string) (string, error) { return cleanOption(text, e.d.Method) }
	for _, option := range o.Data {
		key, _, _ := strings.Cut(option, "=")
		if before[key] {
			e.im.bad.add(e.d.Pos, "gons.yaml can't say this mntopts: %s is given twice", quote(key))
		}
		before[key] = true
		items = append(items, e.im.text(e.d, "mntopts", option, optionVariables, clean))
	}
	if len(items) > 0 {
		e.key("options", "["+strings.Join(items, ", ")+"]")
	}
}

// init adds the script. namespace.conf runs one unless it says noinit, gons.yaml none unless it is told to.
func (e *importEntry) init() {
	script := string(e.d.Init.Kind)
	switch e.d.Init.Kind {
	case InitNone:
		return
	case InitScript:
		back, err := cleanScript(e.d.Init.Script)
		if err == nil && back != e.d.Init.Script {
			err = fmt.Errorf("it would be read as %s", quote(back))
		}
		script = e.im.scalar(e.d, "iscript", e.d.Init.Script, err)
	}
	if e.d.Init.IgnoreFailure {
		script = "{script: " + script + ", on_failure: ignore}"
	}
	e.key("init", script)
}

// create adds how a missing path is made.
func (e *importEntry) create() {
	c := e.d.Create
	if c == nil {
		return
	}
	var items []string
	if c.Mode != nil {
		items = append(items, fmt.Sprintf(`mode: "%04o"`, *c.Mode))
	}
	if c.Owner != "" {
		items = append(items, "owner: "+e.name(c.Owner))
	}
	if c.Group != "" {
		items = append(items, "group: "+e.name(c.Group))
	}
	e.key("create", "{"+strings.Join(items, ", ")+"}")
}

// selector adds who an entry is for, or not for.
func (e *importEntry) selector(key string, s Selector) {
	var items []string
	for _, list := range []struct {
		key   string
		names []string
	}{{"users", s.Users}, {"groups", s.Groups}} {
		var names []string
		for _, name := range list.names {
			names = append(names, e.name(name))
		}
		if len(names) > 0 {
			items = append(items, list.key+": ["+strings.Join(names, ", ")+"]")
		}
	}
	if len(items) > 0 {
		e.key(key, "{"+strings.Join(items, ", ")+"}")
	}
}

// name is a user's or group's name.
func (e *importEntry) name(name string) string {
	return e.im.scalar(e.d, "name", name, checkName(name))
}
