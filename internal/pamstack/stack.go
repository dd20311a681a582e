package pamstack

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// The directories of services; the first that has one counts.
var directories = []string{"/etc/pam.d", "/usr/lib/pam.d"}

// Bounds on what is read. libpam follows 31 levels.
const (
	maxFile  = 1 << 20
	maxLevel = 31
	maxRules = 10_000
	maxFiles = 1000 // a file may include others more than once
)

// Files is how files are reached; both errors match fs.ErrNotExist for what is missing.
type Files interface {
	Read(path string, max int64) ([]byte, error)
	List(dir string) ([]string, error)
}

// Stack is what a service runs for one kind, in order, with what is included in its place.
type Stack struct {
	Service string
	// File is the service's own.
	File  string
	Rules []Rule
	// Problems are files that are missing or can't be read, and lines that aren't understood.
	Problems []string
}

// Services lists the services that have a file, sorted, but for those that are only there to be included by name
// ("common-session").
func Services(f Files) ([]string, error) {
	var out []string
	for _, dir := range directories {
		names, err := f.List(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, "common-") && !strings.HasPrefix(name, ".") && !leftBehind(name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// leftBehind reports whether a file is a package manager's or an editor's copy.
func leftBehind(name string) bool {
	return strings.HasSuffix(name, "~") || slices.Contains([]string{".dpkg-dist", ".dpkg-old", ".dpkg-new", ".rpmnew", ".rpmsave", ".bak"}, path.Ext(name))
}

// Read returns the stack of a service for one kind. A service without a file is fs.ErrNotExist: PAM takes "other" for it.
func Read(f Files, service, kind string) (Stack, error) {
	r := reader{files: f, kind: kind, stack: Stack{Service: service}}
	name, data, err := r.find(service)
	if err != nil {
		return r.stack, err
	}
	r.stack.File = name
	r.file(name, data, kind, 0)
	return r.stack, nil
}

type reader struct {
	files Files
	kind  string
	stack Stack
	read  int // files
}

func (r *reader) find(name string) (file string, data []byte, err error) {
	if strings.HasPrefix(name, "/") {
		data, err = r.files.Read(name, maxFile)
		return name, data, err
	}
	if name == "" || strings.Contains(name, "/") {
		return "", nil, fmt.Errorf("%q is not the name of a service", name)
	}
	for _, dir := range directories {
		file = path.Join(dir, name)
		if data, err = r.files.Read(file, maxFile); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return file, data, err
}

// file adds the rules of a file that are of the kind.
func (r *reader) file(name string, data []byte, kind string, level int) {
	rules, problems := Parse(name, data)
	r.stack.Problems = append(r.stack.Problems, problems...)
	for _, rule := range rules {
		switch {
		case rule.Kind != "" && rule.Kind != kind:
		case len(r.stack.Rules) >= maxRules:
			return
		case rule.includes():
			r.include(rule, kind, level)
		default:
			r.stack.Rules = append(r.stack.Rules, rule)
		}
	}
}

func (r *reader) include(rule Rule, kind string, level int) {
	if level >= maxLevel {
		r.stack.Problems = append(r.stack.Problems, fmt.Sprintf("%s: more than %d files include one another", rule.Where(), maxLevel))
		return
	}
	if r.read++; r.read > maxFiles {
		return
	}
	name, data, err := r.find(rule.Module)
	if err != nil {
		r.stack.Problems = append(r.stack.Problems, fmt.Sprintf("%s: %v", rule.Where(), err))
		return
	}
	r.file(name, data, kind, level+1)
}

// Find returns the places in the stack that a module has.
func (s Stack) Find(module string) []int {
	var out []int
	for i, r := range s.Rules {
		if r.Name() == module {
			out = append(out, i)
		}
	}
	return out
}
