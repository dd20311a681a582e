package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// validate checks what every caller may rely on in a Config that was returned without an error.
func validate(t *testing.T, c *Config) {
	t.Helper()
	if !slices.Contains(propagationWords, string(c.Propagation)) || !slices.Contains(homeWords, string(c.Home)) {
		t.Errorf("propagation %q, home %q", c.Propagation, c.Home)
	}
	if len(c.Directories) > MaxDirectories || len(c.Warnings) > maxReports {
		t.Errorf("%d directories, %d warnings", len(c.Directories), len(c.Warnings))
	}
	for _, w := range c.Warnings {
		checkMessage(t, w.String())
	}
	for _, d := range c.Directories {
		validateDirectory(t, d)
	}
}

func validateDirectory(t *testing.T, d Directory) {
	t.Helper()
	validatePath(t, d.Path)
	if strings.HasSuffix(d.Path, "/") {
		t.Errorf("path %q ends in a slash", d.Path)
	}
	switch d.Method {
	case MethodTmpfs:
		if d.InstancePrefix != "" {
			t.Errorf("tmpfs with instances %q", d.InstancePrefix)
		}
	case MethodUser, MethodTmpdir, MethodLevel, MethodContext, MethodEnv:
		validatePath(t, d.InstancePrefix)
		if len(d.Options.Data) > 0 {
			t.Errorf("method %s with data %q", d.Method, d.Options.Data)
		}
	default:
		t.Errorf("method %q", d.Method)
	}
	if slices.Contains(d.Options.Data, "") {
		t.Errorf("an empty option in %q", d.Options.Data)
	}
	if d.Create != nil && d.Create.Mode != nil && *d.Create.Mode > 0o7777 {
		t.Errorf("mode %o", *d.Create.Mode)
	}
	if d.ParentMode&^maxParentMode != 0 || d.AnyParent && d.ParentMode != 0 {
		t.Errorf("parent mode %o, any %t", d.ParentMode, d.AnyParent)
	}
	if d.Shared && (d.Method == MethodTmpfs || d.Method == MethodTmpdir) {
		t.Errorf("shared with method %s", d.Method)
	}
	validateInit(t, d.Init)
	if d.Pos.Line < 1 || d.Pos.Column < 1 {
		t.Errorf("no position: %v", d.Pos)
	}
	for _, s := range []Selector{d.Only, d.Except} {
		for _, name := range slices.Concat(s.Users, s.Groups, s.Services) {
			if name == "" {
				t.Error("an empty name")
			}
		}
	}
}

func validateInit(t *testing.T, i Init) {
	t.Helper()
	kinds := []InitKind{InitNone, InitStandard, InitBuiltin, InitScript}
	if !slices.Contains(kinds, i.Kind) || i.Kind == InitNone && i != (Init{}) {
		t.Errorf("init %+v", i)
	}
	if (i.Kind == InitScript) != (i.Script != "") || i.Script != "" && i.Script != filepath.Clean(i.Script) {
		t.Errorf("script %q of %s", i.Script, i.Kind)
	}
}

func validatePath(t *testing.T, path string) {
	t.Helper()
	if !isRooted(path) || strings.Contains(path, "\x00") || len(path) > maxPath {
		t.Errorf("path %q", path)
	}
	if slices.Contains(strings.Split(path, "/"), "..") {
		t.Errorf("path %q climbs", path)
	}
}

// checkMessage checks that a message is one short line.
func checkMessage(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\n\r\x00\x1b") || len(text) > 600 {
		t.Errorf("not fit for a log: %q", text)
	}
}

// checkErrors checks what every caller may rely on in an error of the parsers.
func checkErrors(t *testing.T, err error) {
	t.Helper()
	list, ok := err.(Errors)
	if !ok || len(list) == 0 || len(list) > maxReports {
		t.Fatalf("error %#v", err)
	}
	last := 0
	for _, e := range list {
		checkMessage(t, e.Error())
		if e.Pos.Line < last {
			t.Errorf("%v after line %d", e, last)
		}
		last = e.Pos.Line
	}
}

func FuzzParseYAML(f *testing.F) {
	addFiles(f, "testdata/good/*.yaml")
	addFiles(f, "testdata/imports/*.yaml")
	for _, c := range yamlErrors {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzParser(t, ParseYAML, data)
	})
}

func FuzzParseNamespaceConf(f *testing.F) {
	addFiles(f, "testdata/good/*.conf")
	for _, c := range slices.Concat(legacyErrors, legacyWarnings) {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzParser(t, ParseNamespaceConf, data)
	})
}

// What is imported means the same as what it is imported from, or is refused for what gons.yaml can't say.
func FuzzImport(f *testing.F) {
	addFiles(f, "testdata/good/*.conf", false)
	for _, c := range slices.Concat(legacyErrors, legacyWarnings) {
		f.Add([]byte(c.text), false)
		f.Add([]byte(c.text), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, more bool) { checkImport(t, string(data), more) })
}

// checkImport checks the import of a text, read with all that Reading has or nothing of it. It returns 1 where the text
// loads, and where it can be imported.
func checkImport(t *testing.T, text string, more bool) (loaded, imported int) {
	t.Helper()
	how := Reading{SkipBad: more, Groups: more}
	files := memFiles{text: map[string]string{"/f": text}}
	want, err := LoadFile(files, "/f", how)
	if err != nil {
		return 0, 0
	}
	yaml, _, err := ImportFile(files, "/f", how)
	if err != nil {
		checkImportError(t, err)
		return 1, 0
	}
	got, err := ParseYAML("f", yaml)
	if err != nil {
		t.Fatalf("%v in\n%s", err, yaml)
	}
	sameMeaning(t, got, want)
	validate(t, got)
	return 1, 1
}

// checkImportError allows only for what gons.yaml can't say.
func checkImportError(t *testing.T, err error) {
	t.Helper()
	if strings.HasPrefix(err.Error(), "cannot import: the result would be longer") {
		return
	}
	checkErrors(t, err)
	for _, e := range err.(Errors) {
		if !strings.HasPrefix(e.Text, "gons.yaml can't say this ") {
			t.Error(e)
		}
	}
}

// sameMeaning compares all that a session is made from.
func sameMeaning(t *testing.T, got, want *Config) {
	t.Helper()
	if g, w := dump(plainConfig(got)), dump(plainConfig(want)); g != w {
		t.Errorf("got\n%swant\n%s", g, w)
	}
	if !reflect.DeepEqual(plainConfig(got), plainConfig(want)) {
		t.Errorf("got\n%#v\nwant\n%#v", got, want)
	}
}

// plainConfig is a copy without positions, Files, Warnings and Legacy.
func plainConfig(c *Config) *Config {
	plain := *c
	plain.Files, plain.Warnings, plain.Legacy = nil, nil, false
	plain.Directories = slices.Clone(c.Directories)
	for i := range plain.Directories {
		plain.Directories[i].Pos = Pos{}
	}
	return &plain
}

func fuzzParser(t *testing.T, parse func(string, []byte) (*Config, error), data []byte) {
	cfg, err := parse("f", data)
	if err != nil {
		if cfg != nil {
			t.Error("a Config and an error")
		}
		checkErrors(t, err)
		return
	}
	validate(t, cfg)
}

func addFiles(f *testing.F, pattern string, more ...any) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatal("no corpus: ", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append([]any{data}, more...)...)
	}
}
