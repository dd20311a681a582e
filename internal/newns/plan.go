package newns

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Facts are what the plan depends on besides what was asked for.
type Facts struct {
	// UID and GID are the caller's.
	UID, GID uint32
	// Privileged says that the caller may mount here (CAP_SYS_ADMIN), Capabilities are those it may have at all.
	Privileged   bool
	Capabilities uint64
	// As is who Options.UID and Options.GID name.
	As Identity
	// Lacking are kinds of namespaces that the kernel doesn't have.
	Lacking []string
	// Mounts are the paths of operations at which something is mounted, Directories those at which there is a directory.
	Mounts, Directories map[string]bool
	// Cwd is the caller's working directory, Environ its environment.
	Cwd     string
	Environ []string
}

// Identity is who runs the command.
type Identity struct {
	UID, GID uint32
	// Groups are the supplementary ones.
	Groups []uint32
}

// Plan is what is done to run a command, in the order in which it is done.
type Plan struct {
	// Fork says that the command gets a process of its own, and why.
	Fork string
	// Init says that another process of ours is first in the namespaces, and what it is for; "" for none.
	Init string
	// Stage are the steps that make namespaces, Setup those in them.
	Stage, Setup []Step
	// Command is executed in the end.
	Command Execute
	// InitDies ends the job with this process, or this process and so the job with the caller.
	InitDies, DieWithParent bool
	// Persist is the file that the mount namespace is bound to, ByHelpers that newuidmap and newgidmap map ids.
	Persist   string
	ByHelpers bool
}

// RefusedError is something that can't be had, and what to do instead.
type RefusedError struct{ What, Instead string }

// Error says both.
func (e *RefusedError) Error() string { return e.What + "; " + e.Instead }

// Build makes the plan.
func Build(o *Options, f Facts) (*Plan, error) {
	b := &builder{o: o, f: f, user: o.User || !f.Privileged}
	if err := b.refuse(); err != nil {
		return nil, err
	}
	b.namespaces()
	b.tree()
	b.rest()
	b.plan.Command = command(o, f)
	return &b.plan, nil
}

type builder struct {
	o    *Options
	f    Facts
	user bool // a user namespace is made
	plan Plan
	slot int
}

func (b *builder) stage(s Step) { b.plan.Stage = append(b.plan.Stage, s) }
func (b *builder) setup(s Step) { b.plan.Setup = append(b.plan.Setup, s) }

// refuse finds what can't work, so that nothing is begun.
func (b *builder) refuse() error {
	const byRoot = "run it as root"
	o := b.o
	switch {
	case o.Persist != "" && !b.f.Privileged:
		return &RefusedError{"only root can keep a namespace by binding it to a file", byRoot}
	case o.ConfigFile != "" && o.Persist != "":
		return &RefusedError{"--persist keeps one namespace, and --config makes another around it", "leave one of them out"}
	case o.Root != "" && b.escapes():
		return &RefusedError{"what becomes / in there would be mounted elsewhere too where mounts are shared", "use --propagation private or slave with --root"}
	case o.Cleanup && b.escapes():
		return &RefusedError{"where mounts are shared, what the job mounts is mounted elsewhere too, and stays", "use --propagation private or slave with --cleanup"}
	case o.ConfigFile != "" && b.user:
		return &RefusedError{"only root, without --user, can make the directories of a configuration", byRoot}
	case len(b.missing()) > 0:
		return &RefusedError{"the kernel has no namespaces of the kind " + strings.Join(b.missing(), ", "), "leave that out, or boot one that has"}
	case !b.user:
		return nil
	case !o.PID && slices.ContainsFunc(o.Operations, func(op Operation) bool { return op.Kind == Proc }):
		return &RefusedError{"a user namespace can mount the /proc of its own pid namespace alone", "add --pid"}
	case (o.UID != "" || o.GID != "") && !o.MapAuto && b.f.As.UID != b.inside(b.f.UID):
		return &RefusedError{fmt.Sprintf("user %d isn't mapped into the user namespace, in which there is %d alone",
			b.f.As.UID, b.inside(b.f.UID)), "--map-auto maps the ids of /etc/subuid, or run it as root"}
	case o.GID != "" && !o.MapAuto && b.f.As.GID != b.inside(b.f.GID):
		return &RefusedError{fmt.Sprintf("group %d isn't mapped into the user namespace, in which there is %d alone",
			b.f.As.GID, b.inside(b.f.GID)), "--map-auto maps the ids of /etc/subgid, or run it as root"}
	}
	return nil
}

// escapes reports whether mounts that are made in there can appear outside, which those of a user namespace can't.
func (b *builder) escapes() bool {
	return !b.user && (b.o.Propagation == Shared || b.o.Propagation == Unchanged)
}

// inside is the number that one of the caller's ids has in the user namespace.
func (b *builder) inside(id uint32) uint32 {
	if b.o.MapRoot || b.o.MapAuto {
		return 0
	}
	return id
}

func (b *builder) namespaces() {
	o := b.o
	if b.user {
		b.plan.ByHelpers = o.MapAuto
		b.stage(MapIDs{b.inside(b.f.UID), b.inside(b.f.GID), b.f.UID, b.f.GID, o.MapAuto})
	}
	b.stage(Unshare{b.kinds()})
	if o.Monotonic != 0 || o.Boottime != 0 {
		b.stage(ShiftClocks{o.Monotonic, o.Boottime})
	}
	switch {
	case o.PID:
		b.plan.Init = "a process 1 that reaps orphans"
	case o.Time: // which, like that of pids, only children are in
		b.plan.Init = "a process that is first in the time namespace"
	}
	b.plan.Fork = b.fork()
	b.plan.InitDies = o.Cleanup || o.KillChild || o.DieWithParent
	b.plan.DieWithParent = o.DieWithParent
	b.plan.Persist = o.Persist
}

// kinds are the namespaces that are made besides that of users.
func (b *builder) kinds() []string {
	o, out := b.o, []string{"mount"}
	for _, k := range []struct {
		on   bool
		name string
	}{{o.PID, "pid"}, {o.UTS, "uts"}, {o.IPC, "ipc"}, {o.Net, "net"}, {o.Cgroup, "cgroup"}, {o.Time, "time"}} {
		if k.on {
			out = append(out, k.name)
		}
	}
	return out
}

// allKinds are all that are made.
func (b *builder) allKinds() []string {
	if b.user {
		return append(b.kinds(), "user")
	}
	return b.kinds()
}

// missing are the kinds that the kernel lacks.
func (b *builder) missing() (out []string) {
	for _, k := range b.allKinds() {
		if slices.Contains(b.f.Lacking, k) {
			out = append(out, k)
		}
	}
	return out
}

// fork says why the command can't be this very process, or "".
func (b *builder) fork() string {
	switch {
	case b.user:
		return "a process with threads can't make a user namespace for itself"
	case b.o.PID:
		return "a pid namespace is entered by a new process"
	case b.o.Time:
		return "a time namespace is entered by a new process"
	case b.o.NewSession:
		return "a process that leads its group can't make a session"
	case b.o.Persist != "":
		return "a namespace is bound to a file from outside"
	}
	return ""
}

// tree plans mounts: everything that a source is needed for is prepared before anything is covered.
func (b *builder) tree() {
	b.propagationFirst()
	operations := b.o.Operations
	if b.o.PID && !slices.ContainsFunc(operations, func(op Operation) bool { return op.Kind == Proc }) {
		operations = append([]Operation{{Kind: Proc, Target: "/proc"}}, operations...)
	}
	var attach []Step
	if b.o.Root != "" {
		tree := b.prepare(PrepareTree{Source: b.o.Root, Recursive: true, For: "make " + b.o.Root + " the root directory"})
		attach = append(attach, Attach{Slot: tree, Path: b.o.Root}, EnterRoot{tree, b.o.Root})
	}
	covered := map[string]bool{}
	for _, op := range operations {
		if op.Kind == Proc && b.escapes() && b.f.Mounts[op.Target] { // the host's own would be covered, by one without its processes
			attach = append(attach, SetPropagation{op.Target, Private})
		}
		attach = append(attach, b.operation(op, covered))
		covered[path.Clean(op.Target)] = true
	}
	if b.o.Propagation == Private {
		b.setup(SetPropagation{"/", Private})
	}
	b.plan.Setup = append(b.plan.Setup, attach...)
}

// propagationFirst keeps what is done here from being done elsewhere. Copies of mounts are slaves still when those are
// prepared for which --slave asks; all else becomes private later.
func (b *builder) propagationFirst() {
	switch b.o.Propagation {
	case Slave, Private:
		b.setup(SetPropagation{"/", Slave})
	case Shared:
		b.setup(SetPropagation{"/", Shared})
	}
}

// prepare plans a tree and returns its slot.
func (b *builder) prepare(t PrepareTree) int {
	b.slot++
	t.Slot = b.slot
	b.setup(t)
	return b.slot
}

func (b *builder) fileSystem(p PrepareFileSystem) int {
	b.slot++
	p.Slot = b.slot
	b.setup(p)
	return b.slot
}

// operation plans what an operation prepares and returns what it does then.
func (b *builder) operation(op Operation, covered map[string]bool) Step {
	target := op.Target
	switch op.Kind {
	case Bind, RecursiveBind, ReadOnlyBind:
		t := PrepareTree{Source: op.Source, Recursive: op.Kind != Bind, ReadOnly: op.Kind == ReadOnlyBind, Try: op.Try,
			For: fmt.Sprintf("bind %s on %s", op.Source, target)}
		if b.o.Propagation == Private {
			t.Type = Private
		}
		return Attach{Slot: b.prepare(t), Path: target}
	case Propagate:
		return b.propagate(op, covered)
	case Hide:
		return Attach{Slot: b.nothing(target), Path: target}
	}
	return Attach{Slot: b.fileSystem(b.newFileSystem(op)), Path: target}
}

// propagate binds a directory on itself where it is no mount, or, being one, has lost by a private / what it needs.
func (b *builder) propagate(op Operation, covered map[string]bool) Step {
	outside := b.outside(op.Target)
	isMount := b.f.Mounts[outside] || covered[path.Clean(op.Target)]
	needsMaster := b.o.Propagation == Private && op.Type != Private && op.Type != Unbindable && !covered[path.Clean(op.Target)]
	if isMount && !needsMaster {
		return SetPropagation{op.Target, op.Type}
	}
	tree := b.prepare(PrepareTree{Source: outside, Recursive: true, For: fmt.Sprintf("bind %s on itself", op.Target)})
	return Attach{Slot: tree, Path: op.Target, Type: op.Type}
}

// outside is where a target is in the caller's view.
func (b *builder) outside(target string) string {
	if b.o.Root == "" {
		return target
	}
	return path.Join(b.o.Root, target)
}

// nothing plans what hides a path.
func (b *builder) nothing(target string) int {
	if b.f.Directories[b.outside(target)] {
		return b.fileSystem(PrepareFileSystem{FileSystem: "tmpfs", Parameters: []string{"mode=0555", "size=4k", "nr_inodes=1"},
			Flags: []string{"ro", "nosuid", "nodev", "noexec"}, For: "hide " + target})
	}
	return b.prepare(PrepareTree{Source: "/dev/null", For: "hide " + target})
}

func (b *builder) newFileSystem(op Operation) PrepareFileSystem {
	switch op.Kind {
	case Proc:
		return PrepareFileSystem{FileSystem: "proc", Flags: []string{"nosuid", "nodev", "noexec"}, For: "mount proc on " + op.Target}
	case DevPTS:
		p := PrepareFileSystem{FileSystem: "devpts", Parameters: []string{"newinstance", "ptmxmode=0666", "mode=0620"},
			Flags: []string{"nosuid", "noexec"}, For: "mount devpts on " + op.Target}
		if !b.user {
			p.Parameters = append(p.Parameters, "gid=5") // tty, as everywhere; a user namespace need not have it
		}
		return p
	case Overlay:
		return b.overlay(op)
	}
	p := PrepareFileSystem{FileSystem: "tmpfs", Parameters: []string{"source=tmpfs"}, Flags: []string{"nosuid", "nodev"},
		For: "mount a tmpfs on " + op.Target}
	for _, parameter := range op.Parameters {
		if slices.Contains(flagWords, parameter) {
			p.Flags = append(p.Flags, parameter)
		} else {
			p.Parameters = append(p.Parameters, parameter)
		}
	}
	return p
}

// flagWords are the flags of mounts that can be among the parameters of a tmpfs.
var flagWords = []string{"ro", "nosuid", "nodev", "noexec"}

func (b *builder) overlay(op Operation) PrepareFileSystem {
	escape := strings.NewReplacer(`\`, `\\`, ":", `\:`) // lowerdir is a list
	p := PrepareFileSystem{FileSystem: "overlay", Flags: nil, For: "mount an overlay on " + op.Target,
		Parameters: []string{"lowerdir=" + escape.Replace(op.Lower), "upperdir=" + op.Upper, "workdir=" + op.Work}}
	if b.user {
		p.Parameters = append(p.Parameters, "userxattr") // trusted.* is for root alone (overlayfs, Linux 5.11)
	}
	return p
}

func (b *builder) rest() {
	o := b.o
	if o.Hostname != "" {
		b.setup(SetHostname{o.Hostname})
	}
	if o.Net {
		b.setup(LoopbackUp{})
	}
	if o.NewSession {
		b.setup(NewSession{})
	}
	if o.Chdir == "" && o.Root == "" && len(o.Operations) > 0 {
		b.setup(EnterDirectory{b.f.Cwd, true})
	}
	if o.UID != "" || o.GID != "" {
		b.setup(Become{b.f.As, !b.user || o.MapAuto, o.KeepCaps})
	}
	if o.KeepCaps {
		b.setup(KeepCaps{b.f.Capabilities})
	}
	if o.Chdir != "" {
		b.setup(EnterDirectory{o.Chdir, false})
	}
}
