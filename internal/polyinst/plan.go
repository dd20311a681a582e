package polyinst

import (
	"fmt"
	"strings"
	"unicode"

	"gons/internal/config"
)

// Plan is what opening one session does, in order. It is a value: equal inputs give equal plans.
type Plan struct {
	// User and Service say which session it is for.
	User, Service string
	// Namespace says whether the session gets a namespace of its own; without one there are no steps.
	Namespace bool
	// Reason says in words why there is a namespace, or why not.
	Reason string
	// Steps are executed inside the new namespace.
	Steps []Step
	// Warnings are what the administrator should look at; they change nothing.
	Warnings []config.Warning
}

// String returns the plan as lines, the steps numbered.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", printable(fmt.Sprintf("user %s, service %s: %s", p.User, p.Service, p.Reason)))
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, printable(s.String()))
	}
	return b.String()
}

// printable keeps a user's name or home from forging a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// Step is one thing that is done to open a session. Its String says it in words and ends with the line of the
// configuration it comes from.
type Step interface {
	fmt.Stringer
	// Why is the configuration's line behind the step; its File is "" where there is none.
	Why() config.Pos
}

// Origin is where a step comes from; every step embeds it.
type Origin struct{ Pos config.Pos }

// Why returns the configuration's line.
func (o Origin) Why() config.Pos { return o.Pos }

func (o Origin) suffix() string {
	if o.Pos.File == "" {
		return ""
	}
	return "  [" + o.Pos.String() + "]"
}

// Propagate sets the propagation of / and of every mount below it.
type Propagate struct {
	Origin
	Propagation config.Propagation
}

// String says it in words.
func (s Propagate) String() string {
	switch s.Propagation {
	case config.PropagationSlave:
		return "make / a recursive slave: the host's mounts arrive, the session's stay" + s.suffix()
	case config.PropagationPrivate:
		return "make / recursively private: mounts pass in neither direction" + s.suffix()
	}
	return fmt.Sprintf("make / recursively %s", s.Propagation) + s.suffix()
}

// PrepareHome readies a copy of the user's home with all that is mounted below it, as a recursive slave.
type PrepareHome struct {
	Origin
	Slot int
	Path string
}

// String says it in words.
func (s PrepareHome) String() string {
	return fmt.Sprintf("prepare %s itself for %s, as a recursive slave of the host's", s.Path, s.Path) + s.suffix()
}

// MakeDirectory makes the last component of a polyinstantiated directory where it is missing.
type MakeDirectory struct {
	Origin
	Path     string
	Mode     uint32
	UID, GID uint32
}

// String says it in words.
func (s MakeDirectory) String() string {
	return fmt.Sprintf("make %s if it is missing, mode %04o, owner %d, group %d", s.Path, s.Mode, s.UID, s.GID) + s.suffix()
}

// PrepareDirectory opens or makes an instance and readies it as a detached mount. What is made gets the owner, group
// and mode that the covered directory has.
type PrepareDirectory struct {
	Origin
	// Slot names what is prepared, for Attach.
	Slot int
	// Path is the directory to be covered.
	Path string
	// Parent is the instance parent, made with mode 000 where it is missing.
	Parent string
	// Name is the instance in Parent. With Fresh its last six characters are XXXXXX and are chosen when it is made.
	Name string
	// Fresh makes a new directory for each session, removed when that closes (tmpdir).
	Fresh bool
	// UID is the session's user.
	UID uint32
	// AnyParent skips the check that Parent is root's with mode 000.
	AnyParent bool
	// Options are the mount's, besides those that the covered directory's mount has.
	Options config.MountOptions
}

// String says it in words.
func (s PrepareDirectory) String() string {
	path := strings.TrimSuffix(s.Parent, "/") + "/" + s.Name
	text := fmt.Sprintf("prepare %s for %s, made if it is missing with the owner and mode of %s", path, s.Path, s.Path)
	if s.Fresh {
		text = fmt.Sprintf("prepare a new %s for %s, removed when the session closes", path, s.Path)
	}
	return text + mountOptions(s.Options) + s.suffix()
}

// PrepareTmpfs readies a tmpfs as a detached mount.
type PrepareTmpfs struct {
	Origin
	Slot int
	Path string
	// UID is the session's user.
	UID     uint32
	Options config.MountOptions
}

// String says it in words.
func (s PrepareTmpfs) String() string {
	return fmt.Sprintf("prepare a tmpfs for %s", s.Path) + mountOptions(s.Options) + s.suffix()
}

// Attach covers a directory with what was prepared in Slot.
type Attach struct {
	Origin
	Slot   int
	Path   string
	Hidden bool
}

// String says it in words.
func (s Attach) String() string {
	return fmt.Sprintf("cover %s with what was prepared for it", s.Path) + hidden(s.Hidden) + s.suffix()
}

func hidden(h bool) string {
	if h {
		return ", unseen by the host"
	}
	return ""
}

func mountOptions(o config.MountOptions) string {
	var words []string
	for _, w := range []struct {
		on   bool
		name string
	}{{o.NoSuid, "nosuid"}, {o.NoDev, "nodev"}, {o.NoExec, "noexec"}} {
		if w.on {
			words = append(words, w.name)
		}
	}
	words = append(words, o.Data...)
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ",") + ")"
}
