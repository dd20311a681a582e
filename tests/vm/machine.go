// Package vm boots whole machines for tests: a Debian system in
// systemd-nspawn with a real systemd, logind, sshd and cron, about a second
// from Start to a ready sshd. The kernel is that of the machine that runs the
// test. It needs root, cgroup v2, and the packages systemd-container and
// mmdebstrap.
//
// A machine is a process tree in namespaces of its own. Its disk is an overlay
// in memory over a cached image (image.go), so that nothing is left when the
// tree is dead, and it dies with the test process even when that is killed.
package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bootDeadline is how long a machine may take until it is ready.
const bootDeadline = 60 * time.Second

// Spec says what machine to start.
type Spec struct {
	Image *Image
	Files []File   // laid over the image, later ones over earlier ones
	Units []string // systemd units to enable
	Binds []string // paths of this machine to show read-only at the same place
}

// Machine is a running machine.
type Machine struct {
	Listening time.Duration // from Start until sshd listened
	Booted    time.Duration // from Start until systemd had nothing left to start

	name    string
	process *exec.Cmd // boot.sh, process 1 of the pid namespace that holds everything
	exited  chan struct{}
	console console
	cgroup  string
	entry   *os.File // the cgroup that commands are started in
	leader  int      // the machine's systemd, as this process sees it
	image   *os.File // keeps the image from being rebuilt

	stopOnce sync.Once
	stopErr  error
}

var machines atomic.Int32

// Start boots a machine and waits until it is ready: sshd listens, and systemd
// has finished booting, whether or not all units could be started.
func Start(spec Spec) (*Machine, error) {
	began := time.Now()
	m := &Machine{
		name:   fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), machines.Add(1)),
		exited: make(chan struct{}),
	}
	if err := m.launch(spec); err != nil {
		return nil, errors.Join(err, m.Stop())
	}
	if err := m.awaitReady(began); err != nil {
		err = fmt.Errorf("cannot boot %s: %w; its console:\n%s", m.name, err, m.Console())
		return nil, errors.Join(err, m.Stop())
	}
	return m, nil
}

// launch starts boot.sh in its namespaces and its cgroup.
func (m *Machine) launch(spec Spec) (err error) {
	if m.image, err = spec.Image.hold(); err != nil {
		return err
	}
	files, err := archive(spec.Files)
	if err != nil {
		return err
	}
	if m.cgroup, err = newCgroup(m.name); err != nil {
		return err
	}
	cgroup, err := os.Open(m.cgroup)
	if err != nil {
		return err
	}
	defer cgroup.Close()

	// Without --fork unshare(1) becomes boot.sh. It enters a cgroup namespace
	// whose root is the machine's cgroup; one made by clone has our own as root.
	m.process = exec.Command("unshare", append([]string{"--cgroup", "--"}, bootCommand(spec, m.name)...)...)
	m.process.Env = environment
	m.process.Stdin = bytes.NewReader(files)
	m.process.Stdout, m.process.Stderr = &m.console, &m.console
	m.process.WaitDelay = 5 * time.Second
	m.process.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:   syscall.SIGKILL,
		Setsid:      true,
		UseCgroupFD: true,
		CgroupFD:    int(cgroup.Fd()),
	}
	return m.start()
}

// bootCommand returns the command line of boot.sh.
func bootCommand(spec Spec, name string) []string {
	script := filepath.Join(spec.Image.top, "tests", "vm", "boot.sh")
	command := []string{script, spec.Image.Root(), name, strings.Join(spec.Units, " ")}
	for _, bind := range spec.Binds {
		command = append(command, "--bind-ro="+bind)
	}
	return command
}

// start runs m.process from a thread that lives as long as the process does:
// Pdeathsig is about the death of the thread that forked, not of its process.
func (m *Machine) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := m.process.Start()
		started <- err
		if err == nil {
			_ = m.process.Wait() // killed, or its console says why it ended
		}
		close(m.exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cannot start %s: %w", m.name, err)
	}
	return nil
}

// awaitReady waits until the machine can be used, and sets how long that took.
func (m *Machine) awaitReady(began time.Time) (err error) {
	deadline := time.Now().Add(bootDeadline)
	for !m.listening() {
		select {
		case <-m.exited:
			return fmt.Errorf("it ended by itself: %s", m.process.ProcessState)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("sshd does not listen after %s", bootDeadline)
		}
	}
	m.Listening = time.Since(began)
	if m.entry, err = os.Open(filepath.Join(m.cgroup, "payload", "init.scope")); err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	// The exit status tells running from degraded; that is for the test to judge.
	var exit *exec.ExitError
	err = m.command(ctx, "systemctl", "is-system-running", "--wait").Run()
	if err != nil && (ctx.Err() != nil || !errors.As(err, &exit)) {
		return fmt.Errorf("systemd does not finish booting: %w", err)
	}
	m.Booted = time.Since(began)
	return nil
}

// listening reports whether sshd accepts connections, and finds the leader.
func (m *Machine) listening() bool {
	if m.leader == 0 {
		m.leader = findLeader(m.process.Process.Pid)
	}
	if m.leader == 0 || !privateNetwork(m.leader) {
		return false
	}
	sockets, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", m.leader))
	for _, line := range strings.Split(string(sockets), "\n") {
		field := strings.Fields(line)
		if len(field) > 3 && strings.HasSuffix(field[1], ":0016") && field[3] == "0A" {
			return true // port 22, TCP_LISTEN
		}
	}
	return false
}

// privateNetwork reports whether a process has left our network namespace.
func privateNetwork(pid int) bool {
	own, errOwn := os.Readlink("/proc/self/ns/net")
	its, errIts := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	return errOwn == nil && errIts == nil && own != its
}

// findLeader returns the descendant of boot.sh that is process 1 of one more
// pid namespace, or 0.
func findLeader(boot int) int {
	depth := len(namespacePids(boot)) + 1
	queue := []int{boot}
	for len(queue) > 0 {
		pid := queue[0]
		pids := namespacePids(pid)
		if len(pids) == depth && pids[depth-1] == "1" {
			return pid
		}
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for _, child := range strings.Fields(string(children)) {
			number, _ := strconv.Atoi(child)
			queue = append(queue, number)
		}
		queue = queue[1:]
	}
	return 0
}

// namespacePids returns the ids that a process has in our pid namespace and in
// each one below it.
func namespacePids(pid int) []string {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range strings.Split(string(status), "\n") {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return strings.Fields(ids)
		}
	}
	return nil
}

// Stop kills the machine and returns when no process, mount or cgroup of it
// is left, or an error saying what is. Further calls return the same.
func (m *Machine) Stop() error {
	m.stopOnce.Do(func() { m.stopErr = m.stop() })
	return m.stopErr
}

func (m *Machine) stop() error {
	var errs []error
	if m.process != nil && m.process.Process != nil {
		// Wait returns for process 1 of a pid namespace when all others are dead.
		_ = m.process.Process.Kill()
		select {
		case <-m.exited:
		case <-time.After(15 * time.Second):
			errs = append(errs, fmt.Errorf("cannot stop %s: it does not die", m.name))
		}
	}
	if m.entry != nil {
		m.entry.Close()
	}
	if m.cgroup != "" {
		errs = append(errs, killCgroup(m.cgroup))
	}
	if m.image != nil {
		m.image.Close()
	}
	return errors.Join(errs...)
}

// Console returns what the machine has written to its console so far.
func (m *Machine) Console() string { return m.console.String() }

// console collects output; it may be read while a process writes.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (c *console) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(text)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}
