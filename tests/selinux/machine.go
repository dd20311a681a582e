// Package selinux proves gons on a machine where SELinux is enforcing: the Debian 13 of tests/vm that QEMU boots, with its
// default policy, beside libselinux's tools and pam_namespace. It boots once, runs the scripts of the directory guest, and
// takes away what they wrote. It needs root and the packages of `scripts/setup vm`, no virtualisation, and some minutes.
package selinux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"gons/tests/vm"
)

// deadline is how long the scripts may take; three minutes are usual on two busy cores.
const deadline = 20 * time.Minute

// Run boots the machine with these files, has its /root/in/run run, logs alice in at the console in between, and puts what
// that leaves in /root/out into the directory out.
func Run(files []vm.File, out string) (err error) {
	image, err := vm.Emulated("trixie")
	if err != nil {
		return err
	}
	m, err := vm.StartEnforcing(vm.Spec{Image: image, Files: files})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	return errors.Join( // what was written up to an error tells why
		script(ctx, m, "policy", "sessions"),
		console(m),
		script(ctx, m, "console", "needed"),
		console(m),
		script(ctx, m, "refused"),
		fetch(ctx, m, out))
}

// script runs parts of the scripts.
func script(ctx context.Context, m *vm.Machine, parts ...string) error {
	text, err := m.Command(ctx, append([]string{"sh", "/root/in/run"}, parts...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot run the scripts in the machine: %w\n%s", errors.Join(err, ctx.Err()), text)
	}
	return nil
}

// console logs alice in where a getty waits, which is the only one in the domain of such logins.
func console(m *vm.Machine) error {
	const password = "sesame"
	if _, err := m.RunWith(strings.NewReader("alice:"+password+"\n"), "chpasswd"); err != nil {
		return err
	}
	seen := len(m.Console())
	for _, step := range []struct{ text, prompt string }{
		{"\n", "login: "}, {"alice\n", "assword: "}, {password + "\n", "$ "},
		{"look alice >~/console.new 2>&1; echo exit $? >>~/console.new; mv ~/console.new ~/console; exit\n", "login: "},
	} {
		err := m.Type(step.text)
		if err == nil {
			seen, err = m.AwaitConsole(seen, step.prompt)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fetch unpacks what the scripts wrote into a directory.
func fetch(ctx context.Context, m *vm.Machine, out string) error {
	tape, err := m.Command(ctx, "tar", "-C", "/root/out", "-c", ".").Output()
	if err != nil {
		return fmt.Errorf("cannot read what the scripts wrote: %w", err)
	}
	unpack := exec.Command("tar", "-C", out, "-x")
	unpack.Stdin = bytes.NewReader(tape)
	if text, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot unpack what the scripts wrote: %w\n%s", err, text)
	}
	return nil
}
