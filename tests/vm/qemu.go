package vm

// This file boots a machine with a kernel of its own: the image of qemu.sh in
// QEMU, emulated where this machine can't virtualise, which takes some 20 s to a
// ready sshd. Commands get in by an agent on a virtio-serial port.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"gons/tests/vm/agent"
)

// emulatedBootDeadline is how long a machine may take until it is ready: 20 s
// by itself, two minutes were seen on processors that six others shared.
const emulatedBootDeadline = 6 * time.Minute

// emulatedCommandDeadline is commandDeadline for such a machine.
const emulatedCommandDeadline = 2 * time.Minute

// agentPath is the agent's place in the machine, as qemu-agent.service has it.
const agentPath = "/usr/local/sbin/vm-agent"

// Kernel is a Debian system as a disk, with its kernel. Machines never change it.
type Kernel struct {
	top string // of this repository
	dir string // build/vm/qemu-SUITE
}

// BuildKernel returns the disk and kernel of a Debian suite (trixie, bookworm).
// The first call takes a minute or two; the result is kept in build/vm.
func BuildKernel(suite string) (*Kernel, error) {
	top, err := Repository()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(top, "build", "vm", "qemu-"+suite)
	script := filepath.Join(top, "tests", "vm", "qemu.sh")
	if output, err := exec.Command(script, suite, dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the disk and kernel of %s: %w\n%s", suite, err, output)
	}
	return &Kernel{top: top, dir: dir}, nil
}

// Emulated returns the image of a suite for StartEmulated, which needs no more
// than its name.
func Emulated(suite string) (*Image, error) {
	top, err := Repository()
	return &Image{top: top, dir: filepath.Join(top, "build", "vm", "qemu-"+suite)}, err
}

// buildAgent builds the program that stands for commands here, and runs them in
// the machine, and returns its path.
func (k *Kernel) buildAgent() (string, error) {
	program := filepath.Join(filepath.Dir(k.dir), "agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./tests/vm/agent/cmd")
	build.Dir = k.top
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the machine's agent: %w\n%s", err, output)
	}
	return program, nil
}

// emulated is a machine in QEMU.
type emulated struct {
	name    string
	options string // more words for the kernel's command line
	process *exec.Cmd
	exited  chan struct{}
	console console
	typing  *os.File // what the serial port reads
	agent   string   // the program
	lines   *agent.Switch
	port    *os.File
	// where commands' processes connect
	listener net.Listener
	image    *os.File // keeps the disk from being rebuilt

	stopOnce sync.Once
	stopErr  error
}

// StartEmulated boots a machine of the image's suite in QEMU, with that suite's
// own kernel, and waits until it is as ready as one of Start.
func StartEmulated(spec Spec) (*Machine, error) { return startEmulated(spec, "selinux=0") }

// StartEnforcing is StartEmulated with SELinux enforcing.
func StartEnforcing(spec Spec) (*Machine, error) {
	return startEmulated(spec, "security=selinux selinux=1 enforcing=1")
}

func startEmulated(spec Spec, options string) (*Machine, error) {
	kernel, err := BuildKernel(strings.TrimPrefix(filepath.Base(spec.Image.dir), "qemu-"))
	if err != nil {
		return nil, err
	}
	if len(spec.Binds) > 0 {
		return nil, errors.New("cannot show paths of this machine in one with a kernel of its own")
	}
	m := &emulated{
		name:    fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), machines.Add(1)),
		options: "gons.units=" + strings.Join(spec.Units, ",") + " " + options,
		exited:  make(chan struct{}),
	}
	if err := m.launch(kernel, spec.Files); err != nil {
		return nil, errors.Join(err, m.Stop())
	}
	if err := m.awaitReady(1); err != nil {
		err = fmt.Errorf("cannot boot %s: %w; its console:\n%s", m.name, err, m.Console())
		return nil, errors.Join(err, m.Stop())
	}
	return &Machine{Backend: m}, nil
}

// launch starts QEMU. What it gets has no name on this machine: an end of a
// socket pair as the machine's port, and the files as an unlinked disk.
func (m *emulated) launch(k *Kernel, files []File) (err error) {
	if m.image, err = (&Image{dir: k.dir}).hold(); err != nil {
		return err
	}
	input, err := m.disk(k, files)
	if err != nil {
		return err
	}
	defer input.Close()
	theirs, err := m.connect()
	if err != nil {
		return err
	}
	defer theirs.Close()
	stdin, typing, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	m.typing = typing
	m.process = exec.Command("qemu-system-x86_64", k.arguments(m.options)...)
	m.process.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	m.process.ExtraFiles = []*os.File{theirs, input} // descriptors 3 and 4
	m.process.Stdin, m.process.Stdout, m.process.Stderr = stdin, &m.console, &m.console
	m.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	return m.start()
}

// disk returns the archive that qemu-init.sh lays over the machine's disk.
func (m *emulated) disk(k *Kernel, files []File) (*os.File, error) {
	var err error
	if m.agent, err = k.buildAgent(); err != nil {
		return nil, err
	}
	program, err := os.ReadFile(m.agent)
	if err != nil {
		return nil, err
	}
	tape, err := archive(append([]File{{Path: agentPath, Mode: 0o755, Content: program}}, files...))
	if err != nil {
		return nil, err
	}
	return unlinked(tape)
}

// connect makes the machine's port and the socket that the processes of its
// commands come by, and returns QEMU's end of the port.
func (m *emulated) connect() (*os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	m.port, m.lines = ours, agent.NewSwitch(ours)
	m.listener, err = net.Listen("unix", m.address())
	if err != nil {
		theirs.Close()
		return nil, err
	}
	go m.lines.Listen(m.listener)
	return theirs, nil
}

// address is of an abstract socket: nothing of it is left, however this process ends.
func (m *emulated) address() string { return "@" + m.name }

// socketPair returns two connected sockets; the first doesn't block.
func socketPair() (ours, theirs *os.File, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.SetNonblock(pair[0], true) // so that Close ends a Read
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a pair of sockets: %w", err)
	}
	return os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket"), nil
}

// arguments are QEMU's. The pc machine has the clocks that microvm lacks:
// without them a kernel on a busy host can't calibrate its own, and hangs.
func (k *Kernel) arguments(options string) []string {
	args := append(k.machine(),
		"-append", "console=ttyS0 loglevel=4 reboot=t panic=-1 systemd.show_status=0 "+options,
		"-device", "virtio-serial-pci", "-chardev", "socket,id=port,fd=3", "-device", "virtserialport,chardev=port,name=vm")
	for i, drive := range []string{"snapshot=on,file=" + filepath.Join(k.dir, "disk"), "readonly=on,file=/proc/self/fd/4"} {
		id := fmt.Sprint("disk", i)
		args = append(args, "-drive", drive+",format=raw,if=none,id="+id, "-device", "virtio-blk-pci,drive="+id)
	}
	return args
}

// machine is what QEMU is told for any kernel.
func (k *Kernel) machine() []string {
	accelerator := "tcg,thread=multi"
	if k.virtualises() {
		accelerator = "kvm"
	}
	return k.base(accelerator)
}

func (k *Kernel) base(accelerator string) []string {
	return []string{"-machine", "pc", "-cpu", "qemu64", "-accel", accelerator, "-smp", "2", "-m", "1024",
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-device", "virtio-rng-pci",
		"-kernel", filepath.Join(k.dir, "vmlinuz"), "-initrd", filepath.Join(k.dir, "initrd")}
}

// virtualisation is whether this machine can run a kernel by KVM, found out once.
var virtualisation struct {
	sync.Once
	works bool
}

// probeDeadline is how long a kernel may take to its initrd where KVM works: a second is usual.
const probeDeadline = 10 * time.Second

// virtualises tries it: on some virtual machines /dev/kvm can be opened, and the
// guest spins for ever.
func (k *Kernel) virtualises() bool {
	virtualisation.Do(func() {
		if _, err := os.Stat("/dev/kvm"); err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), probeDeadline)
		defer cancel()
		probe := exec.CommandContext(ctx, "qemu-system-x86_64",
			append(k.base("kvm"), "-no-reboot", "-append", "console=ttyS0 quiet reboot=t panic=-1 gons.probe")...)
		probe.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		output, _ := probe.CombinedOutput()
		virtualisation.works = bytes.Contains(output, []byte("gons.probe: reached"))
	})
	return virtualisation.works
}

// unlinked returns a file with that content and no name.
func unlinked(content []byte) (*os.File, error) {
	file, err := os.CreateTemp("", "gonsvm")
	if err != nil {
		return nil, err
	}
	if _, err = file.Write(content); err == nil {
		err = os.Remove(file.Name())
	}
	if err != nil {
		file.Close()
	}
	return file, err
}

// start runs QEMU from a thread that lives as long as it does, as Machine.start.
func (m *emulated) start() error {
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

// awaitReady waits until the machine has booted n times and can be used.
func (m *emulated) awaitReady(n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), emulatedBootDeadline)
	defer cancel()
	go func() {
		select {
		case <-m.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := m.lines.AwaitGreeting(ctx, n); err != nil {
		return err
	}
	// The exit status tells running from degraded; that is for the test to judge.
	var exit *exec.ExitError
	err := m.Command(ctx, "systemctl", "is-system-running", "--wait").Run()
	if err != nil && (ctx.Err() != nil || !errors.As(err, &exit) || exit.ExitCode() == agent.Failed) {
		return fmt.Errorf("systemd does not finish booting: %w", err)
	}
	return nil
}

// Name tells the machine from others.
func (m *emulated) Name() string { return m.name }

// Command runs a command by the agent, a service of the machine's: a process
// here stands for it.
func (m *emulated) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.agent, append([]string{"run", m.address()}, args...)...)
	cmd.Env = environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Reboot has systemd restart the machine: its kernel starts anew over the same
// disk.
func (m *emulated) Reboot() error {
	booted := m.lines.Greetings()
	ctx, cancel := context.WithTimeout(context.Background(), emulatedCommandDeadline)
	defer cancel()
	_ = m.Command(ctx, "systemctl", "reboot").Run() // it dies with the machine
	if err := m.awaitReady(booted + 1); err != nil {
		return fmt.Errorf("cannot reboot %s: %w; its console:\n%s", m.name, err, m.Console())
	}
	return nil
}

// Console returns what the machine has written to its serial port so far.
func (m *emulated) Console() string { return m.console.String() }

// Type types on the serial port.
func (m *emulated) Type(text string) error {
	if _, err := m.typing.WriteString(text); err != nil {
		return fmt.Errorf("cannot type on the console of %s: %w", m.name, err)
	}
	return nil
}

// Stop kills the machine: nothing of it has a name on this one.
func (m *emulated) Stop() error {
	m.stopOnce.Do(func() { m.stopErr = m.stop() })
	return m.stopErr
}

func (m *emulated) stop() (err error) {
	if m.process != nil && m.process.Process != nil {
		_ = m.process.Process.Kill()
		select {
		case <-m.exited:
		case <-time.After(15 * time.Second):
			err = fmt.Errorf("cannot stop %s: it does not die", m.name)
		}
	}
	if m.listener != nil {
		m.listener.Close()
	}
	for _, file := range []*os.File{m.port, m.typing, m.image} {
		if file != nil {
			file.Close()
		}
	}
	return err
}
