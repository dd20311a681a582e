package vm

// This file is about the cgroup that holds a machine: every process of it and
// every command run in it, so that an empty cgroup proves that none is left.

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// namePrefix begins the name of every machine and of its cgroup; the process
// id of its test and a number follow.
const namePrefix = "gonsvm-"

// newCgroup makes a cgroup directly below the root of the cgroup v2 hierarchy.
func newCgroup(name string) (string, error) {
	top, err := cgroupRoot()
	if err != nil {
		return "", err
	}
	sweepCgroups(top)
	dir := filepath.Join(top, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot make a cgroup: %w", err)
	}
	return dir, nil
}

// cgroupRoot returns where this machine has cgroup v2: /sys/fs/cgroup, or below
// it where version 1 is mounted as well.
func cgroupRoot() (string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if strings.Contains(lines.Text(), " - cgroup2 ") {
			return strings.Fields(lines.Text())[4], nil
		}
	}
	return "", errors.New("cannot start a machine: no cgroup v2 hierarchy is mounted")
}

// sweepCgroups removes the cgroups of tests that were killed: their machines
// died with them, but the directory stays, and in it an nsenter that was stopped.
func sweepCgroups(top string) {
	stale, _ := filepath.Glob(filepath.Join(top, namePrefix+"*"))
	for _, dir := range stale {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), namePrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = killCgroup(dir)
		}
	}
}

// killCgroup kills what is left in a cgroup and removes it, which succeeds
// only once no process is in it.
func killCgroup(dir string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0); err != nil {
			return fmt.Errorf("cannot kill the machine's processes: %w", err)
		}
		err := removeCgroup(dir)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot remove the machine's cgroup: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// removeCgroup removes a tree of empty cgroups, children first.
func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // files of a dying cgroup
		}
		return err
	})
	sort.Sort(sort.Reverse(sort.StringSlice(dirs)))
	for _, dir := range dirs {
		err = errors.Join(err, syscall.Rmdir(dir))
	}
	return err
}

// continueAll wakes the stopped processes of a cgroup and of those below it.
func continueAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "cgroup.procs" {
			pids, _ := os.ReadFile(path)
			for _, field := range strings.Fields(string(pids)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
					_ = syscall.Kill(pid, syscall.SIGCONT)
				}
			}
		}
		return nil // those of a dying cgroup are gone
	})
}
