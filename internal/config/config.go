// Package config turns an administrator's files into one Config value.
//
// Two languages are read: gons.yaml with its drop-ins (yaml.go) and, where there is no gons.yaml, pam_namespace's
// namespace.conf with namespace.d (namespaceconf.go). Both end in the same Config, so that nothing after this package
// knows which one was written. The package decides nothing about a user and touches no file itself: load.go is handed
// a Files, and expanding $HOME and $USER belongs to package polyinst.
package config

import (
	"cmp"
	"fmt"
	"time"
)

// Limits on what is read. A configuration beyond them is an error, never a truncation.
const (
	// MaxFileSize bounds one file, in bytes.
	MaxFileSize = 1 << 20
	// MaxFiles bounds the number of drop-ins.
	MaxFiles = 1000
	// MaxDirectories bounds the polyinstantiated directories of all files together: each is a mount in every session.
	MaxDirectories = 1000
)

// Pos is the place in a configuration file that a value or an error comes from. Line and Column count from 1;
// 0 means unknown.
type Pos struct {
	File         string
	Line, Column int
}

// String returns file:line:column, as compilers print it, leaving out what is unknown.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// compare orders two places of one file.
func (p Pos) compare(other Pos) int {
	return cmp.Or(cmp.Compare(p.Line, other.Line), cmp.Compare(p.Column, other.Column))
}

// Method says what an instance is.
type Method string

// The methods, in pam_namespace's words (namespace.conf(5)).
const (
	// MethodUser gives each user a directory of their own that lasts.
	MethodUser Method = "user"
	// MethodTmpfs gives each session an empty tmpfs that ends with it.
	MethodTmpfs Method = "tmpfs"
	// MethodTmpdir gives each session a fresh directory that is removed at its end.
	MethodTmpdir Method = "tmpdir"
	// MethodLevel gives each user a directory for each SELinux level (MLS range) they log in with.
	MethodLevel Method = "level"
	// MethodContext gives each user a directory for each SELinux context that the policy's type_member rules lead to.
	MethodContext Method = "context"
	// MethodEnv gives each user a directory of their own that lasts, covers nothing, and is told in variables. namespace.conf
	// has no such method.
	MethodEnv Method = "env"
)

// Scope says which sessions are in one namespace.
type Scope string

// The scopes.
const (
	// ScopeSession gives each session a namespace of its own.
	ScopeSession Scope = "session"
	// ScopeUser has all sessions of a user in one, which the first makes and which ends with the last.
	ScopeUser Scope = "user"
)

// Chrooted says what becomes of a session whose host is in a chroot, which joining a namespace would lead out of.
type Chrooted string

// The choices for such hosts, with ScopeUser.
const (
	// ChrootedRefuse refuses the session.
	ChrootedRefuse Chrooted = "refuse"
	// ChrootedSession gives it a namespace of its own.
	ChrootedSession Chrooted = "session"
)

// Action says what becomes of an exempt session.
type Action string

// The choices for exempt sessions.
const (
	// ActionStay leaves it where its caller is.
	ActionStay Action = "stay"
	// ActionHost takes it back to the host's namespace, from whatever session its caller is in.
	ActionHost Action = "host"
)

// Propagation is how mount events pass between the session's / and the host's (mount_namespaces(7)).
type Propagation string

// The propagation types that a new namespace can be given.
const (
	PropagationSlave     Propagation = "slave"
	PropagationPrivate   Propagation = "private"
	PropagationShared    Propagation = "shared"
	PropagationUnchanged Propagation = "unchanged"
)

// Home says what is done with $HOME itself, whether or not it is polyinstantiated.
type Home string

// The choices for $HOME.
const (
	// HomeInherit leaves $HOME to the propagation of the rest of the tree.
	HomeInherit Home = "inherit"
	// HomeSlave binds $HOME on itself and makes only that subtree a recursive slave.
	HomeSlave Home = "slave"
)

// Inherited says what is done with instances that already cover directories in the namespace that the host is in: su,
// run inside a user's session, sees that user's.
type Inherited string

// The choices for instances that are inherited (pam_namespace(8), unmnt_remnt and unmnt_only).
const (
	// InheritedKeep leaves them; the new session's instances cover them.
	InheritedKeep Inherited = "keep"
	// InheritedUnmount takes them away before the new session's are attached, and from who gets none.
	InheritedUnmount Inherited = "unmount"
	// InheritedUnmountOnly takes them away and attaches none.
	InheritedUnmountOnly Inherited = "unmount-only"
)

// ContextSource says which SELinux context a session's instances are made for.
type ContextSource string

// The sources of the context (pam_namespace(8), use_current_context and use_default_context).
const (
	// ContextExec is the one that pam_selinux has set for the programs that the host is about to start.
	ContextExec ContextSource = "exec"
	// ContextCurrent is the host's own.
	ContextCurrent ContextSource = "current"
	// ContextDefault is the one that the policy gives the user at a login.
	ContextDefault ContextSource = "default"
)

// Options are what both a PAM line and gons.yaml can ask for. The zero Options ask for nothing.
type Options struct {
	// GenHash makes every instance name an MD5 sum (gen_hash).
	GenHash bool
	// IgnoreParentMode skips the check that an instance parent is root's with mode 000 (ignore_instance_parent_mode).
	IgnoreParentMode bool
	// Inherited is what is done with inherited instances; "" stands for InheritedKeep.
	Inherited Inherited
	// RequireSELinux fails a session where SELinux is off (require_selinux).
	RequireSELinux bool
	// Context is where the session's SELinux context comes from; "" stands for ContextExec.
	Context ContextSource
	// SkipBad leaves out a directory that is configured wrongly, with a warning, instead of failing (ignore_config_error).
	SkipBad bool
}

// With returns o and, where more asks for something, that: a PAM line is nearer to the session than a file.
func (o Options) With(more Options) Options {
	o.GenHash = o.GenHash || more.GenHash
	o.IgnoreParentMode = o.IgnoreParentMode || more.IgnoreParentMode
	o.RequireSELinux = o.RequireSELinux || more.RequireSELinux
	o.SkipBad = o.SkipBad || more.SkipBad
	if more.Inherited != "" {
		o.Inherited = more.Inherited
	}
	if more.Context != "" {
		o.Context = more.Context
	}
	return o
}

// InitKind says what adapts an instance once it covers its directory.
type InitKind string

// The kinds of Init.
const (
	// InitNone does nothing.
	InitNone InitKind = ""
	// InitStandard does what the host's namespace.init does: nothing where there is none, InitBuiltin where it is a
	// distribution's unmodified one, else it is run.
	InitStandard InitKind = "standard"
	// InitBuiltin does what linux-pam's own namespace.init does: a new instance gets the label of what it covers, and a
	// new home the content of /etc/skel.
	InitBuiltin InitKind = "builtin"
	// InitScript runs Script.
	InitScript InitKind = "script"
)

// Init is what adapts an instance to its user.
type Init struct {
	Kind InitKind
	// Script is the absolute path of the program, for InitScript.
	Script string
	// IgnoreFailure opens the session, with a log line, where the script fails.
	IgnoreFailure bool
}

// Selector is a set of sessions. A session is in it when its user is named in Users or in one of Groups, or when its
// PAM service is in Services. The zero Selector is empty.
type Selector struct {
	Users    []string
	Groups   []string
	Services []string
}

// Empty reports whether s names nothing at all.
func (s Selector) Empty() bool {
	return len(s.Users) == 0 && len(s.Groups) == 0 && len(s.Services) == 0
}

// Create says how to make a polyinstantiated directory that is missing (its last component only).
type Create struct {
	// Mode is the permission bits, set exactly; nil means 0777 less the host's umask.
	Mode *uint32
	// Owner is a user name; "" means the session's user.
	Owner string
	// Group is a group name; "" means the primary group of Owner, or of the session's user where Owner is "".
	Group string
}

// MountOptions are options of an instance's mount.
type MountOptions struct {
	NoSuid, NoDev, NoExec bool
	// Data are the file system's own parameters in order, each "key" or "key=value", for tmpfs only:
	// "size=1G", "nr_inodes=100k", "mode=1777" (tmpfs(5)), with $USER, $UID and $GID unexpanded. The kernel judges them.
	Data []string
}

// Directory is one polyinstantiated directory.
type Directory struct {
	// Pos is where the entry stands.
	Pos Pos
	// Path is the directory, absolute, without a trailing slash, with $HOME and $USER unexpanded.
	Path string
	// Method is what an instance is.
	Method Method
	// InstancePrefix is pam_namespace's instance_prefix, unexpanded: the instance's path is this followed directly by
	// the instance name, so "/tmp-inst/" makes /tmp-inst/alice and "/t/pre." makes /t/pre.alice. "" for tmpfs.
	InstancePrefix string
	// Shared leaves the user out of the instance name, for methods user, level and context: for user nothing remains, and
	// the instance is InstancePrefix itself.
	Shared bool
	// AnyParent takes whatever owner and mode the instance parent has.
	AnyParent bool
	// ParentMode is the mode that the instance parent must have, and is made with; 0 is pam_namespace's rule. Never more
	// than 0755: who could write there would make the instances of others.
	ParentMode uint32
	// Init is what adapts an instance once it covers Path.
	Init Init
	// Retention is how long instances that nobody uses are kept by gons clean; 0 for ever.
	Retention time.Duration
	// Options are the mount options of the instance.
	Options MountOptions
	// Variables are those that name the instance, for MethodEnv.
	Variables []string
	// Keep are the entries of Path that stay visible in the instance: names, or patterns of "*" and "?" (glob(7)).
	Keep []string
	// Create is non-nil when a missing Path is to be made.
	Create *Create
	// Only, where it isn't empty, limits the directory: where Users or Groups are given the session's user must be in
	// them, and where Services are given its service must be.
	Only Selector
	// Except excludes the sessions in it.
	Except Selector
}

// Warning is something that was read but is probably not what the administrator meant.
type Warning struct {
	Pos  Pos
	Text string
}

// String returns "file:line: text".
func (w Warning) String() string { return w.Pos.String() + ": " + w.Text }

// Named is a user or a group that a file names; whether there is one is for the name service to say.
type Named struct {
	Pos   Pos
	Group bool
	Name  string
}

// Config is what an administrator wants, for every user and service.
type Config struct {
	// Files are the files it was read from, in order.
	Files []string
	// Legacy says that namespace.conf was read: what only pam_namespace would do is done then, too.
	Legacy bool
	// Options are what the files ask for besides directories.
	Options Options
	// Propagation is that of / in a session's namespace.
	Propagation Propagation
	// Home is the treatment of $HOME.
	Home Home
	// Always opens a namespace even where no directory applies.
	Always bool
	// Scope says which sessions are in one namespace; the zero Scope is ScopeSession.
	Scope Scope
	// Linger is how long the namespace of a user is kept after the last session, with ScopeUser.
	Linger Span
	// Chrooted is for hosts in a chroot, with ScopeUser; "" stands for ChrootedRefuse.
	Chrooted Chrooted
	// Exempt sessions get no namespace.
	Exempt Selector
	// ExemptAction is what becomes of them; "" stands for ActionStay.
	ExemptAction Action
	// HostServices limits ActionHost to sessions of these services, where it isn't empty; others stay.
	HostServices []string
	// Environment are the variables that sessions get.
	Environment []Variable
	// Directories are in the order of their mounts.
	Directories []Directory
	// Warnings are what Load thinks is a slip.
	Warnings []Warning
	// Names are all users and groups that are named, where Reading.Names asks for them.
	Names []Named
}
