package newns

import (
	"fmt"

	"gons/internal/entry"
	"gons/internal/linux"
)

// kinds are the flags of namespaces.
var kinds = map[string]int{
	"mount": linux.NewMount, "pid": linux.NewPID, "uts": linux.NewUTS, "ipc": linux.NewIPC, "net": linux.NewNet,
	"cgroup": linux.NewCgroup, "time": linux.NewTime,
}

var propagations = map[Propagation]linux.Propagation{
	Slave: linux.Slave, Private: linux.Private, Shared: linux.Shared, Unbindable: linux.Unbindable,
}

// compiler turns steps into a program of system calls.
type compiler struct {
	*linux.Program
	slots map[int]linux.Register
	why   map[int]string // what each slot is for
}

// compile adds the calls of steps to p.
func compile(p *linux.Program, steps []Step) {
	c := compiler{p, map[int]linux.Register{}, map[int]string{}}
	for _, s := range steps {
		c.step(s)
	}
}

func (c compiler) step(s Step) {
	c.About("%s", s)
	switch s := s.(type) {
	case Unshare:
		c.unshare(s)
	case MapIDs:
		c.mapIDs(s)
	case ShiftClocks:
		c.WriteFile("/proc/self/timens_offsets", fmt.Sprintf("monotonic %d 0\nboottime %d 0\n", s.Monotonic, s.Boottime))
	case SetPropagation:
		c.SetPath(s.Path, propagations[s.Type], true)
	case PrepareTree:
		c.slots[s.Slot] = c.prepareTree(s)
	case PrepareFileSystem:
		c.why[s.Slot] = s.For
		c.About("%s", s.For)
		c.slots[s.Slot] = c.NewFileSystem(s.FileSystem, s.Parameters, attributes(s.Flags))
	case Attach:
		c.About("%s", c.why[s.Slot])
		c.MoveMount(c.slots[s.Slot], s.Path)
		if s.Type != "" {
			c.SetTree(c.slots[s.Slot], 0, propagations[s.Type], true)
		}
	case EnterRoot:
		c.PivotRoot(c.slots[s.Slot])
	default:
		c.process(s)
	}
}

// process adds the calls of the steps that concern the process rather than mounts.
func (c compiler) process(s Step) {
	switch s := s.(type) {
	case SetHostname:
		c.Hostname(s.Name)
	case LoopbackUp:
		c.Program.LoopbackUp()
	case NewSession:
		c.Program.NewSession()
	case EnterDirectory:
		c.enterDirectory(s)
	case Become:
		groups := s.Groups
		if !s.SetGroups {
			groups = nil
		} else if groups == nil {
			groups = []uint32{}
		}
		c.Program.Become(s.UID, s.GID, groups, s.KeepCaps)
	case KeepCaps:
		c.KeepCapabilities(s.Capabilities)
	default:
		panic(fmt.Sprintf("internal error: no calls for %T", s))
	}
}

// enterDirectory enters a directory that was asked for, or returns to the caller's, if that has a name and is there; else to /.
func (c compiler) enterDirectory(s EnterDirectory) {
	if !s.Return {
		c.Chdir(s.Path)
		return
	}
	c.Chdir("/")
	if s.Path != "" {
		c.Chdir(s.Path)
		c.Forgive(linux.ENOENT, linux.ENOTDIR, linux.EACCES)
	}
}

func (c compiler) unshare(s Unshare) {
	flags := 0
	for _, k := range s.Kinds {
		flags |= kinds[k]
	}
	c.Unshare(flags)
}

// mapIDs makes the user namespace's maps; a caller without privilege has to give up setgroups(2) first (user_namespaces(7)).
func (c compiler) mapIDs(s MapIDs) {
	if s.Auto {
		return
	}
	c.WriteFile("/proc/self/setgroups", "deny")
	c.WriteFile("/proc/self/gid_map", fmt.Sprintf("%d %d 1", s.InsideGroup, s.OutsideGroup))
	c.WriteFile("/proc/self/uid_map", fmt.Sprintf("%d %d 1", s.Inside, s.Outside))
}

func (c compiler) prepareTree(s PrepareTree) linux.Register {
	c.why[s.Slot] = s.For
	c.About("%s", s.For)
	tree := c.OpenTree(s.Source, s.Recursive)
	if s.Try {
		c.Forgive(linux.ENOENT, linux.ENOTDIR)
	}
	attr := linux.Attr(0)
	if s.ReadOnly {
		attr = linux.ReadOnly
	}
	if attr != 0 || s.Type != "" {
		c.SetTree(tree, attr, propagations[s.Type], true)
	}
	return tree
}

func attributes(flags []string) (attr linux.Attr) {
	for _, f := range flags {
		switch f {
		case "ro":
			attr |= linux.ReadOnly
		case "nosuid":
			attr |= linux.NoSuid
		case "nodev":
			attr |= linux.NoDev
		case "noexec":
			attr |= linux.NoExec
		}
	}
	return attr
}

// giveBack adds what gives the command the signals and limits that this program was given.
func giveBack(p *linux.Program, given entry.State) {
	p.About("give on what the caller has given")
	p.Ignore(given.Ignored)
	if given.Files != [2]uint64{} {
		p.LimitFiles(given.Files)
	}
	p.Block(given.Blocked)
}
