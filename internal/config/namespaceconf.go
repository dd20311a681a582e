package config

import (
	"bytes"
	"strings"
)

// ParseNamespaceConf reads one file in the grammar of namespace.conf(5), named file in messages, as linux-pam's
// pam_namespace.c and argv_parse.c read it. The error is Errors: where pam_namespace refuses a line, so does this.
//
// What pam_namespace takes without a word although it can't have been meant is taken too, with a Warning, because a
// host must be able to change the module's name and nothing else.
func ParseNamespaceConf(file string, data []byte) (*Config, error) {
	cfg := defaults()
	cfg.Files = []string{file}
	return finish(cfg, parseLegacyInto(cfg, Reading{}, file, data))
}

// parseLegacyInto adds the lines of a file to a Config and returns the problems in order.
func parseLegacyInto(cfg *Config, how Reading, file string, data []byte) Errors {
	cfg.Legacy = true
	p := legacyParser{cfg: cfg, how: how}
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
	how Reading
	bad Errors
}

// leftOutLine ends the warning about a line that SkipBad leaves out.
const leftOutLine = "; this line is left out"

// line reads one line that begins at pos and adds its directory, if it has one.
func (p *legacyParser) line(pos Pos, text string) {
	bad, warnings := len(p.bad), len(p.cfg.Warnings)
	d, ok := p.directory(pos, text)
	switch {
	case len(p.bad) > bad && p.how.SkipBad:
		p.cfg.Warnings = p.cfg.Warnings[:warnings]
		p.cfg.warn(p.bad[bad].Pos, "%s"+leftOutLine, p.bad[bad].Text)
		p.bad = p.bad[:bad]
	case ok && len(p.bad) == bad:
		p.add(d)
	}
}

// directory reads the directory of a line; false where it has none, or one that applies to nobody.
func (p *legacyParser) directory(pos Pos, text string) (Directory, bool) {
	fields, ok := p.fields(pos, text)
	if !ok {
		return Directory{}, false
	}
	d := Directory{Pos: fields[0].pos(pos)}
	p.method(&d, pos, fields[2])
	d.Path = p.path("polydir", fields[0].pos(pos), cleanDir(fields[0].text), true)
	prefix := p.path("instance_prefix", fields[1].pos(pos), cleanInstances(fields[1].text), d.Method != MethodTmpfs)
	if d.Method != MethodTmpfs {
		d.InstancePrefix = prefix
	}
	applies := true
	if len(fields) > 3 {
		applies = p.users(&d, pos, fields[3])
	}
	return d, applies
}

// fields splits a line; false where it is empty, or lacks one of the three fields that every line needs.
func (p *legacyParser) fields(pos Pos, text string) ([]field, bool) {
	// C would end the string here, and the rest of the line would be a comment that looks like configuration.
	if strings.Contains(text, "\x00") {
		p.bad.add(pos, "a NUL byte")
		return nil, false
	}
	text, _, _ = strings.Cut(text, "#")
	fields, closed := splitFields(text)
	if len(fields) == 0 {
		return nil, false
	}
	if !closed {
		p.cfg.warn(pos, "an unterminated quote; note that # begins a comment in quotes too")
	}
	if len(fields) < 3 {
		missing := []string{"instance_prefix", "method"}[len(fields)-1]
		p.bad.add(fields[0].pos(pos), `%s missing: "polydir instance_prefix method [users]" expected`, missing)
		return nil, false
	}
	if len(fields) > 4 {
		p.cfg.warn(fields[4].pos(pos), "%s is ignored, as is what follows it: the list of users has no spaces in it",
			quote(fields[4].text))
	}
	return fields, true
}

// add appends a directory. pam_namespace mounts one over the other where there are two for one path.
func (p *legacyParser) add(d Directory) {
	have := &p.cfg.Directories
	if len(*have) == MaxDirectories {
		p.bad.add(d.Pos, "more than %d directories in all files", MaxDirectories)
		return
	}
	p.cfg.warnHidden(*have, d)
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

// cleanDir drops the components of a polydir that lead nowhere, empty ones and ".", so that a path has one spelling.
func cleanDir(path string) string {
	clean := cleanDots(path)
	if clean == "" && path != "" {
		return "/"
	}
	return clean
}

// cleanInstances does so in an instance_prefix. What follows the last slash stays: an instance's name goes on there.
func cleanInstances(prefix string) string {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return prefix
	}
	return cleanDots(prefix[:i]) + prefix[i:]
}

// cleanDots is cleanDir that leaves nothing of the root. The first component is a variable, or nothing.
func cleanDots(path string) string {
	first, rest, _ := strings.Cut(path, "/")
	var out strings.Builder
	out.WriteString(first)
	for part := range strings.SplitSeq(rest, "/") {
		if part != "" && part != "." {
			out.WriteString("/" + part)
		}
	}
	return out.String()
}
