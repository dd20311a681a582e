// Package newns runs a command in namespaces of its own: gons run, and newns.
//
// What is asked for (Options) and what is the case (Facts) become a Plan, which is a value, made without looking at
// anything else, and printed by --dry-run. The plan becomes programs of system calls (internal/linux.Program), which are
// performed by this process, which then becomes the command; or, where a process with threads can't enter a namespace,
// by one that is forked for it.
package newns

// Options are what the command line asks for.
type Options struct {
	// Propagation is that of all mounts in the new namespace.
	Propagation Propagation
	// Operations are what is to be done to the tree of mounts, in this order.
	Operations []Operation
	// Root is a directory that becomes /; "" for none. Paths that are covered are meant in it, sources aren't.
	Root string

	// User, PID and so on ask for namespaces; that of mounts is always made.
	User, PID, UTS, IPC, Net, Cgroup, Time bool
	// Hostname is set in the UTS namespace; "" for none.
	Hostname string
	// Monotonic and Boottime are what the clocks of the time namespace are ahead, in seconds.
	Monotonic, Boottime int64

	// MapRoot shows the caller as root in the user namespace; MapAuto does, and maps the ids that /etc/subuid and
	// /etc/subgid give the caller behind it.
	MapRoot, MapAuto bool
	// UID and GID are who runs the command: names or numbers; "" for no change.
	UID, GID string
	// KeepCaps leaves the command its capabilities whoever it runs as.
	KeepCaps bool

	// Chdir is where the command starts; "" for where the caller is.
	Chdir string
	// ClearEnv starts with an empty environment, SetEnv are NAME=VALUE.
	ClearEnv bool
	SetEnv   []string

	// DieWithParent ends the command when the caller ends, KillChild when gons does.
	DieWithParent, KillChild bool
	// NewSession gives the command a session (setsid(2)) and so no controlling terminal.
	NewSession bool
	// Cleanup ends all that the command has left when it ends.
	Cleanup bool
	// Persist is a file that the mount namespace is bound to.
	Persist string
	// Config says that the directories of a configuration are polyinstantiated for who runs the command; ConfigFile
	// is its file, "" for the standard one.
	ConfigFile string

	// DryRun prints the plan, Verbose does before it is done.
	DryRun, Verbose bool
	// Help and Version print and do nothing.
	Help bool
	// Command is the command and its arguments; none for a shell.
	Command []string
}

// Propagation is a type of propagation (mount_namespaces(7)), or to leave it unchanged.
type Propagation string

// The types.
const (
	Slave      Propagation = "slave"
	Private    Propagation = "private"
	Shared     Propagation = "shared"
	Unbindable Propagation = "unbindable"
	Unchanged  Propagation = "unchanged"
)

// Kind is what an Operation does.
type Kind int

// The kinds of operations.
const (
	// Bind shows what is at Source at Target, without what is mounted below it; RecursiveBind with it; ReadOnlyBind with
	// it and unchangeable.
	Bind Kind = iota
	RecursiveBind
	ReadOnlyBind
	// Tmpfs is an empty file system in memory, with Parameters.
	Tmpfs
	// Overlay shows Lower and, changeable, Upper in one; Work is for the kernel.
	Overlay
	// Proc shows the processes of the pid namespace, DevPTS terminals of its own.
	Proc
	DevPTS
	// Hide shows an empty directory or file.
	Hide
	// Propagate sets the propagation of the mounts at and below Target, which is bound on itself where it is no mount.
	Propagate
)

// Operation is one change of the tree.
type Operation struct {
	Kind   Kind
	Target string
	// Source, and whether it may be missing, are those of binds.
	Source string
	Try    bool
	// Parameters are a tmpfs's: "size=1G".
	Parameters []string
	// Lower, Upper and Work are an overlay's directories.
	Lower, Upper, Work string
	// Type is that of Propagate.
	Type Propagation
}
