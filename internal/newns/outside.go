package newns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"gons/internal/linux"
	"gons/internal/safepath"
)

// lines are the pipes between this process and those that it forks.
type lines struct {
	// there can be read from, to its end, once nobody has alive; that stays open in this process alone, to its end.
	there, alive *linux.Handle
	// heard gets what the first process tells; wait is where it waits until this process is done.
	heard, tell *linux.Handle
	wait, done  *linux.Handle
}

func newLines() (l lines, err error) {
	if l.there, l.alive, err = linux.Pipe(); err != nil {
		return l, err
	}
	if l.heard, l.tell, err = linux.BlockingPipe(); err != nil {
		return l, err
	}
	l.wait, l.done, err = linux.BlockingPipe()
	return l, err
}

// close closes all but alive.
func (l lines) close() {
	for _, h := range []*linux.Handle{l.there, l.heard, l.tell, l.wait, l.done} {
		h.Close()
	}
}

// ready does from outside what the first process waits for, and reports whether the namespace was bound to a file.
func (p *Plan) ready(pid int, f Facts, l lines) (kept bool, err error) {
	if p.ByHelpers {
		if err := mapByHelpers(pid, f); err != nil {
			return false, err
		}
		if _, err := l.done.Write([]byte{1}); err != nil {
			return false, err
		}
	}
	if p.Persist == "" {
		return false, nil
	}
	l.tell.Close()
	if _, err := l.heard.Read(make([]byte, 1)); err == io.EOF {
		return false, nil // it has failed, and says how elsewhere
	} else if err != nil {
		return false, err
	}
	if err := persist(p.Persist, pid); err != nil {
		return false, err
	}
	_, err = l.done.Write([]byte{1})
	return true, err
}

// persist binds a process's mount namespace to a file, which is made where it is missing.
func persist(file string, pid int) error {
	err := bindNamespace(file, pid)
	if on, _ := linux.IsMountRoot(file); on && err != nil { // one that is kept can't be opened to be covered
		return &RefusedError{fmt.Sprintf("cannot keep the namespace at %s: something is mounted there", file), "umount " + file + " lets it go"}
	}
	if linux.Is(err, linux.EINVAL) {
		dir := filepath.Dir(file)
		return &RefusedError{fmt.Sprintf("cannot keep the namespace at %s, which is on a shared mount", file),
			fmt.Sprintf("make a private one: mount --bind %s %s && mount --make-private %s", dir, dir, dir)}
	}
	if call := (*os.SyscallError)(nil); linux.Is(err, linux.ELOOP) && errors.As(err, &call) && call.Syscall == "move_mount" {
		return &RefusedError{fmt.Sprintf("cannot keep the namespace at %s: the kernel takes it for older than the caller's: %v", file, err),
			"Linux 6.18 numbers them per processor: try again, or with another one (taskset -c 0)"}
	}
	if err != nil {
		return fmt.Errorf("cannot keep the namespace at %s: %w", file, err)
	}
	return nil
}

func bindNamespace(file string, pid int) error {
	target, err := openFile(file, linux.OpenOrCreateFile)
	if err != nil {
		return err
	}
	defer target.Close()
	ns, err := linux.OpenNamespaceOf(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	tree, err := linux.CloneTree(ns, false)
	if err != nil {
		return err
	}
	defer tree.Close()
	return linux.Attach(tree, target)
}

func openFile(file string, how int) (*linux.Handle, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	dir, name, err := root.OpenParent(file)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.OpenAt(name, how, false)
}

// forget takes back what persist did.
func forget(file string) error {
	h, err := openFile(file, linux.LookAt)
	if err != nil {
		return err
	}
	defer h.Close()
	if on, err := linux.IsMountRoot(file); err != nil || !on {
		return err
	}
	return linux.Unmount(file)
}

// mapByHelpers maps the caller to root and the ids that it has besides to those from 1 on. The programs that do it are
// setuid and check what /etc/subuid and /etc/subgid say.
func mapByHelpers(pid int, f Facts) error {
	for _, m := range []struct {
		helper string
		id     uint32
		groups bool
	}{{"newuidmap", f.UID, false}, {"newgidmap", f.GID, true}} {
		start, count, err := subordinate(f.UID, m.groups)
		if err != nil {
			return err
		}
		args := []string{strconv.Itoa(pid), "0", fmt.Sprint(m.id), "1", "1", fmt.Sprint(start), fmt.Sprint(count)}
		out, err := exec.Command(m.helper, args...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			return &RefusedError{m.helper + " isn't there", "the package uidmap has it"}
		}
		if err != nil {
			return fmt.Errorf("cannot map ids: %s: %w: %s", m.helper, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
