package linux

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Program is a list of system calls that is made up first and performed later, by this thread (Perform) or by a process
// that is forked for it (Spawn) and in which nothing else of Go may run. A result, such as a descriptor, can be an
// argument of later calls.
//
// Each method below adds one call. The text about it says what it is for, in errors and in listings.
type Program struct {
	calls []syscallEntry
	regs  []uintptr
	about string
	keep  []any // what the calls' pointers lead to
}

// Register names the result of a call of a Program. The zero value is none.
type Register int32

const noResult = ^uintptr(0)

type syscallEntry struct {
	name    string
	about   string
	number  uintptr
	args    [6]uintptr
	regs    [6]Register // where an argument is a result
	result  Register
	explain Register      // a descriptor (fsopen(2)) to read the kernel's own message from
	forgive [4]unix.Errno // what counts as nothing to do
	least   uintptr       // a smaller result is a failure
}

// About says what the calls that are added from now on are for: "cannot " + about + ": " begins the error of each.
func (p *Program) About(format string, args ...any) { p.about = fmt.Sprintf(format, args...) }

// Len returns how many calls there are.
func (p *Program) Len() int { return len(p.calls) }

// Forgive makes the call that was added last no failure where it fails with one of at most four errnos. It has no result
// then, and calls that would use the result are left out.
func (p *Program) Forgive(errnos ...unix.Errno) {
	copy(p.calls[len(p.calls)-1].forgive[:], errnos)
}

func (p *Program) add(name string, number uintptr, args ...any) *syscallEntry {
	c := syscallEntry{name: name, number: number, about: p.about}
	for i, a := range args {
		switch a := a.(type) {
		case Register:
			c.regs[i] = a
		case string:
			b, err := unix.ByteSliceFromString(a)
			if err != nil {
				b = []byte{0} // a NUL inside: no such file
			}
			c.args[i] = p.pointer(unsafe.Pointer(&b[0]))
		case unsafe.Pointer:
			c.args[i] = p.pointer(a)
		case int:
			c.args[i] = uintptr(a)
		case uint64:
			c.args[i] = uintptr(a)
		}
	}
	p.calls = append(p.calls, c)
	return &p.calls[len(p.calls)-1]
}

// pointer keeps what a call's argument points to from being collected. It doesn't move: it is on the heap, being kept.
func (p *Program) pointer(to unsafe.Pointer) uintptr {
	p.keep = append(p.keep, to)
	return uintptr(to)
}

// into gives the call's result a register.
func (p *Program) into(c *syscallEntry) Register {
	p.regs = append(p.regs, noResult)
	c.result = Register(len(p.regs))
	return c.result
}

// String lists the calls, one a line: the system call and what it is for.
func (p *Program) String() string {
	var b strings.Builder
	for _, c := range p.calls {
		fmt.Fprintf(&b, "%s: %s\n", c.name, c.about)
	}
	return b.String()
}

const atCwd = uint64(0xffffffffffffff9c) // AT_FDCWD

// The kinds of namespaces (namespaces(7)).
const (
	NewMount  = unix.CLONE_NEWNS
	NewPID    = unix.CLONE_NEWPID
	NewUTS    = unix.CLONE_NEWUTS
	NewIPC    = unix.CLONE_NEWIPC
	NewNet    = unix.CLONE_NEWNET
	NewCgroup = unix.CLONE_NEWCGROUP
	NewTime   = unix.CLONE_NEWTIME
	NewUser   = unix.CLONE_NEWUSER
)

// Unshare adds unshare(2).
func (p *Program) Unshare(kinds int) { p.add("unshare", unix.SYS_UNSHARE, kinds) }

// OpenTree adds open_tree(2): a detached copy of what is at path, which the kernel resolves once, following symbolic links.
func (p *Program) OpenTree(path string, recursive bool) Register {
	flags := unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return p.into(p.add("open_tree", unix.SYS_OPEN_TREE, atCwd, path, flags))
}

// SetTree adds mount_setattr(2) on a tree: attributes and, unless it is 0, a propagation type.
func (p *Program) SetTree(tree Register, attr Attr, propagation Propagation, recursive bool) {
	flags := unix.AT_EMPTY_PATH
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	p.setattr(tree, "", flags, attr, propagation)
}

// SetPath adds mount_setattr(2) on the mount whose root is at path: its propagation type.
func (p *Program) SetPath(path string, propagation Propagation, recursive bool) {
	flags := 0
	if recursive {
		flags = unix.AT_RECURSIVE
	}
	p.setattr(atCwd, path, flags, 0, propagation)
}

func (p *Program) setattr(dir any, path string, flags int, attr Attr, propagation Propagation) {
	a := &unix.MountAttr{Attr_set: uint64(attr), Propagation: uint64(propagation)}
	p.add("mount_setattr", unix.SYS_MOUNT_SETATTR, dir, path, flags, unsafe.Pointer(a), int(unsafe.Sizeof(*a)))
}

// MoveMount adds move_mount(2): the tree is attached at path, which the kernel resolves once, following symbolic links.
func (p *Program) MoveMount(tree Register, path string) {
	p.add("move_mount", unix.SYS_MOVE_MOUNT, tree, "", atCwd, path, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
}

// NewFileSystem adds fsopen(2), fsconfig(2) for each parameter, "key" or "key=value", and fsmount(2): a detached mount.
func (p *Program) NewFileSystem(kind string, parameters []string, attr Attr) Register {
	fs := p.into(p.add("fsopen", unix.SYS_FSOPEN, kind, unix.FSOPEN_CLOEXEC))
	for _, parameter := range parameters {
		key, value, hasValue := strings.Cut(parameter, "=")
		c := (*syscallEntry)(nil)
		if hasValue {
			c = p.add("fsconfig", unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_STRING, key, value, 0)
		} else {
			c = p.add("fsconfig", unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_FLAG, key, 0, 0)
		}
		c.explain = fs
	}
	p.add("fsconfig", unix.SYS_FSCONFIG, fs, unix.FSCONFIG_CMD_CREATE, 0, 0, 0).explain = fs
	c := p.add("fsmount", unix.SYS_FSMOUNT, fs, unix.FSMOUNT_CLOEXEC, uint64(attr))
	c.explain = fs
	tree := p.into(c)
	p.Close(fs)
	return tree
}

// Close adds close(2).
func (p *Program) Close(fd Register) { p.add("close", unix.SYS_CLOSE, fd) }

// WriteFile adds openat(2), write(2) and close(2).
func (p *Program) WriteFile(path, text string) {
	fd := p.into(p.add("openat", unix.SYS_OPENAT, atCwd, path, unix.O_WRONLY|unix.O_CLOEXEC))
	p.add("write", unix.SYS_WRITE, fd, text, len(text))
	p.Close(fd)
}

// Mkdir adds mkdirat(2).
func (p *Program) Mkdir(path string, mode int) { p.add("mkdirat", unix.SYS_MKDIRAT, atCwd, path, mode) }

// Chdir adds chdir(2).
func (p *Program) Chdir(path string) { p.add("chdir", unix.SYS_CHDIR, path) }

// PivotRoot adds what makes tree, which must be attached, the root of the namespace and leaves nothing of the old one:
// fchdir(2), pivot_root(2) of the directory onto itself, umount2(2) of what it covered, chdir(2).
func (p *Program) PivotRoot(tree Register) {
	p.add("fchdir", unix.SYS_FCHDIR, tree)
	p.add("pivot_root", unix.SYS_PIVOT_ROOT, ".", ".")
	p.add("umount2", unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	p.Chdir("/")
}

// Hostname adds sethostname(2).
func (p *Program) Hostname(name string) {
	p.add("sethostname", unix.SYS_SETHOSTNAME, name, len(name))
}

// LoopbackUp adds what brings the network interface lo up (netdevice(7): SIOCSIFFLAGS).
func (p *Program) LoopbackUp() {
	request := &struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: unix.IFF_UP | unix.IFF_RUNNING}
	copy(request.name[:], "lo")
	fd := p.into(p.add("socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	p.add("ioctl SIOCSIFFLAGS", unix.SYS_IOCTL, fd, unix.SIOCSIFFLAGS, unsafe.Pointer(request))
	p.Close(fd)
}

// Become adds setgroups(2) unless groups is nil, setresgid(2) and setresuid(2), the last after capabilities were made to
// stay where keepCaps says so. Without it none is left to another user than root: that setresuid(2) takes them away is true of
// a caller who is root, and not of the inheritable ones (capabilities(7)).
func (p *Program) Become(uid, gid uint32, groups []uint32, keepCaps bool) {
	if groups != nil {
		list := append([]uint32{}, groups...)
		list = append(list, 0) // so that there is something to point to
		p.add("setgroups", unix.SYS_SETGROUPS, len(groups), unsafe.Pointer(&list[0]))
	}
	p.add("setresgid", unix.SYS_SETRESGID, int(gid), int(gid), int(gid))
	if keepCaps {
		p.add("prctl PR_SET_KEEPCAPS", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
	}
	p.add("setresuid", unix.SYS_SETRESUID, int(uid), int(uid), int(uid))
	if !keepCaps && uid != 0 {
		p.setCapabilities(0)
	}
}

// KeepCapabilities adds what makes all permitted capabilities effective, inheritable and ambient, so that execve(2) keeps
// them: capset(2), and prctl(2) for each of caps, which must be the permitted ones.
func (p *Program) KeepCapabilities(caps uint64) {
	p.setCapabilities(caps)
	for c := range 64 {
		if caps>>c&1 != 0 {
			p.add("prctl PR_CAP_AMBIENT", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0)
		}
	}
}

// setCapabilities adds capset(2): effective, permitted, inheritable. An ambient one goes with those.
func (p *Program) setCapabilities(caps uint64) {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	low, high := uint32(caps), uint32(caps>>32)
	data := &[2]unix.CapUserData{{Effective: low, Permitted: low, Inheritable: low}, {Effective: high, Permitted: high, Inheritable: high}}
	p.add("capset", unix.SYS_CAPSET, unsafe.Pointer(header), unsafe.Pointer(data))
}

// DieWithParent adds prctl(2) PR_SET_PDEATHSIG: SIGKILL when the thread that made this process ends. A change of ids takes
// it back.
func (p *Program) DieWithParent() {
	p.add("prctl PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL), 0, 0, 0)
}

// NewSession adds setsid(2).
func (p *Program) NewSession() { p.add("setsid", unix.SYS_SETSID) }

// Ignore adds rt_sigaction(2): each signal of the set is ignored.
func (p *Program) Ignore(set uint64) {
	action := &[4]uint64{uint64(1)} // SIG_IGN; of four words, as the kernel has them
	for n := 1; n <= 64; n++ {
		if set>>(n-1)&1 != 0 {
			p.add("rt_sigaction", unix.SYS_RT_SIGACTION, n, unsafe.Pointer(action), 0, 8)
		}
	}
}

// Block adds rt_sigprocmask(2): the set is what is blocked, and nothing else.
func (p *Program) Block(set uint64) {
	p.add("rt_sigprocmask", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, unsafe.Pointer(&[]uint64{set}[0]), 0, 8)
}

// LimitFiles adds prlimit64(2): RLIMIT_NOFILE, soft and hard.
func (p *Program) LimitFiles(limits [2]uint64) {
	p.add("prlimit64", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, unsafe.Pointer(&limits), 0)
}

// Wait adds a read(2) of one byte, which waits until another process writes it; the end of the file is a failure, EPIPE.
func (p *Program) Wait(from *Handle) {
	p.add("read", unix.SYS_READ, from.Fd(), unsafe.Pointer(new([1]byte)), 1).least = 1
	p.keep = append(p.keep, from)
}

// Send adds a write(2) of one byte.
func (p *Program) Send(to *Handle) {
	p.add("write", unix.SYS_WRITE, to.Fd(), unsafe.Pointer(new([1]byte)), 1)
	p.keep = append(p.keep, to)
}

// StillThere adds a read(2) of from, a Pipe's end, that fails (EPIPE) where nobody has the other end open any more.
func (p *Program) StillThere(from *Handle) {
	c := p.add("read", unix.SYS_READ, from.Fd(), unsafe.Pointer(new([1]byte)), 1)
	c.least, c.forgive[0] = 1, unix.EAGAIN
	p.keep = append(p.keep, from)
}

// CloseHandle adds close(2) of a forked process's copy of h.
func (p *Program) CloseHandle(h *Handle) {
	p.add("close", unix.SYS_CLOSE, h.Fd())
	p.keep = append(p.keep, h)
}

// UnshareFS adds unshare(2) CLONE_FS: root and working directory are the process's own again.
func (p *Program) UnshareFS() { p.add("unshare", unix.SYS_UNSHARE, unix.CLONE_FS) }
