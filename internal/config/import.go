package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
)

// Import returns the gons.yaml that means what the host's namespace.conf and namespace.d mean, with their comments in
// place, and the warnings about those files. Errors are as for Load; Errors also name each line that gons.yaml can't say.
func Import(f Files, at Locations, how Reading) ([]byte, []Warning, error) {
	return importWith(f, how, func(l *loader) error {
		found, err := l.readLegacy(at)
		if err == nil && !found {
			err = fmt.Errorf("cannot find %s: %w", at.Legacy, fs.ErrNotExist)
		}
		return err
	})
}

// ImportFile is Import of one file.
func ImportFile(f Files, file string, how Reading) ([]byte, []Warning, error) {
	if isYAML(file) {
		return nil, nil, fmt.Errorf("cannot import %s: by its name it is a gons.yaml already", file)
	}
	return importWith(f, how, func(l *loader) error { return l.read(file) })
}

// importWith imports what read makes a loader read.
func importWith(f Files, how Reading, read func(*loader) error) ([]byte, []Warning, error) {
	im := importer{how: how}
	var sources []source
	l := loader{files: f, how: how, cfg: defaults()}
	l.parse = func(cfg *Config, how Reading, file string, data []byte) Errors {
		sources = append(sources, source{file, data})
		return parseLegacyInto(cfg, how, file, data)
	}
	if err := read(&l); err != nil {
		return nil, nil, err
	}
	cfg, err := l.result()
	if err != nil {
		return nil, nil, err
	}
	yaml, err := im.sources(sources, cfg)
	if err != nil {
		return nil, nil, err
	}
	return yaml, cfg.Warnings, nil
}

// source is a namespace.conf, or a file of namespace.d.
type source struct {
	file string
	data []byte
}

// importer writes a gons.yaml.
type importer struct {
	how Reading
	out bytes.Buffer
	bad Errors
	// listing says that the directories have begun.
	listing bool
}

// print adds to the result.
func (im *importer) print(format string, args ...any) {
	fmt.Fprintf(&im.out, format, args...)
}

// comment adds a line that is a comment, or empty.
func (im *importer) comment(text string) {
	text = commentText(text)
	if im.listing && text != "" {
		im.print("  ")
	}
	im.print("%s\n", text)
}

// sources returns the gons.yaml for files that mean want.
func (im *importer) sources(sources []source, want *Config) ([]byte, error) {
	im.print("version: 1\n")
	for _, s := range sources {
		im.source(s)
	}
	if err := im.bad.err(); err != nil {
		return nil, err
	}
	if err := verify(im.out.Bytes(), want); err != nil {
		return nil, err
	}
	return im.out.Bytes(), nil
}

// source adds a file, line by line.
func (im *importer) source(s source) {
	im.comment("# From " + s.file + ":")
	lines := strings.Split(strings.TrimSuffix(string(s.data), "\n"), "\n")
	for i, line := range lines {
		im.line(Pos{File: s.file, Line: i + 1, Column: 1}, line)
		if im.bad.full() {
			break
		}
	}
}

// line adds what stands for a line: its directory, its comment, or both.
func (im *importer) line(pos Pos, text string) {
	p := legacyParser{cfg: defaults(), how: im.how}
	p.line(pos, text)
	conf, comment, found := strings.Cut(text, "#")
	if found {
		comment = "#" + comment
	}
	switch {
	case len(p.cfg.Directories) > 0:
		im.directory(p.cfg.Directories[0], commentText(comment))
	case strings.TrimFunc(conf, isSpaceRune) == "":
		im.comment(comment)
	default: // pam_namespace makes nothing of it either, and says less
		why := p.cfg.Warnings[len(p.cfg.Warnings)-1].Text
		im.comment("# Left out: " + strings.TrimSuffix(why, leftOutLine))
		im.comment("#   " + text)
	}
}

// isSpaceRune is isSpace for strings.TrimFunc.
func isSpaceRune(r rune) bool { return r < 0x80 && isSpace(byte(r)) }

// verify reads a result as the module will and compares: better no import than one that means something else.
func verify(yaml []byte, want *Config) error {
	if len(yaml) > MaxFileSize {
		return fmt.Errorf("cannot import: the result would be longer than %d bytes", MaxFileSize)
	}
	got, err := ParseYAML("the import", yaml)
	if err != nil {
		return fmt.Errorf("internal error: cannot read what was imported: %w", err)
	}
	if !reflect.DeepEqual(meaning(*got), meaning(*want)) {
		return errors.New("internal error: what was imported means something else")
	}
	return nil
}

// meaning is a Config without what doesn't change a session: where it was read from, and how.
func meaning(c Config) Config {
	c.Files, c.Warnings, c.Names, c.Legacy = nil, nil, nil, false
	c.Directories = append([]Directory(nil), c.Directories...)
	for i := range c.Directories {
		c.Directories[i].Pos = Pos{}
	}
	return c
}

// directory adds an entry of directories.
func (im *importer) directory(d Directory, comment string) {
	if !im.listing {
		im.print("directories:\n")
		im.listing = true
	}
	e := importEntry{im: im, d: d}
	e.key("path", im.text(d, "polydir", d.Path, pathVariables, cleanPath))
	if comment != "" {
		e.lines[0] += "  " + comment
	}
	e.key("method", string(d.Method))
	e.instances()
	e.options()
	e.init()
	e.create()
	e.selector("only", d.Only)
	e.selector("except", d.Except)
	im.print("  - %s\n", strings.Join(e.lines, "\n    "))
}

// text is a text of namespace.conf as a scalar of gons.yaml, which clean must turn back into it.
func (im *importer) text(d Directory, what, plain string, v variables, clean func(string) (string, error)) string {
	text, err := v.braced(plain)
	if err == nil {
		var back string
		if back, err = clean(text); err == nil && back != plain {
			err = fmt.Errorf("it would be read as %s", quote(back))
		}
	}
	return im.scalar(d, what, text, err)
}

// scalar is a text as a scalar of gons.yaml, unless there is a problem with it.
func (im *importer) scalar(d Directory, what, text string, problem error) string {
	scalar, err := yamlScalar(text)
	if problem == nil {
		problem = err
	}
	if problem != nil {
		im.bad.add(d.Pos, "gons.yaml can't say this %s: %v", what, problem)
	}
	return scalar
}

// splitPrefix splits an instance_prefix into instances and prefix.
func splitPrefix(text string) (instances, prefix string) {
	i := strings.LastIndexByte(text, '/')
	if i < 0 {
		return "", text
	}
	return text[:i], text[i+1:]
}
