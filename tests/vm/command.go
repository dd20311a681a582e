package vm

// This file is about running commands in a machine: one at a time (Run), or in
// a shell that stays open while other things happen (Shell).

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// commandDeadline is how long a command in a machine may take: far more than
// any needs, far less than systemd's own 90 s before it kills what hangs.
const commandDeadline = 30 * time.Second

// environment is what a command in a machine starts with: nothing of the test's.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=dumb",
}

// command prepares a command that runs as root in all of the machine's
// namespaces and, as if systemd had started it, in a cgroup of the machine. It
// dies with the machine, whose pid namespace it is in.
func (m *Machine) command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(m.leader), "--all", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(m.entry.Fd())}
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Run runs a command in the machine and returns its output without the last
// newline. If it fails, the error has its exit status (an *exec.ExitError) and
// what it wrote to standard error.
func (m *Machine) Run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	defer cancel()
	cmd := m.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	output := strings.TrimSuffix(stdout.String(), "\n")
	if ctx.Err() != nil {
		err = fmt.Errorf("not finished after %s: %w", commandDeadline, ctx.Err())
	}
	if err != nil {
		return output, fmt.Errorf("cannot run %q in %s: %w\n%s%s", args, m.name, err, stderr.String(), output)
	}
	return output, nil
}

// Journal returns the machine's journal since it booted.
func (m *Machine) Journal() (string, error) {
	return m.Run("journalctl", "--boot", "--no-pager", "--output=short-precise")
}

// Shell is a shell in the machine that reads commands from the test.
type Shell struct {
	what   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	lines  chan string // what it writes, closed at its end
	errors console
	cancel context.CancelFunc
}

// Shell starts a command that must end in a shell reading standard input, such
// as {"ssh", "alice@localhost", "sh"}.
func (m *Machine) Shell(args ...string) (*Shell, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Shell{what: fmt.Sprintf("%q in %s", args, m.name), lines: make(chan string), cancel: cancel}
	s.cmd = m.command(ctx, args...)
	s.cmd.Stderr = &s.errors
	var err error
	if s.stdout, err = s.cmd.StdoutPipe(); err == nil {
		s.stdin, err = s.cmd.StdinPipe()
	}
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("cannot start %s: %w", s.what, err)
	}
	go s.read()
	if _, err := s.Run("true"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// read passes lines on until the shell has closed its output.
func (s *Shell) read() {
	defer close(s.lines)
	lines := bufio.NewScanner(s.stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.lines <- lines.Text()
	}
}

// endMark is the word before the exit status that ends a command's output.
const endMark = "--end-of-command--"

// Run has the shell run a script, in the shell itself, and returns what it
// wrote (standard error too) without the last newline.
func (s *Shell) Run(script string) (string, error) {
	_, err := fmt.Fprintf(s.stdin, "{ %s\n} </dev/null 2>&1; printf '\\n%%s %%s\\n' %s $?\n", script, endMark)
	if err != nil {
		return "", fmt.Errorf("cannot send %q to %s: %w\n%s", script, s.what, err, s.errors.String())
	}
	output, status, err := s.collect(time.After(commandDeadline))
	if err != nil {
		return output, fmt.Errorf("cannot run %q by %s: %w\n%s%s", script, s.what, err, s.errors.String(), output)
	}
	if status != "0" {
		return output, fmt.Errorf("%q by %s ended with status %s\n%s", script, s.what, status, output)
	}
	return output, nil
}

// collect reads a command's output up to the end mark and returns its status.
func (s *Shell) collect(timeout <-chan time.Time) (output, status string, err error) {
	var lines []string
	text := func() string { return strings.TrimSuffix(strings.Join(lines, "\n"), "\n") }
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				return text(), "", errors.New("the shell has ended")
			}
			if status, ok := strings.CutPrefix(line, endMark+" "); ok {
				return text(), status, nil
			}
			lines = append(lines, line)
		case <-timeout:
			return text(), "", fmt.Errorf("not finished after %s", commandDeadline)
		}
	}
}

// Close ends the shell's input, as at a logout, and waits until the command
// has ended.
func (s *Shell) Close() error {
	defer s.cancel()
	timer := time.AfterFunc(commandDeadline, func() {
		s.cancel()
		s.stdout.Close() // a process in the machine may hold the other end
	})
	defer timer.Stop()
	s.stdin.Close()
	for range s.lines { // anything still to come would block it
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("cannot close %s: %w\n%s", s.what, err, s.errors.String())
	}
	return nil
}
