package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// starter is one way to run a command in a mount namespace.
type starter struct {
	name    string
	args    []string
	samples []sample
}

// starts measures, as root and as another user, the time from exec to the first instruction of a command that newns, gons
// run, unshare(1) and bwrap(1) run, with no bind and with some, side by side.
func starts() error {
	for _, uid := range []int{0, sandbox.Alice.UID} {
		for _, binds := range []int{0, 1, 10, 100} {
			n := *rounds
			if binds > 10 { // mount(8) by the hundred takes a while
				n = max(n/8, 1)
			}
			all, err := starters(uid, binds)
			if err != nil {
				return err
			}
			for i := -2; i < n; i++ {
				for _, s := range all {
					if err := s.measure(uid, i >= 0); err != nil {
						return fmt.Errorf("%s: %w", s.name, err)
					}
				}
			}
			reportStarts(uid, binds, n, all)
		}
	}
	return nil
}

func starters(uid, binds int) ([]*starter, error) {
	build, err := filepath.Abs("build")
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"/mnt/from", "/mnt/to"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	first := build + "/first"
	var ours, bwrap []string
	script := "exec " + first
	for range binds {
		ours = append(ours, "--rbind", "/mnt/from:/mnt/to")
		bwrap = append(bwrap, "--bind", "/mnt/from", "/mnt/to")
		script = "mount --rbind /mnt/from /mnt/to; " + script
	}
	unshare := []string{"unshare", "--mount"}
	if uid != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	if binds > 0 {
		unshare = append(unshare, "sh", "-c", script)
	} else {
		unshare = append(unshare, first)
	}
	return []*starter{
		{name: "the command alone", args: []string{first}},
		{name: "newns", args: append(append([]string{build + "/newns"}, ours...), "--", first)},
		{name: "gons run", args: append(append([]string{build + "/gons", "run"}, ours...), "--", first)},
		{name: "unshare" + strings.Repeat(", mount(8)", min(binds, 1)), args: unshare},
		{name: "bwrap", args: append(append([]string{"bwrap", "--dev-bind", "/", "/"}, bwrap...), first)},
	}, nil
}

// measure runs the command once.
func (s *starter) measure(uid int, count bool) error {
	var out bytes.Buffer
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	cmd.Dir = "/"
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	var before unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &before); err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return err
	}
	if out.Len() != 16 {
		return fmt.Errorf("the command wrote %d bytes", out.Len())
	}
	b := out.Bytes()
	ns := int64(binary.NativeEndian.Uint64(b))*1e9 + int64(binary.NativeEndian.Uint64(b[8:])) - before.Nano()
	if count {
		s.samples = append(s.samples, sample{ns: int(ns)})
	}
	return nil
}

func reportStarts(uid, binds, n int, all []*starter) {
	who := "root"
	if uid != 0 {
		who = "a user, by a user namespace"
	}
	fmt.Printf("\nexec to the command's first instruction, by %s, %d binds; %d processes each\n", who, binds, n)
	fmt.Printf("%-26s %12s %12s %12s\n", "", "median ms", "p95 ms", "newns is")
	ours := percentile(all[1].samples, 50)
	for _, s := range all {
		median := percentile(s.samples, 50)
		fmt.Printf("%-26s %12.2f %12.2f %11.2fx\n", s.name, median, percentile(s.samples, 95), ours/median)
	}
}
