package vm

// This file is about machines in systemd-nspawn: a Debian system with a real
// systemd, logind, sshd and cron, about a second from Start to a ready sshd.
// The kernel is that of the machine that runs the test.
//
// A machine is a process tree in namespaces of its own. Its disk is an overlay
// in memory over a cached image (image.go), so that nothing is left when the
// tree is dead, and it dies with the test process even when that is killed.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// container is a machine in systemd-nspawn.
type container struct {
	listeningAfter time.Duration // from the start until sshd listened
	bootedAfter    time.Duration // from the start until systemd had nothing left to start

	name    string
	process *exec.Cmd // boot.sh, process 1 of the pid namespace that holds everything
	exited  chan struct{}
	console console
	typing  *os.File // the terminal that is the machine's console
	cgroup  string
	entry   *os.File // the cgroup that commands are started in
	leader  int      // the machine's systemd, as this process sees it
	image   *os.File // keeps the image from being rebuilt

	stopOnce sync.Once
	stopErr  error
}

var machines atomic.Int32

// Start boots a machine in systemd-nspawn and waits until it is ready: sshd
// listens, and systemd has finished booting, whether or not all units could be
// started.
func Start(spec Spec) (*Machine, error) {
	began := time.Now()
	c := &container{
		name:   fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), machines.Add(1)),
		exited: make(chan struct{}),
	}
	if err := c.launch(spec); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.awaitReady(began); err != nil {
		err = fmt.Errorf("cannot boot %s: %w; its console:\n%s", c.name, err, c.Console())
		return nil, errors.Join(err, c.Stop())
	}
	return &Machine{Backend: c}, nil
}

// Name tells the machine from others.
func (c *container) Name() string { return c.name }

// launch starts boot.sh in its namespaces and its cgroup.
func (c *container) launch(spec Spec) (err error) {
	if c.image, err = spec.Image.hold(); err != nil {
		return err
	}
	files, err := archive(spec.Files)
	if err != nil {
		return err
	}
	if c.cgroup, err = newCgroup(c.name); err != nil {
		return err
	}
	cgroup, err := os.Open(c.cgroup)
	if err != nil {
		return err
	}
	defer cgroup.Close()

	terminal, err := c.openConsole()
	if err != nil {
		return err
	}
	defer terminal.Close()

	// Without --fork unshare(1) becomes boot.sh. It enters a cgroup namespace
	// whose root is the machine's cgroup; one made by clone has our own as root.
	c.process = exec.Command("unshare", append([]string{"--cgroup", "--"}, bootCommand(spec, c.name)...)...)
	c.process.Env = environment
	c.process.Stdin = bytes.NewReader(files)
	c.process.Stdout, c.process.Stderr = &c.console, &c.console
	c.process.ExtraFiles = []*os.File{terminal} // descriptor 3
	c.process.WaitDelay = 5 * time.Second
	c.process.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:   syscall.SIGKILL,
		Setsid:      true,
		UseCgroupFD: true,
		CgroupFD:    int(cgroup.Fd()),
	}
	return c.start()
}

// openConsole makes the terminal that is the machine's console, keeps the end
// that is typed on and read from, and returns the other.
func (c *container) openConsole() (*os.File, error) {
	master, terminal, err := openTerminal()
	if err != nil {
		return nil, err
	}
	c.typing = master
	go func() { _, _ = io.Copy(&c.console, master) }() // until Stop closes it
	return terminal, nil
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

// start runs c.process from a thread that lives as long as the process does:
// Pdeathsig is about the death of the thread that forked, not of its process.
func (c *container) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.process.Start()
		started <- err
		if err == nil {
			_ = c.process.Wait() // killed, or its console says why it ended
		}
		close(c.exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cannot start %s: %w", c.name, err)
	}
	return nil
}

// awaitReady waits until the machine can be used, and sets how long that took.
func (c *container) awaitReady(began time.Time) (err error) {
	deadline := time.Now().Add(bootDeadline)
	for !c.listening() {
		select {
		case <-c.exited:
			return fmt.Errorf("it ended by itself: %s", c.process.ProcessState)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("sshd does not listen after %s", bootDeadline)
		}
	}
	c.listeningAfter = time.Since(began)
	if c.entry, err = os.Open(filepath.Join(c.cgroup, "payload", "init.scope")); err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	// The exit status tells running from degraded; that is for the test to judge.
	var exit *exec.ExitError
	err = c.Command(ctx, "systemctl", "is-system-running", "--wait").Run()
	if err != nil && (ctx.Err() != nil || !errors.As(err, &exit)) {
		return fmt.Errorf("systemd does not finish booting: %w", err)
	}
	c.bootedAfter = time.Since(began)
	return nil
}

// listening reports whether sshd accepts connections, and finds the leader.
func (c *container) listening() bool {
	if c.leader == 0 {
		c.leader = findLeader(c.process.Process.Pid)
	}
	if c.leader == 0 || !privateNetwork(c.leader) {
		return false
	}
	sockets, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", c.leader))
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

// Command runs commands in all of the machine's namespaces and, as if systemd
// had started them, in a cgroup of the machine. They die with the machine, whose
// pid namespace they are in.
func (c *container) Command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(c.leader), "--all", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(c.entry.Fd())}
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Reboot has systemd restart the machine: systemd-nspawn ends with status 133,
// and boot.sh starts it again over the same disk.
func (c *container) Reboot() error {
	began, old := time.Now(), c.leader
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	defer cancel()
	_ = c.Command(ctx, "systemctl", "reboot").Run() // it may die with the machine
	for namespacePids(old) != nil {
		if time.Since(began) > bootDeadline {
			return fmt.Errorf("cannot reboot %s: it doesn't go down in %s", c.name, bootDeadline)
		}
		// On its way down systemd stops all processes for a moment; nsenter stops
		// itself with its command, and nobody in the machine can wake it.
		continueAll(c.cgroup)
		time.Sleep(10 * time.Millisecond)
	}
	c.leader = 0
	c.entry.Close()
	if err := c.awaitReady(time.Now()); err != nil {
		return fmt.Errorf("cannot reboot %s: %w; its console:\n%s", c.name, err, c.Console())
	}
	return nil
}

// Type types on the terminal that systemd-nspawn passes on to the machine.
func (c *container) Type(text string) error {
	if _, err := c.typing.WriteString(text); err != nil {
		return fmt.Errorf("cannot type on the console of %s: %w", c.name, err)
	}
	return nil
}

// Stop kills the machine and returns when no process, mount or cgroup of it
// is left, or an error saying what is. Further calls return the same.
func (c *container) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = c.stop() })
	return c.stopErr
}

func (c *container) stop() error {
	var errs []error
	if c.process != nil && c.process.Process != nil {
		// Wait returns for process 1 of a pid namespace when all others are dead.
		_ = c.process.Process.Kill()
		select {
		case <-c.exited:
		case <-time.After(15 * time.Second):
			errs = append(errs, fmt.Errorf("cannot stop %s: it does not die", c.name))
		}
	}
	for _, file := range []*os.File{c.entry, c.typing} {
		if file != nil {
			file.Close()
		}
	}
	if c.cgroup != "" {
		errs = append(errs, killCgroup(c.cgroup))
	}
	if c.image != nil {
		c.image.Close()
	}
	return errors.Join(errs...)
}

// Console returns what the machine has written to its console so far.
func (c *container) Console() string { return c.console.String() }
