// Package selinux proves gons on a machine where SELinux is enforcing: a Debian 13 with its default policy, emulated by
// QEMU, beside libselinux's tools and pam_namespace. It boots once, runs the scripts of the directory guest, and leaves
// what they wrote. It needs root and the packages of `scripts/setup selinux`, no virtualisation, and some minutes.
package selinux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// deadline is how long the machine may take from power on to power off; five minutes are usual on two busy cores.
const deadline = 20 * time.Minute

// outputSize is that of the disk the machine writes its tar archive to, in bytes.
const outputSize = 32 << 20

// BuildImage returns the directory with disk, vmlinuz and initrd. The first call takes minutes.
func BuildImage(top string) (string, error) {
	dir := filepath.Join(top, "build", "selinux")
	if output, err := exec.Command(filepath.Join(top, "tests/selinux/image.sh"), dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the image of a machine with SELinux: %w\n%s", err, output)
	}
	return dir, nil
}

// Run boots the image with the files of the directory in, whose program `run` it starts, and puts what that leaves in
// /root/out into the directory out. The image itself never changes.
func Run(image, in, out string) error {
	work, err := os.MkdirTemp("", "gons-selinux")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	input, output := filepath.Join(work, "in"), filepath.Join(work, "out")
	if err := command("tar", "-cf", input, "-C", in, "."); err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(output, nil, 0o600), os.Truncate(output, outputSize)); err != nil {
		return err
	}
	if err := boot(image, input, output); err != nil {
		return err
	}
	return command("tar", "-xf", output, "-C", out)
}

func command(name string, args ...string) error {
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// boot runs the machine until it ends by itself. The pc machine has the clocks that microvm lacks: without them a kernel
// on a busy host can't calibrate its own, and hangs.
func boot(image, input, output string) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	args := []string{"-machine", "pc", "-cpu", "qemu64", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-device", "virtio-rng-pci",
		"-kernel", filepath.Join(image, "vmlinuz"), "-initrd", filepath.Join(image, "initrd"),
		"-append", "console=ttyS0 reboot=t panic=-1 security=selinux selinux=1 enforcing=1 systemd.show_status=0"}
	for i, drive := range []string{
		"snapshot=on,file=" + filepath.Join(image, "disk"), "readonly=on,file=" + input, "file=" + output,
	} {
		id := fmt.Sprint("disk", i)
		args = append(args, "-drive", drive+",format=raw,if=none,id="+id, "-device", "virtio-blk-pci,drive="+id)
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	console, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("the machine didn't end within %s", deadline)
	}
	if err != nil {
		return fmt.Errorf("%w; its console ends with\n%s", err, console[max(0, len(console)-4000):])
	}
	return nil
}
