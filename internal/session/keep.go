package session

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"time"

	"gons/internal/linux"
	"gons/internal/safepath"
)

// This file is about pins: namespaces that are kept for a while after the last session (namespace.linger), and before Linux
// 6.11 all that sessions share, and while scripts run, others. They are mounted on a file in a directory of the host's namespace that is a mount of its own
// and private, so that the pin is seen in no other namespace. Only a namespace that is older than the pinned can have it, by
// their numbers (mnt_ns_loop in fs/namespace.c); Linux 6.18 numbers them by processor, so that in a container the host's may
// have the higher one. Then move_mount(2) is ELOOP, and the namespace isn't kept.

// keptDir is where the pins are.
const keptDir = RunDir + "/kept"

// keep has a namespace that a closed host is in kept from now on.
func (s *Store) keep(r *Record, p Processes) error {
	ns, ok := s.openKeptNamespace(*r, p)
	if !ok {
		ns, ok = s.openClosed(*r, p)
	}
	if !ok {
		return errors.New("no process is in it any more")
	}
	defer ns.Close()
	r.Shared.Until = time.Now().Add(r.Shared.Linger)
	err := s.Pin(r, ns, p)
	if err != nil {
		r.Shared.Until = time.Time{}
	}
	return err
}

// Pin pins the namespace of a record, which is written first, so that no pin is without one.
func (s *Store) Pin(r *Record, ns *linux.Handle, p Processes) error {
	r.Pinned = true
	if err := s.Put(*r); err != nil {
		return err
	}
	return s.onHost(p, func(root *safepath.Root) error { return s.pin(root, r.ID, ns) })
}

// openClosed opens a namespace that nobody is in but closed hosts, and the caller perhaps.
func (s *Store) openClosed(r Record, p Processes) (*linux.Handle, bool) {
	if s.namespace == r.Namespace {
		ns, err := linux.OpenMountNamespace()
		return ns, err == nil
	}
	for _, c := range slices.Backward(r.Shared.Closed) {
		if ns, ok := p.Open(c, r.Namespace); ok {
			return ns, true
		}
	}
	return nil, false
}

// onHost runs f on a thread in the host's namespace.
func (s *Store) onHost(p Processes, f func(*safepath.Root) error) error {
	host, err := s.Host(p)
	if err != nil {
		return err
	}
	defer host.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- s.inNamespace(host, f)
	}()
	return <-done
}

func (s *Store) inNamespace(ns *linux.Handle, f func(*safepath.Root) error) error {
	if err := linux.EnterMountNamespace(ns, nil); err != nil {
		return fmt.Errorf("cannot enter the host's namespace: %w", err)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := s.CheckIn(root); err != nil {
		return err
	}
	return f(root)
}

// pin mounts a namespace on a file of that name, where it isn't there already.
func (s *Store) pin(root *safepath.Root, name string, ns *linux.Handle) error {
	dir, err := s.openKept(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	h, err := dir.OpenAt(name, linux.ReadFile, false)
	if linux.Is(err, linux.ENOENT) {
		h, err = dir.OpenAt(name, linux.CreateFile, false)
	}
	if err != nil {
		return fmt.Errorf("cannot make %s/%s: %w", keptDir, name, err)
	}
	defer h.Close()
	if NamespaceOf(h) == NamespaceOf(ns) {
		return nil
	}
	tree, err := linux.CloneTree(ns, false)
	if err == nil {
		defer tree.Close()
		err = linux.Attach(tree, h)
	}
	if err != nil {
		dir.Unlink(name)
		return fmt.Errorf("cannot pin a namespace on %s/%s: %w", keptDir, name, err)
	}
	return nil
}

// openKept opens the directory of pins, which it makes where it is missing.
func (s *Store) openKept(root *safepath.Root) (*safepath.Dir, error) {
	dir, err := openTrusted(root, keptDir)
	if err == nil && dir.IsMountRoot() {
		return ownKept(dir)
	}
	if err == nil {
		dir.Close()
	}
	at := lockByte("kept")
	if err := s.lock.LockRange(at, true); err != nil { // of two, the one would cover the other's pins
		return nil, fmt.Errorf("cannot lock %s: %w", keptDir, err)
	}
	defer s.lock.UnlockRange(at)
	if err := makeMissing(root, keptDir); err != nil {
		return nil, err
	}
	if dir, err = openTrusted(root, keptDir); err != nil {
		return nil, err
	}
	if !dir.IsMountRoot() {
		err := coverKept(dir)
		dir.Close()
		if err != nil {
			return nil, err
		}
		if dir, err = openTrusted(root, keptDir); err != nil {
			return nil, err
		}
	}
	return ownKept(dir)
}

func coverKept(dir *safepath.Dir) error {
	tree, err := linux.NewTmpfs([]string{"mode=0700", "size=1m"}, linux.NoSuid|linux.NoDev|linux.NoExec)
	if err != nil {
		return fmt.Errorf("cannot make a tmpfs for %s: %w", keptDir, err)
	}
	defer tree.Close()
	if err := linux.Attach(tree, dir.Handle); err != nil {
		return fmt.Errorf("cannot cover %s: %w", keptDir, err)
	}
	return nil
}

// ownKept makes the mount private, each time, since who covered the directory may have been killed before that: what is
// mounted in it must appear nowhere else.
func ownKept(dir *safepath.Dir) (*safepath.Dir, error) {
	if err := linux.SetPropagation(dir.Handle, linux.Private, false); err != nil {
		dir.Close()
		return nil, fmt.Errorf("cannot make %s private: %w", keptDir, err)
	}
	return dir, nil
}

// openKeptNamespace opens a namespace that is pinned, if it is.
func (s *Store) openKeptNamespace(r Record, p Processes) (ns *linux.Handle, ok bool) {
	if !r.Pinned {
		return nil, false
	}
	err := s.onHost(p, func(root *safepath.Root) error {
		dir, err := openTrusted(root, keptDir)
		if err != nil {
			return err
		}
		defer dir.Close()
		ns, err = dir.OpenAt(r.ID, linux.ReadFile, false)
		return err
	})
	if err == nil && NamespaceOf(ns) == r.Namespace {
		return ns, true
	}
	ns.Close()
	return nil, false
}

// Unpin lets a namespace go. One that isn't pinned is no error.
func (s *Store) Unpin(r Record, p Processes) error {
	if !r.Pinned {
		return nil
	}
	err := s.onHost(p, func(root *safepath.Root) error {
		dir, err := openTrusted(root, keptDir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer dir.Close()
		if err := linux.DetachEntry(dir.Handle, r.ID); err != nil && !linux.Is(err, linux.ENOENT) && !linux.Is(err, linux.EINVAL) {
			return err
		}
		if err := dir.Unlink(r.ID); err != nil && !linux.Is(err, linux.ENOENT) {
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot let the namespace go that is pinned on %s: %w", path.Join(keptDir, r.ID), err)
	}
	return nil
}

// unpinForgotten lets namespaces go that have no record any more. A record is written before its pin and removed after it, so
// somebody has removed that by hand.
func (s *Store) unpinForgotten(p Processes) error {
	dir, err := openTrusted(s.root, keptDir)
	if errors.Is(err, fs.ErrNotExist) { // nothing was ever pinned
		return nil
	}
	if err != nil {
		return err
	}
	dir.Close()
	var names []string
	err = s.onHost(p, func(root *safepath.Root) (err error) {
		names, err = pins(root)
		return err
	})
	for _, name := range names {
		if _, get := s.Get(name); isGone(get) {
			err = errors.Join(err, s.Unpin(Record{ID: name, Pinned: true}, p))
		}
	}
	return err
}

// pins are the names of what is pinned.
func pins(root *safepath.Root) (names []string, err error) {
	dir, err := openTrusted(root, keptDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	list, err := dir.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", keptDir, err)
	}
	defer list.Close()
	for {
		more, err := list.Names(4096)
		if err != nil || len(more) == 0 {
			return names, err
		}
		names = append(names, more...)
	}
}
