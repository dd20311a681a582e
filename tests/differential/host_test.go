package differential_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gons/tests/sandbox"
)

const deadline = 10 * time.Second // of one session

// process is a run of tests/pamhost.
type process struct {
	cmd   *exec.Cmd
	in    io.Writer
	out   *bufio.Scanner
	timer *time.Timer
	last  map[string]string // the report, by key
	said  []string          // what else was printed, by the command in the session
}

// start starts a host that opens the session, within another one if the scenario says so.
func (s scenario) start(t *testing.T) *process {
	args := append(s.hostArgs(), "differ", s.userName())
	host := sandbox.Built(t, "pamhost")
	if s.within != "" {
		script := "echo held=$$; read -r go; cd " + s.dir() + " && exec " + quoted(append([]string{host}, args...))
		args = []string{"--run-root", script, "outer", s.within}
	}
	p := &process{cmd: exec.Command(host, args...), last: map[string]string{}}
	p.cmd.Dir = s.dir()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env = []string{"PATH=/usr/bin:/bin", "HOSTILE=yes"}
	in, _ := p.cmd.StdinPipe()
	out, err := p.cmd.StdoutPipe()
	p.cmd.Stderr = p.cmd.Stdout
	p.in, p.out = in, bufio.NewScanner(out)
	if err = errors.Join(err, p.cmd.Start()); err != nil {
		t.Error(err)
	}
	p.timer = time.AfterFunc(deadline, p.killAll)
	return p
}

func (s scenario) hostArgs() []string {
	args := append(strings.Fields(s.flags), "--hold", "--hold-closed", "--run", s.command())
	if s.ruser != "" {
		args = append(args, "--ruser", s.ruser)
	}
	if s.ruid != 0 {
		args = append(args, "--ruid", fmt.Sprint(s.ruid))
	}
	return args
}

func (s scenario) userName() string {
	if s.user == "" {
		return "alice"
	}
	return s.user
}

func (s scenario) dir() string {
	if s.cwd == "" {
		return "/"
	}
	return s.cwd
}

func (s scenario) looks() []string {
	if len(s.look) == 0 {
		return []string{"/d/t"}
	}
	return s.look
}

// command is what the user runs in the session.
func (s scenario) command() string {
	if s.run != "" {
		return s.run
	}
	return "umask 022; for d in " + quoted(s.looks()) + "; do echo mine >\"$d/mine\"; done"
}

func quoted(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
	}
	return strings.Join(out, " ")
}

var reported = regexp.MustCompile(`^((?:start|before|after|closed)\.\w+|open|close|held|run|conv|done)=(.*)$`)

// readTo reads the report to a key, whose value it returns, or to its end. A report that begins anew is the inner host's.
func (p *process) readTo(key string) string {
	for p.out.Scan() {
		m := reported.FindStringSubmatch(p.out.Text())
		switch {
		case m == nil:
			p.said = append(p.said, p.out.Text())
			continue
		case m[1] == "start.heard":
			p.last, p.said = map[string]string{}, nil
		case p.last["done"] != "":
			continue // the outer host goes on
		}
		p.last[m[1]] = m[2]
		if m[1] == key {
			return m[2]
		}
	}
	return ""
}

// ended waits for the host's end, which a crash of the module may have brought.
func (p *process) ended(o *outcome) error {
	err := p.cmd.Wait()
	switch p.cmd.ProcessState.ExitCode() {
	case 0, 1:
		return nil
	case -1:
		o.of[opening] = p.cmd.ProcessState.String()
		return nil
	}
	return fmt.Errorf("pamhost: %w: %q", err, p.said)
}

func (p *process) goOn() { p.in.Write([]byte("\n")) }

// killAll ends the host and what runs in its session.
func (p *process) killAll() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// kill ends a host that hasn't ended, and takes away what would wait for it.
func (p *process) kill() {
	p.timer.Stop()
	if p.cmd.ProcessState == nil {
		p.killAll()
		p.cmd.Wait()
	}
}
