package vm

// This file is about a shell in a machine that stays open while other things
// happen.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Shell is a shell in the machine that reads commands from the test.
type Shell struct {
	what   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	lines  chan string // what it writes, closed at its end
	errors console
	cancel context.CancelFunc
	record *transcript
	limit  time.Duration // for a command
}

// Shell starts a command that must end in a shell reading standard input, such
// as {"ssh", "alice@localhost", "sh"}.
func (m *Machine) Shell(args ...string) (*Shell, error) {
	s, err := m.startShell(args...)
	if err == nil {
		err = s.await()
	}
	return s, err
}

// startShell starts a command that will end in a shell, await waits for that.
func (m *Machine) startShell(args ...string) (*Shell, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Shell{what: fmt.Sprintf("%q in %s", args, m.Name()), lines: make(chan string), cancel: cancel, record: &m.record, limit: m.deadline()}
	s.cmd = m.Command(ctx, args...)
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
	return s, nil
}

// await waits until the shell runs commands, or closes it.
func (s *Shell) await() error {
	if _, err := s.Run("true"); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
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
	output, status, err := s.collect(time.After(s.limit))
	s.record.add(s.what, script, output+"\nstatus "+status, err)
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
			return text(), "", fmt.Errorf("not finished after %s", s.limit)
		}
	}
}

// Close ends the shell's input, as at a logout, and waits until the command
// has ended.
func (s *Shell) Close() error {
	defer s.cancel()
	timer := time.AfterFunc(s.limit, func() {
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
