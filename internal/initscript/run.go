package initscript

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"gons/internal/linux"
	"gons/internal/safepath"
)

const (
	// outputMax is how much of a script's output is kept, in bytes; the rest is read and dropped.
	outputMax = 8 << 10
	// pipeSize is what a pipe holds (pipe(7)): one reading of so much gets all.
	pipeSize = 64 << 10
)

// Call is one run of an init script.
type Call struct {
	// Script is the absolute path of the program, which is its $0 too.
	Script string
	// Directory is the covered directory's path, $1. Instance is the instance's, or "tmpfs", $2.
	Directory, Instance string
	// New says that the instance was made by this session, $3: 1 or 0.
	New bool
	// User is the session's user, $4.
	User string
	// DirectorySafe and InstanceSafe say that only root can exchange them (safepath.IsSafe), $5 and $6: 1 or 0.
	DirectorySafe, InstanceSafe bool
	// Umask is the script's, which is the host's.
	Umask uint32
	// Deadline is when the script is killed.
	Deadline time.Time
	// SELinuxExecReset takes back the context that the host has set for the session's programs, from the calling
	// thread too.
	SELinuxExecReset bool
}

// Run runs a script as pam_namespace does, in the mount namespace and root of the calling thread, and waits for it: with
// an empty environment, in /, with nothing to read, as root. It returns the beginning of what the script wrote, for the
// log, without control characters. The script must be an executable regular file that only root can write or exchange;
// where there is none the error is fs.ErrNotExist. A status other than 0 is a *StatusError, a signal an error too.
//
// After an error the script and all that it started is killed, which takes two seconds at most. After success what it
// has left running lives on; the pipe that it was given for descriptors 1 and 2 has no reader any more. When this
// process is killed, so is the script, but not what that has started: that is found by its namespace (session.KillScripts).
func Run(c Call) (output string, err error) {
	runtime.LockOSThread() // the script belongs to the thread
	defer runtime.UnlockOSThread()
	if err := check(c.Script); err != nil {
		return "", err
	}
	if c.SELinuxExecReset {
		if err := linux.ResetExecContext(); err != nil {
			return "", fmt.Errorf("cannot run %s: %w", c.Script, err)
		}
	}
	before, err := linux.SetSubreaper(true)
	if err != nil {
		return "", fmt.Errorf("cannot run %s: %w", c.Script, err)
	}
	defer linux.SetSubreaper(before)
	r, err := start(c)
	if err != nil {
		return "", err
	}
	defer r.close()
	err = r.supervise()
	return printable(r.text), err
}

// check refuses a script that isn't root's alone, or not executable.
func check(path string) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	h, err := root.OpenTrusted(path)
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", path, err)
	}
	defer h.Close()
	st, err := h.Stat()
	if err == nil && st.Mode&0o111 == 0 {
		err = fmt.Errorf("it isn't executable (mode %04o)", st.Mode)
	}
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", path, err)
	}
	return nil
}

// arguments are $0 to $6.
func (c Call) arguments() []string {
	flag := map[bool]string{false: "0", true: "1"}
	return []string{c.Script, c.Directory, c.Instance, flag[c.New], c.User, flag[c.DirectorySafe], flag[c.InstanceSafe]}
}

// running is a script on its way.
type running struct {
	call    Call
	process *linux.Process
	born    uint64        // when it was started, in ticks since boot; 0 where /proc doesn't say
	output  *linux.Handle // nil once it is at its end
	text    []byte
}

func start(c Call) (*running, error) {
	null, err := openNothing()
	if err != nil {
		return nil, fmt.Errorf("cannot open /dev/null for %s: %w", c.Script, err)
	}
	defer null.Close()
	from, to, err := linux.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe for %s: %w", c.Script, err)
	}
	defer to.Close()
	p, err := linux.StartProcess(c.Script, c.arguments(), linux.Setup{Umask: c.Umask, Input: null, Output: to})
	if err != nil {
		from.Close()
		return nil, execError(c.Script, err)
	}
	return &running{call: c, process: p, born: birth(p.PID()), output: from}, nil
}

// openNothing opens /dev/null to read from; where a chroot has none, a pipe that nobody writes to.
func openNothing() (*linux.Handle, error) {
	null, err := linux.OpenNull()
	if !linux.Is(err, linux.ENOENT) {
		return null, err
	}
	from, to, err := linux.Pipe()
	to.Close()
	return from, err
}

// execError says why a script that is there and executable wasn't executed. It never matches fs.ErrNotExist: what is
// missing then isn't the script.
func execError(script string, err error) error {
	switch {
	case linux.Is(err, linux.ENOENT):
		return fmt.Errorf("cannot run %s: the interpreter that its first line names is missing", script)
	case linux.Is(err, linux.ENOEXEC):
		return fmt.Errorf("cannot run %s: %w (it has no #! line, and is no program of this machine)", script, err)
	case linux.Is(err, linux.EACCES):
		return fmt.Errorf("cannot run %s: %w (it or its interpreter isn't executable, or on a file system mounted noexec)", script, err)
	}
	return fmt.Errorf("cannot run %s: %w", script, err)
}

func (r *running) close() {
	r.process.Close()
	r.output.Close()
}

// supervise waits for the script and, where it failed, ends what is left of it.
func (r *running) supervise() error {
	exit, err := r.wait()
	if err != nil {
		r.process.Kill()
	} else if err = r.judge(exit); err == nil {
		return nil
	}
	if left := r.endDescendants(); left != nil {
		return fmt.Errorf("%w; %w", err, left)
	}
	return err
}

// wait collects the output until the script ends; not until its end of the pipe is closed, which a process that it
// leaves behind may hold for ever.
func (r *running) wait() (linux.Exit, error) {
	for {
		left := time.Until(r.call.Deadline)
		if left <= 0 {
			return linux.Exit{}, fmt.Errorf("%s took too long and was killed%s", r.call.Script, r.firstLine())
		}
		ready, err := linux.Poll(left, r.process.Ended(), r.output)
		if err == nil && (ready[0] || ready[1]) {
			r.collect()
		}
		if err == nil && ready[0] {
			var exit linux.Exit
			if exit, err = r.process.Wait(); err == nil {
				return exit, nil
			}
		}
		if err != nil {
			return linux.Exit{}, fmt.Errorf("cannot wait for %s: %w", r.call.Script, err)
		}
	}
}

// collect reads what is in the pipe.
func (r *running) collect() {
	if r.output == nil {
		return
	}
	buf := make([]byte, pipeSize)
	n, err := r.output.Read(buf)
	r.text = append(r.text, buf[:min(n, outputMax-len(r.text))]...)
	if err != nil && !linux.Is(err, linux.EAGAIN) {
		r.output.Close()
		r.output = nil
	}
}

// StatusError is a script that ended with another status than 0.
type StatusError struct {
	Script string
	Status int
	// Output is the first line that it wrote, as ": line", or "".
	Output string
}

// Error names the script, its status and what it said.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s exited with status %d%s", e.Script, e.Status, e.Output)
}

func (r *running) judge(exit linux.Exit) error {
	switch {
	case exit.Signal != nil:
		return fmt.Errorf("%s was killed by %s%s", r.call.Script, linux.SignalName(exit.Signal), r.firstLine())
	case exit.Status != 0:
		return &StatusError{r.call.Script, exit.Status, r.firstLine()}
	}
	return nil
}

// firstLine is the first line of the output that isn't empty, for an error: ": line", or "".
func (r *running) firstLine() string {
	const most = 200
	line, _, _ := strings.Cut(strings.TrimSpace(printable(r.text)), "\n")
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "..."
	}
	if line == "" {
		return ""
	}
	return ": " + line
}

// printable is output that can go into a log: lines of UTF-8 without control characters.
func printable(text []byte) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(string(text), "?"))
}
