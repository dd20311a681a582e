// Package retention finds the instances that sessions left for good, those of method user above all, and removes those that
// nobody has used for long. What a session leaves only until it has ended is package session's.
//
// Whose an entry of an instance parent is, is decided here, in classify.go, from names alone; what isn't provably an instance
// that the configuration makes is left, and told of. remove.go does the rest on handles.
package retention

import (
	"path"
	"slices"
	"strings"
	"time"

	"gons/internal/config"
)

// rule is one directory of the configuration that keeps instances in a parent.
type rule struct {
	config.Directory
	prefix string // of the names in the parent
}

// Parent is an instance parent, which all users have.
type Parent struct {
	Path  string
	rules []rule
	hash  bool // names may be MD5 sums
}

// Parents are the instance parents of a configuration. Those whose path has $HOME or $USER in it can't be listed, and are left
// out.
func Parents(cfg *config.Config) []Parent {
	var out []Parent
	for _, d := range cfg.Directories {
		i := strings.LastIndexByte(d.InstancePrefix, '/')
		if i <= 0 || strings.Contains(d.InstancePrefix[:i], "$") {
			continue
		}
		dir := path.Clean(d.InstancePrefix[:i])
		at := slices.IndexFunc(out, func(p Parent) bool { return p.Path == dir })
		if at < 0 {
			at = len(out)
			out = append(out, Parent{Path: dir, hash: cfg.Options.GenHash})
		}
		out[at].rules = append(out[at].rules, rule{d, d.InstancePrefix[i+1:]})
	}
	return out
}

// Kind says what an entry of an instance parent is.
type Kind string

// The kinds of entries.
const (
	// OfUser is the instance of a user, by the name.
	OfUser Kind = "user"
	// Fresh is a session's own (tmpdir).
	Fresh Kind = "tmpdir"
	// Aside is an instance that is being removed, by this process or by one that was killed.
	Aside Kind = "aside"
	// Own is something else of gons' own, which isn't this package's.
	Own Kind = "own"
	// Other is all else: a shared instance, one named by an SELinux context or by a sum, or a stranger.
	Other Kind = "other"
)

// Entry is what an entry is, by its name.
type Entry struct {
	Name string
	Kind Kind
	// User is whose it is, for OfUser.
	User string
	// Retention is how long it is kept by the configuration; 0 for ever.
	Retention time.Duration
}

// What names of gons' own begin with; polyinst refuses instances whose names do.
const (
	ownPrefix   = ".gons-"
	asidePrefix = ownPrefix + "old-"
)

// Classify says what the entry of that name is. One that could be two things is Other.
func (p Parent) Classify(name string) Entry {
	e := Entry{Name: name, Kind: Other}
	switch {
	case strings.HasPrefix(name, asidePrefix):
		e.Kind = Aside
	case strings.HasPrefix(name, ownPrefix):
		e.Kind = Own
	}
	if e.Kind != Other {
		return e
	}
	found := Entry{}
	for _, r := range p.rules {
		one := r.classify(name, p.hash)
		if one.Kind == "" {
			continue
		}
		if found.Kind != "" && (found.Kind != one.Kind || found.User != one.User) {
			return e
		}
		if found.Kind == "" || one.Retention == 0 || found.Retention != 0 && one.Retention > found.Retention {
			found = one
		}
	}
	if found.Kind == "" {
		return e
	}
	return found
}

// classify returns what an entry is by one directory; the zero Entry where it has nothing to do with that.
func (r rule) classify(name string, hash bool) Entry {
	rest, ok := strings.CutPrefix(name, r.prefix)
	switch {
	case r.Shared && r.Method == config.MethodUser:
		if name == r.prefix {
			return Entry{Name: name, Kind: Other}
		}
	case !ok || rest == "":
	case r.Method == config.MethodUser && !strings.Contains(r.prefix, "$") && !hash:
		return Entry{name, OfUser, rest, r.Retention}
	case r.Method == config.MethodTmpdir && len(rest) == freshLength && alphanumeric(rest):
		return Entry{name, Fresh, "", r.Retention}
	case r.Method == config.MethodTmpdir:
	default:
		return Entry{Name: name, Kind: Other}
	}
	return Entry{}
}

// freshLength is how many characters are chosen for a tmpdir instance (mkdtemp(3)).
const freshLength = 6

func alphanumeric(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}) < 0
}
