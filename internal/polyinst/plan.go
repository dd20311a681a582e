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
	// Namespace says whether the session gets a namespace; without one no step mounts anything.
	Namespace bool
	// Scope says which sessions are in that: with ScopeUser the steps are for who makes it, and others join it.
	Scope config.Scope
	// Fingerprint is the same for all namespaces that are made alike, with ScopeUser; "" otherwise.
	Fingerprint string
	// Linger is how long such a namespace is kept after the last session.
	Linger config.Span
	// Chrooted is what becomes of a host in a chroot, with ScopeUser.
	Chrooted config.Chrooted
	// Host says that the session goes back to the host's namespace.
	Host bool
	// Reason says in words why there is a namespace, or why not.
	Reason string
	// Steps are executed inside the new namespace, where there is one.
	Steps []Step
	// Environment is what the session's environment gets in the end.
	Environment []Variable
	// Warnings are what the administrator should look at; they change nothing.
	Warnings []config.Warning
	// Notices are what is done otherwise than was written, as documented.
	Notices []config.Warning
}

// Scripts reports whether scripts are run, and whether one is for an instance that other users have, too.
func (p *Plan) Scripts() (shared, any bool) {
	for _, s := range p.Steps {
		if d, ok := s.(PrepareDirectory); ok && d.Scripted && d.Shared {
			shared = true
		}
		if _, ok := s.(RunInit); ok {
			any = true
		}
	}
	return shared, any
}

// String returns the plan as lines, the steps numbered.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", printable(fmt.Sprintf("user %s, service %s: %s", p.User, p.Service, p.Reason)))
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, printable(s.String()))
	}
	for i, v := range p.Environment {
		fmt.Fprintf(&b, "%3d. %s\n", len(p.Steps)+i+1, printable(v.String()))
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

// Uncover takes an inherited instance away from the directory that it covers. Nothing else is ever taken away.
type Uncover struct {
	Origin
	Path string
	// Dev and Ino are the instance's identity.
	Dev, Ino uint64
}

// String says it in words.
func (s Uncover) String() string {
	return fmt.Sprintf("uncover %s, which an instance of the outer session's covers", s.Path) + s.suffix()
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

// ByContext names an instance, and labels it, by an SELinux context that comes from what the covered directory has. The
// zero ByContext is for instances that have nothing to do with that.
type ByContext struct {
	// Method is MethodLevel or MethodContext.
	Method config.Method
	// Session is the session's context.
	Session string
	// User is in the name, unless Shared leaves it out.
	User   string
	Shared bool
	// GenHash makes the name an MD5 sum.
	GenHash bool
}

// Home is how a new instance that is the user's home itself is filled. The zero Home is for others.
type Home struct {
	// Path is the home, which the instance is going to cover.
	Path string
	// Skeleton is copied into it; "" for nothing.
	Skeleton string
	// Mode is the home's own, and Umask is taken from the modes of what is copied.
	Mode, Umask uint32
	// UID and GID own all of it.
	UID, GID uint32
}

// PrepareDirectory opens or makes an instance and readies it as a detached mount. What is made gets the owner, group
// and mode that the covered directory has.
type PrepareDirectory struct {
	Origin
	// Slot names what is prepared, for Attach.
	Slot int
	// Path is the directory to be covered.
	Path string
	// Parent is the instance parent, made with ParentMode where it is missing.
	Parent string
	// Name is the instance in Parent. With Fresh its last six characters are XXXXXX and are chosen when it is made; with
	// ByContext more follows.
	Name      string
	ByContext ByContext
	// Fresh makes a new directory for each session, removed when that closes (tmpdir).
	Fresh bool
	// UID is the session's user.
	UID uint32
	// Shared says that other users have the same instance.
	Shared bool
	// AnyParent skips the check that Parent is root's with mode ParentMode.
	AnyParent  bool
	ParentMode uint32
	// Restore gives a new instance the label that the policy has for Path, as restorecon(8) does.
	Restore bool
	// Home fills a new instance.
	Home Home
	// Scripted says that a RunInit follows, which must know whether the instance is new.
	Scripted bool
	// Keeps says that a Keep follows, which may put something in it.
	Keeps bool
	// Options are the mount's, besides those that the covered directory's mount has.
	Options config.MountOptions
}

// String says it in words.
func (s PrepareDirectory) String() string {
	path := joinPath(s.Parent, s.Name)
	switch {
	case s.ByContext.Method != "" && s.ByContext.Shared:
		path += "CONTEXT"
	case s.ByContext.Method != "":
		path += "CONTEXT_" + s.ByContext.User
	}
	text := fmt.Sprintf("prepare %s for %s, made if it is missing with the owner and mode of %s", path, s.Path, s.Path)
	if s.Fresh {
		text = fmt.Sprintf("prepare a new %s for %s, removed when the session closes", path, s.Path)
	}
	return text + s.ByContext.words() + s.Home.words() + mountOptions(s.Options) + s.suffix()
}

func (b ByContext) words() string {
	if b.Method == "" {
		return ""
	}
	return fmt.Sprintf(", CONTEXT being the %s that SELinux gives %s", b.Method, b.Session)
}

func (h Home) words() string {
	if h.Skeleton == "" {
		return ""
	}
	return fmt.Sprintf(", a new one filled from %s, mode %04o", h.Skeleton, h.Mode)
}

// joinPath is the path of an entry.
func joinPath(dir, name string) string { return strings.TrimSuffix(dir, "/") + "/" + name }

// PrepareTmpfs readies a tmpfs as a detached mount.
type PrepareTmpfs struct {
	Origin
	Slot int
	Path string
	// UID is the session's user.
	UID uint32
	// Restore and Home are as for PrepareDirectory.
	Restore bool
	Home    Home
	Options config.MountOptions
}

// String says it in words.
func (s PrepareTmpfs) String() string {
	return fmt.Sprintf("prepare a tmpfs for %s", s.Path) + s.Home.words() + mountOptions(s.Options) + s.suffix()
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

// OwnDirectory makes a directory of the user's that covers nothing (method env). Who sees it, sees it in the host's namespace.
type OwnDirectory struct {
	Origin
	// Parent is made with ParentMode where it is missing; AnyParent takes it with another mode, so long as others can't
	// write to it.
	Parent     string
	ParentMode uint32
	AnyParent  bool
	// Name is the directory in Parent.
	Name     string
	UID, GID uint32
}

// String says it in words.
func (s OwnDirectory) String() string {
	return fmt.Sprintf("make %s if it is missing, mode 0700, owner %d, group %d", joinPath(s.Parent, s.Name), s.UID, s.GID) + s.suffix()
}

// Keep shows entries of a covered directory in what covers it. Only directories and sockets of root's or of the session's
// user are shown: in a directory that everybody can write to, any name may be another user's.
type Keep struct {
	Origin
	Slot int
	Path string
	// Names are those of the entries, or patterns of "*" and "?".
	Names []string
	// User and UID are the session's user.
	User string
	UID  uint32
	// Options are the instance's, which what is kept gets, too.
	Options config.MountOptions
	Hidden  bool
}

// String says it in words.
func (s Keep) String() string {
	text := fmt.Sprintf("keep %s of the covered %s visible, where root or %s owns it", strings.Join(s.Names, ", "), s.Path, s.User)
	o := s.Options
	o.Data = nil // those of a tmpfs
	return text + mountOptions(o) + hidden(s.Hidden) + s.suffix()
}

// RunInit runs a script once a directory is covered (pam_namespace(8): namespace.init; namespace.conf(5): iscript).
type RunInit struct {
	Origin
	Slot   int
	Script string
	// Path is the covered directory, and Instance what covers it as pam_namespace writes it: "tmpfs" for one, and with
	// what is chosen when the instance is made left out.
	Path, Instance string
	// User is the session's.
	User string
	// Umask is the host's.
	Umask uint32
	// IgnoreFailure goes on where the script fails.
	IgnoreFailure bool
}

// String says it in words.
func (s RunInit) String() string {
	text := fmt.Sprintf("run %s for %s", s.Script, s.Path)
	if s.IgnoreFailure {
		text += ", whether or not it succeeds"
	}
	return text + s.suffix()
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
