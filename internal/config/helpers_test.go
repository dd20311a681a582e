package config

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// memFiles are files by path. A path in broken can't be read.
type memFiles struct {
	text   map[string]string
	broken map[string]error
}

func (m memFiles) Read(file string, max int64) ([]byte, error) {
	text, ok := m.text[file]
	switch {
	case m.broken[file] != nil:
		return nil, fmt.Errorf("open %s: %w", file, m.broken[file])
	case !ok:
		return nil, fmt.Errorf("open %s: %w", file, fs.ErrNotExist)
	case int64(len(text)) > max:
		return nil, fmt.Errorf("read %s: larger than %d bytes", file, max)
	}
	return []byte(text), nil
}

func (m memFiles) List(dir string) ([]string, error) {
	if m.broken[dir] != nil {
		return nil, fmt.Errorf("open %s: %w", dir, m.broken[dir])
	}
	var names []string
	for file := range m.text {
		if path.Dir(file) == dir {
			names = append(names, path.Base(file))
		}
	}
	if names == nil {
		return nil, fmt.Errorf("open %s: %w", dir, fs.ErrNotExist)
	}
	return names, nil
}

// dump prints a Config a line for each fact, for goldens.
func dump(c *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "files %q\npropagation %s\nhome %s\nalways %t\n", c.Files, c.Propagation, c.Home, c.Always)
	fmt.Fprintf(&b, "exempt %s\n", dumpSelector(c.Exempt))
	if c.Options != (Options{}) {
		fmt.Fprintf(&b, "options %+v\n", c.Options)
	}
	for _, d := range c.Directories {
		fmt.Fprintf(&b, "%s: %q %s prefix %q\n", d.Pos, d.Path, d.Method, d.InstancePrefix)
		o := d.Options
		fmt.Fprintf(&b, "  nosuid %t nodev %t noexec %t data %q\n", o.NoSuid, o.NoDev, o.NoExec, o.Data)
		if d.Shared || d.AnyParent || d.ParentMode != 0 {
			fmt.Fprintf(&b, "  shared %t any parent %t parent mode %04o\n", d.Shared, d.AnyParent, d.ParentMode)
		}
		if d.Retention != 0 {
			fmt.Fprintf(&b, "  retention %v\n", d.Retention)
		}
		if d.Init != (Init{}) {
			fmt.Fprintf(&b, "  init %s %q ignore %t\n", d.Init.Kind, d.Init.Script, d.Init.IgnoreFailure)
		}
		if len(d.Keep)+len(d.Variables) > 0 {
			fmt.Fprintf(&b, "  keep %q variables %q\n", d.Keep, d.Variables)
		}
		fmt.Fprintf(&b, "  only %s\n  except %s\n", dumpSelector(d.Only), dumpSelector(d.Except))
		if d.Create != nil {
			fmt.Fprintf(&b, "  create %s owner %q group %q\n", dumpMode(d.Create.Mode), d.Create.Owner, d.Create.Group)
		}
	}
	for _, v := range c.Environment {
		fmt.Fprintf(&b, "env %s: %s=%q\n", v.Pos, v.Name, v.Value)
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning %s\n", w)
	}
	return b.String()
}

func dumpSelector(s Selector) string {
	return fmt.Sprintf("users %q groups %q services %q", s.Users, s.Groups, s.Services)
}

func dumpMode(mode *uint32) string {
	if mode == nil {
		return "default"
	}
	return fmt.Sprintf("%04o", *mode)
}

// golden compares got with a file, or writes it under -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", file, got, want)
	}
}

// allErrors prints every problem on a line of its own.
func allErrors(err error) string {
	var list Errors
	if !errors.As(err, &list) {
		return fmt.Sprint(err)
	}
	var lines []string
	for _, e := range list {
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

// allWarnings prints every warning on a line of its own.
func allWarnings(c *Config) string {
	var lines []string
	for _, w := range c.Warnings {
		lines = append(lines, w.String())
	}
	return strings.Join(lines, "\n")
}
