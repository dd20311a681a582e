package newns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"gons/internal/entry"
	"gons/internal/exitstatus"
	"gons/internal/linux"
	"gons/internal/printable"
)

// Runner runs commands.
type Runner struct {
	// Name begins messages: "gons" or "newns".
	Name string
	// Out gets what was asked for (--help, --dry-run), Errors all else.
	Out, Errors io.Writer
	// Configure takes the calling thread to a new mount namespace and makes the directories of a configuration for a user
	// there; nil for a program that leaves that to gons.
	Configure func(file string, uid uint32) error
}

// Main runs what args, without the program's name, ask for, and returns the exit status. It may not return: this process
// may become the command, or end by the signal that ended it. The calling goroutine must be in the main thread.
func (r Runner) Main(args []string) int {
	if err := linux.NotSetuid(); err != nil { // else everybody could mount what they like, and run what they like as its owner
		r.say(fmt.Errorf("refused to run with more rights than the caller's: %w", err), "chmod ug-s and setcap -r take that away")
		return exitstatus.Failed
	}
	o, err := Parse(args)
	if err != nil {
		r.say(err, fmt.Sprintf("see `%s --help`", r.Name))
		return exitstatus.Failed
	}
	if o.Help {
		fmt.Fprint(r.Out, Help(r.Name))
		return 0
	}
	if o.ConfigFile != "" && r.Configure == nil {
		r.say(fmt.Errorf("--config is what gons does: %w", handOver(args)), "")
		return exitstatus.Failed
	}
	status, err := r.run(o)
	if err != nil {
		r.say(err, hint(o, err))
	}
	return status
}

// say prints an error and, unless it is "", what to do about it. What is named in there may have any name.
func (r Runner) say(err error, hint string) {
	fmt.Fprintf(r.Errors, "%s: %s\n", r.Name, printable.Line(err.Error()))
	if hint != "" {
		fmt.Fprintf(r.Errors, "%s: hint: %s\n", r.Name, printable.Line(hint))
	}
}

func (r Runner) run(o *Options) (int, error) {
	facts, err := Gather(o)
	if err != nil {
		return exitstatus.Failed, err
	}
	plan, err := Build(o, facts)
	if err != nil {
		return exitstatus.Failed, err
	}
	if o.DryRun {
		fmt.Fprint(r.Out, plan)
		return 0, nil
	}
	if o.Verbose {
		fmt.Fprint(r.Errors, plan)
	}
	runtime.LockOSThread()
	if plan.DieWithParent {
		if err := dieWithParent(); err != nil {
			return exitstatus.Failed, err
		}
	}
	if o.ConfigFile != "" {
		if err := r.configure(o.ConfigFile, facts.As.UID); err != nil {
			return exitstatus.Failed, err
		}
	}
	if plan.Fork != "" {
		return plan.fork(facts)
	}
	err = plan.become()
	return statusOf(err), err
}

func dieWithParent() error {
	die := &linux.Program{}
	die.About("end with the caller")
	die.DieWithParent()
	return linux.Perform(die)
}

func (r Runner) configure(file string, uid uint32) error {
	if file == StandardConfig {
		file = ""
	}
	return r.Configure(file, uid)
}

// handOver has gons run do what this program can't.
func handOver(args []string) error {
	env := os.Environ()
	argv := append([]string{"gons", "run"}, args...)
	return linux.ExecuteFirst(linux.Command{Paths: search("gons", env), Argv: argv, Env: env})
}

// statusOf is the exit status for an error.
func statusOf(err error) int {
	var exec *linux.ExecError
	if !errors.As(err, &exec) {
		return exitstatus.Failed
	}
	return exitstatus.OfExecution(err)
}

// become makes this process the command.
func (p *Plan) become() error {
	program := &linux.Program{}
	compile(program, p.Stage)
	compile(program, p.Setup)
	giveBack(program, inherited())
	parent := os.Getppid()
	if err := linux.Perform(program); err != nil {
		return err
	}
	if p.DieWithParent { // once more: other ids have taken it back
		if err := dieWithParent(); err != nil {
			return err
		}
		if os.Getppid() != parent { // it has ended in between
			linux.EndBy(os.Kill)
		}
	}
	return linux.ExecuteFirst(p.executable())
}

func (p *Plan) executable() linux.Command {
	return linux.Command{Paths: p.Command.Paths, Argv: p.Command.Argv, Env: p.Command.Env}
}

// fork makes processes for the command and waits for its end.
func (p *Plan) fork(facts Facts) (int, error) {
	given := inherited()
	s := newSupervisor()
	job, err := p.start(facts, given)
	if err != nil {
		s.release()
		return statusOf(err), err
	}
	return s.wait(job)
}

// start makes processes of the command and what it needs.
func (p *Plan) start(facts Facts, given entry.State) (*linux.Started, error) {
	lines, err := newLines()
	if err != nil {
		return nil, err
	}
	s := &linux.Spawn{Stage: &linux.Program{}, Setup: &linux.Program{}, Init: p.Init != "", InitSetup: &linux.Program{}, Command: p.executable()}
	if _, ok := p.Stage[0].(MapIDs); ok {
		s.Flags = linux.NewUser
	}
	p.programs(s, lines)
	giveBack(s.Setup, given)
	kept := false
	s.Ready = func(pid int) (err error) {
		kept, err = p.ready(pid, facts, lines)
		return err
	}
	started, err := s.Start()
	lines.close()
	if err == nil || !kept { // what is mounted there may be an earlier one's
		return started, err
	}
	if left := forget(p.Persist); left != nil {
		err = fmt.Errorf("%w; and %w", err, left)
	}
	return nil, err
}

// programs makes what the processes do.
func (p *Plan) programs(s *linux.Spawn, l lines) {
	s.Stage.About("begin")
	s.Stage.CloseHandle(l.alive)
	s.Stage.CloseHandle(l.done)
	if p.ByHelpers {
		s.Stage.About("wait for newuidmap and newgidmap")
		s.Stage.Wait(l.wait)
	}
	compile(s.Stage, p.Stage)
	if p.Persist != "" {
		s.Stage.About("wait until the namespace is kept")
		s.Stage.Send(l.tell)
		s.Stage.Wait(l.wait)
	}
	if p.InitDies {
		for _, program := range []*linux.Program{s.InitSetup, s.Setup} {
			program.About("let the job end with gons")
			program.DieWithParent()
			program.StillThere(l.there)
		}
	}
	compile(s.Setup, p.Setup)
	if p.InitDies { // once more: other ids have taken it back
		s.Setup.About("let the job end with gons")
		s.Setup.DieWithParent()
		s.Setup.StillThere(l.there)
	}
	s.Setup.About("begin")
	if p.Init != "" {
		s.Setup.UnshareFS()
	}
}
