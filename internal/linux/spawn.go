package linux

import (
	"io"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Spawn is a process that is forked for a Command, with namespaces that a process with threads, as each of Go's, can't
// move to itself. What happens between fork and execve is in Programs: forked processes run no other Go.
//
// With Init the command is process 2 of a new pid namespace, made by Stage (unshare(2): CLONE_NEWPID). All processes that
// are made are children of this one, so that it sees the command's end and stops itself:
//
//	this process ── stage ends once the others run
//	             ├─ init, process 1: adopts and reaps orphans, shares root and mounts with the command
//	             └─ command
type Spawn struct {
	// Flags are what the first process is cloned with (clone(2)): CLONE_NEWUSER or 0.
	Flags int
	// Stage is performed by the first process, Setup by the one that executes the command; without Init they are one.
	Stage, Setup *Program
	// Init makes an init; InitSetup is performed by it.
	Init      bool
	InitSetup *Program
	Command   Command
	// Ready is called once the first process exists, which Stage or Setup may wait for (Program.Wait).
	Ready func(pid int) error
}

// Started is what Spawn has made.
type Started struct {
	Command *Process
	// Init is nil where there is none.
	Init *Process
}

// What a forked process reports: which program failed, or who the others are.
const (
	partStage = iota
	partSetup
	partInit
	partExec
	partPIDs
)

// report is one message of a forked process; they are written whole (pipe(7): PIPE_BUF).
type report struct {
	failure
	initPID, commandPID int32
}

// cloneArgs is struct clone_args (clone(2)).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// prepared is what the forked processes need, made before the fork.
type prepared struct {
	*Spawn
	pipe       int // where reports go
	paths      []*byte
	argv, envp []*byte
	clone      [3]cloneArgs // of stage, init, command
	report     report
}

// Start makes the processes and returns when the command has been executed, or with the error that prevented it, and then
// none of them is left. The calling thread must be locked and outlive them where a Program has DieWithParent.
func (s *Spawn) Start() (*Started, error) {
	from, to, err := BlockingPipe()
	if err != nil {
		return nil, err
	}
	defer from.Close()
	p, err := s.prepare(to)
	if err != nil {
		to.Close()
		return nil, err
	}
	pid, err := p.fork()
	to.Close()
	if err != nil {
		return nil, err
	}
	return p.follow(pid, from)
}

func (s *Spawn) prepare(to *Handle) (*prepared, error) {
	p := &prepared{Spawn: s, pipe: to.Fd()}
	var err error
	if p.argv, err = syscall.SlicePtrFromStrings(s.Command.Argv); err != nil {
		return nil, err
	}
	if p.envp, err = syscall.SlicePtrFromStrings(s.Command.Env); err != nil {
		return nil, err
	}
	if p.paths, err = syscall.SlicePtrFromStrings(s.Command.Paths); err != nil {
		return nil, err
	}
	const family = unix.CLONE_PARENT | unix.CLONE_FS
	for i, flags := range []int{s.Flags, family, family} {
		p.clone[i].flags = uint64(flags) | unix.CLONE_CLEAR_SIGHAND
	}
	p.clone[0].exitSignal = uint64(unix.SIGCHLD) // siblings have their elder one's; giving it is EINVAL
	return p, nil
}

// fork makes the first process with all signals blocked: none of Go's handlers may run in there.
func (p *prepared) fork() (int, error) {
	before := blockSignals(^uint64(0))
	pid, errno := p.cloneStage()
	blockSignals(before)
	if errno != 0 {
		return 0, &CallError{About: "make a process in namespaces of its own", Call: "clone3", Errno: errno}
	}
	return int(pid), nil
}

//go:noinline
//go:norace
func (p *prepared) cloneStage() (uintptr, unix.Errno) {
	pid, errno := rawClone(&p.clone[0])
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	p.stage()
	return 0, 0
}

//go:nosplit
//go:norace
func rawClone(args *cloneArgs) (uintptr, unix.Errno) {
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	return pid, errno
}

// stage is the first process. It doesn't return.
//
//go:nosplit
//go:norace
func (p *prepared) stage() {
	if !p.Stage.perform(&p.report.failure) {
		p.fail(partStage)
	}
	if !p.Init {
		p.command()
	}
	pid, errno := rawClone(&p.clone[1])
	if errno == 0 && pid == 0 {
		p.init()
	}
	if errno == 0 {
		p.report.initPID = int32(pid)
		pid, errno = rawClone(&p.clone[2])
		if errno == 0 && pid == 0 {
			p.command()
		}
	}
	if errno != 0 { // pid is -1 then, which to kill(2) would be everybody
		p.report.index, p.report.errno = -1, int32(errno)
		p.fail(partStage)
	}
	p.report.commandPID = int32(pid)
	p.fail(partPIDs)
}

// init is process 1 of the pid namespace. The kernel reaps for a parent that ignores SIGCHLD, orphans too.
//
//go:nosplit
//go:norace
func (p *prepared) init() {
	ignore := [4]uint64{1}
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
	if !p.InitSetup.perform(&p.report.failure) {
		p.fail(partInit)
	}
	unix.RawSyscall(unix.SYS_CLOSE_RANGE, 0, ^uintptr(0)>>32, 0)
	for {
		unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

// command becomes the command.
//
//go:nosplit
//go:norace
func (p *prepared) command() {
	if !p.Setup.perform(&p.report.failure) {
		p.fail(partSetup)
	}
	worst := unix.ENOENT
	for i, path := range p.paths {
		if path == nil {
			break
		}
		_, _, errno := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.envp[0])))
		p.report.index = int32(i)
		if !notThere(errno) {
			worst = errno
			break
		}
		if errno == unix.EACCES {
			worst = errno
		}
	}
	p.report.errno = int32(worst)
	p.fail(partExec)
}

// fail reports and ends the process.
//
//go:nosplit
//go:norace
func (p *prepared) fail(part int32) {
	p.report.part = part
	unix.RawSyscall(unix.SYS_WRITE, uintptr(p.pipe), uintptr(unsafe.Pointer(&p.report)), unsafe.Sizeof(p.report))
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
	}
}

// follow reads reports until the pipe's last writer is gone: the command was executed then, or has reported why not.
func (p *prepared) follow(pid int, from *Handle) (*Started, error) {
	var failed error
	if p.Ready != nil {
		if failed = p.Ready(pid); failed != nil {
			(&Process{pid: pid}).Kill()
		}
	}
	command, init := pid, 0
	for {
		var r report
		n, err := from.Read((*[unsafe.Sizeof(r)]byte)(unsafe.Pointer(&r))[:])
		if err == io.EOF {
			break
		}
		if err == nil && n != int(unsafe.Sizeof(r)) {
			err = io.ErrUnexpectedEOF
		}
		if err == nil && (r.part == partPIDs || r.part == partStage) && r.initPID != 0 {
			command, init = int(r.commandPID), int(r.initPID)
		}
		if err == nil && r.part != partPIDs {
			err = p.reported(&r)
		}
		if failed == nil {
			failed = err
		}
	}
	runtime.KeepAlive(p)
	return p.started(pid, command, init, failed)
}

func (p *prepared) reported(r *report) error {
	switch r.part {
	case partExec:
		path := p.Command.Argv[0]
		if !notThere(unix.Errno(r.errno)) {
			path = p.Command.Paths[r.index]
		}
		return &ExecError{path, unix.Errno(r.errno)}
	case partSetup:
		return p.Setup.failed(&r.failure)
	case partInit:
		return p.InitSetup.failed(&r.failure)
	}
	if r.index < 0 {
		return &CallError{About: "make a process in namespaces of its own", Call: "clone3", Errno: unix.Errno(r.errno)}
	}
	return p.Stage.failed(&r.failure)
}

// started makes handles of the processes, or ends them where something failed.
func (p *prepared) started(stage, command, init int, failed error) (*Started, error) {
	s := &Started{}
	if failed == nil {
		s.Command, failed = OpenChild(command)
	}
	if failed == nil && init != 0 {
		s.Init, failed = OpenChild(init)
	}
	if stage != command {
		(&Process{pid: stage}).Wait()
	}
	if failed == nil {
		return s, nil
	}
	for _, pid := range []int{command, init} { // process 1 ends after all others have been waited for
		if pid > 0 {
			q := &Process{pid: pid}
			q.Kill()
			q.Wait()
		}
	}
	return nil, failed
}
