package selinux

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
)

// Bounds of the policy's files, in bytes. The largest policies' file_contexts have half a megabyte.
const (
	maxFile         = 1 << 20
	maxFileContexts = 16 << 20
)

const (
	configFile  = "/etc/selinux/config"
	policiesDir = "/etc/selinux/"
)

// reader is what reads the policy's files, which are root's: safepath.Files with Strict.
type reader interface {
	Read(path string, max int64) ([]byte, error)
}

// policy is the directory of the policy that /etc/selinux/config names.
type policy struct {
	files reader
	dir   string
	// usersRequired says that a user who isn't in seusers gets no context (REQUIRESEUSERS).
	usersRequired bool
	// seen keeps what a new home asks for again with each of its files.
	seen *seen
}

// seen are files of the policy, and patterns of them, by their text.
type seen struct {
	files    map[string]*string // nil for a missing one
	patterns map[string]*regexp.Regexp
}

// findPolicy reads /etc/selinux/config; false where there is none.
func findPolicy(files reader) (policy, bool, error) {
	text, err := files.Read(configFile, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return policy{}, false, nil
	}
	if err != nil {
		return policy{}, false, err
	}
	name, required := parseConfig(string(text))
	seen := &seen{map[string]*string{}, map[string]*regexp.Regexp{}}
	return policy{files: files, dir: policiesDir + name, usersRequired: required, seen: seen}, true, nil
}

// parseConfig returns SELINUXTYPE, "targeted" where it isn't set, and REQUIRESEUSERS; the last of each counts
// (selinux_config(5)).
func parseConfig(text string) (name string, usersRequired bool) {
	name = "targeted"
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(key, "SELINUXTYPE") && value != "":
			name = value
		case key == "REQUIRESEUSERS":
			usersRequired = strings.EqualFold(value, "true") || strings.Trim(value, "0123456789") == "" && strings.Trim(value, "0") != ""
		}
	}
	return name, usersRequired
}

// read returns a file of the policy, "" and false where it is missing.
func (p policy) read(name string, max int64) (text string, found bool, err error) {
	if have, ok := p.seen.files[name]; ok {
		if have == nil {
			return "", false, nil
		}
		return *have, true, nil
	}
	b, err := p.files.Read(p.dir+"/"+name, max)
	if errors.Is(err, fs.ErrNotExist) {
		p.seen.files[name] = nil
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	text = string(b)
	p.seen.files[name] = &text
	return text, true, nil
}

// compile compiles a pattern of file_contexts, each once.
func (s *seen) compile(pattern string) (*regexp.Regexp, error) {
	if re := s.patterns[pattern]; re != nil {
		return re, nil
	}
	re, err := regexp.Compile("(?s)^" + pattern + "$")
	if err == nil {
		s.patterns[pattern] = re
	}
	return re, err
}

// CustomizableTypes returns the types that restorecon(8) leaves alone (customizable_types(5)).
func (s *SELinux) CustomizableTypes() ([]string, error) {
	text, _, err := s.policy.read("contexts/customizable_types", maxFile)
	return strings.Fields(text), err
}
