package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// ParseNamespaceConf reads one file in the grammar of namespace.conf(5), named file in messages, as linux-pam's
// pam_namespace.c and argv_parse.c read it. The error is Errors: where pam_namespace refuses a line, so does this.
//
// What pam_namespace takes without a word although it can't have been meant is taken too, with a Warning, because a
// host must be able to change the module's name and nothing else. What this version can't do (level, context, init
// scripts) is an error: a directory that is quietly less private is worse than no session.
func ParseNamespaceConf(file string, data []byte) (*Config, error) {
	cfg := defaults()
	cfg.Files = []string{file}
	return finish(cfg, parseLegacyInto(cfg, file, data))
}

// parseLegacyInto adds the lines of a file to a Config and returns the problems in order.
func parseLegacyInto(cfg *Config, file string, data []byte) Errors {
	p := legacyParser{cfg: cfg}
	if len(data) > MaxFileSize {
		p.bad.add(Pos{File: file}, "longer than %d bytes", MaxFileSize)
		return p.bad
	}
	number := 0
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		number++
		p.line(Pos{File: file, Line: number, Column: 1}, string(line))
		if p.bad.full() {
			break
		}
	}
	return p.bad.sorted()
}

// legacyParser reads the lines of one file.
type legacyParser struct {
	cfg *Config
	bad Errors
}

// line reads one line that begins at pos and adds its directory, if it has one.
func (p *legacyParser) line(pos Pos, text string) {
	// C would end the string here, and the rest of the line would be a comment that looks like configuration.
	if strings.Contains(text, "\x00") {
		p.bad.add(pos, "a NUL byte")
		return
	}
	text, _, _ = strings.Cut(text, "#")
	fields, closed := splitFields(text)
	if len(fields) == 0 {
		return
	}
	if !closed {
		p.cfg.warn(pos, "an unterminated quote; note that # begins a comment in quotes too")
	}
	if len(fields) < 3 {
		missing := []string{"instance_prefix", "method"}[len(fields)-1]
		p.bad.add(fields[0].pos(pos), `%s missing: "polydir instance_prefix method [users]" expected`, missing)
		return
	}
	if len(fields) > 4 {
		p.cfg.warn(fields[4].pos(pos), "%s is ignored, as is what follows it: the list of users has no spaces in it",
			quote(fields[4].text))
	}
	p.directory(pos, fields)
}

// directory adds the directory of a line with at least three fields, unless there is a problem with it.
func (p *legacyParser) directory(pos Pos, fields []field) {
	before := len(p.bad)
	d := Directory{Pos: fields[0].pos(pos)}
	flags := p.method(&d, fields[2].pos(pos), fields[2].text)
	for _, flag := range flags {
		p.flag(&d, fields[2].pos(pos), flag)
	}
	d.Path = p.path("polydir", fields[0].pos(pos), stripSlashes(fields[0].text), true)
	prefix := p.path("instance_prefix", fields[1].pos(pos), fields[1].text, d.Method != MethodTmpfs)
	if d.Method != MethodTmpfs {
		d.InstancePrefix = prefix
	}
	applies := true
	if len(fields) > 3 {
		applies = p.users(&d, fields[3].pos(pos), fields[3].text)
	}
	if len(p.bad) == before && applies {
		p.add(d)
	}
}

// add appends a directory. pam_namespace mounts one over the other where there are two for one path.
func (p *legacyParser) add(d Directory) {
	have := &p.cfg.Directories
	if len(*have) == MaxDirectories {
		p.bad.add(d.Pos, "more than %d directories in all files", MaxDirectories)
		return
	}
	if i := slices.IndexFunc(*have, func(old Directory) bool { return old.Path == d.Path }); i >= 0 {
		p.cfg.warn(d.Pos, "%s is also at %s; the instance of this line hides the other", quote(d.Path), (*have)[i].Pos)
	}
	*have = append(*have, d)
}

// path checks a path and returns it as it is. pam_namespace looks for ".." anywhere, not just as a component, and only
// after it has expanded the variables; package polyinst does that again.
func (p *legacyParser) path(what string, pos Pos, text string, rooted bool) string {
	switch {
	case len(text) > maxPath:
		p.bad.add(pos, "%s is longer than %d bytes", what, maxPath)
	case strings.Contains(text, ".."):
		p.bad.add(pos, `%s %s contains ".."`, what, quote(text))
	case rooted && !isRooted(text):
		p.bad.add(pos, `%s %s does not begin with "/" or "$HOME"`, what, quote(text))
	case text == "/" && what == "polydir":
		p.bad.add(pos, `polydir "/" is not a directory that can be private`)
	}
	return text
}

// stripSlashes drops trailing slashes but never the first.
func stripSlashes(path string) string {
	for len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}

// users reads the list of names: those that get no instance or, after "~", the only ones that do. It returns false
// where nobody is left, which an empty Only couldn't say.
func (p *legacyParser) users(d *Directory, pos Pos, text string) bool {
	list, only := strings.CutPrefix(text, "~")
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			p.cfg.warn(pos, "an empty name in the list of users")
			continue
		}
		if problem := suspectName(name); problem != "" {
			p.cfg.warn(pos, "%s", problem)
		}
		names = append(names, name)
	}
	if !only {
		d.Except.Users = names
		return true
	}
	d.Only.Users = names
	if len(names) == 0 {
		p.cfg.warn(pos, `"~" without a name: this line applies to nobody`)
	}
	return len(names) > 0
}

// suspectName says why a name in a list is hardly a user's; "" where it may be.
func suspectName(name string) string {
	switch {
	case name[0] == '~':
		return fmt.Sprintf(`%s is read as a user's name: "~" has a meaning only before the first name`, quote(name))
	case strings.ContainsRune("@%*!+", rune(name[0])):
		return fmt.Sprintf("%s is read as a user's name: there are no groups or patterns here", quote(name))
	case checkName(name) != nil:
		return checkName(name).Error()
	}
	return ""
}
