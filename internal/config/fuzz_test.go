package config

import (
	"os"
	"path/filepath"
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
	case MethodUser, MethodTmpdir:
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

func addFiles(f *testing.F, pattern string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatal("no corpus: ", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}
