// Package vm boots whole machines for tests: a Debian system with a real
// systemd, logind, sshd and cron, in systemd-nspawn (nspawn.go) or emulated.
// It needs root, cgroup v2, and the packages systemd-container and mmdebstrap.
package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Spec says what machine to start.
type Spec struct {
	Image *Image
	Files []File   // laid over the image, later ones over earlier ones
	Units []string // systemd units to enable
	Binds []string // paths of this machine to show read-only at the same place
}

// Machine is a running machine: what a case can do to it, whatever runs it. What
// was done to it is kept (Transcript), for the log of a case that fails.
type Machine struct {
	Backend
	record transcript
}

// Backend runs one machine. All else that a case does to a machine is made of
// these.
type Backend interface {
	// Name tells the machine from others of this test process.
	Name() string
	// Command prepares a command, not yet started, that runs args as root in the
	// machine, outside of any login session and in the namespaces of its process
	// 1, with environment as its environment. Its standard streams and its exit
	// status are those of args, byte for byte: no terminal is between. It is
	// killed when ctx ends.
	Command(ctx context.Context, args ...string) *exec.Cmd
	// Reboot restarts the machine by `systemctl reboot` and returns when it is as
	// ready as Start left it. Its disk stays as it was.
	Reboot() error
	// Console returns what the machine has written to its console so far, from
	// the first boot on.
	Console() string
	// Type types text on the console, where a getty waits for a login.
	Type(text string) error
	// Stop ends the machine, at once, and returns when nothing of it is left, or
	// an error saying what is. Further calls return the same.
	Stop() error
}

// commandDeadline is how long a command in a machine may take: far more than
// any needs, far less than systemd's own 90 s before it kills what hangs.
const commandDeadline = 30 * time.Second

// deadline is commandDeadline, or more where the machine's processor is emulated.
func (m *Machine) deadline() time.Duration {
	if _, ok := m.Backend.(*emulated); ok {
		return emulatedCommandDeadline
	}
	return commandDeadline
}

// environment is what a command in a machine starts with: nothing of the test's.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=dumb",
}

// Run runs a command as root in the machine and returns its output without the
// last newline. If it fails, the error has its exit status (an *exec.ExitError)
// and what it wrote to standard error.
func (m *Machine) Run(args ...string) (string, error) { return m.RunWith(nil, args...) }

// RunWith is Run with a standard input.
func (m *Machine) RunWith(stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), m.deadline())
	defer cancel()
	cmd := m.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	output := strings.TrimSuffix(stdout.String(), "\n")
	if ctx.Err() != nil {
		err = fmt.Errorf("not finished after %s: %w", m.deadline(), ctx.Err())
	}
	m.record.add("root", strings.Join(args, " "), output+stderr.String(), err)
	if err != nil {
		return output, fmt.Errorf("cannot run %q in %s: %w\n%s%s", args, m.Name(), err, stderr.String(), output)
	}
	return output, nil
}

// Put writes files into the running machine, as boot.sh does before a boot.
func (m *Machine) Put(files ...File) error {
	content, err := archive(files)
	if err != nil {
		return err
	}
	_, err = m.RunWith(bytes.NewReader(content), "tar", "--extract", "--numeric-owner",
		"--preserve-permissions", "--unlink-first", "--file=-", "--directory=/")
	return err
}

// Journal returns the machine's journal since it booted.
func (m *Machine) Journal() (string, error) {
	return m.Run("journalctl", "--boot", "--no-pager", "--output=short-precise")
}

// AwaitConsole waits until the console shows text after its first from bytes,
// and returns how many bytes it shows by then.
func (m *Machine) AwaitConsole(from int, text string) (int, error) {
	deadline := time.Now().Add(m.deadline())
	for {
		shown := m.Console()
		if at := strings.Index(shown[min(from, len(shown)):], text); at >= 0 {
			return from + at + len(text), nil
		}
		if time.Now().After(deadline) {
			return 0, errors.New("the console of " + m.Name() + " doesn't show " + text + ", but:\n" + shown[min(from, len(shown)):])
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Transcript returns what was run in the machine and what came of it.
func (m *Machine) Transcript() string { return m.record.String() }
