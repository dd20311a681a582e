package session

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"gons/internal/linux"
	"gons/internal/polyinst"
	"gons/internal/safepath"
)

// End removes what a session left and then its record, from inside the session or outside. A record that isn't there is
// no error: somebody else ended the session. more is asked whether there is time to go on. What can't be removed keeps
// the record, for the next to try.
func (s *Store) End(id string, more func() bool) error { return s.end(id, true, more) }

// end is End; inside says that the caller may be in the session's namespace, where a path below a covered directory
// leads into an instance: that nothing is there means nothing.
func (s *Store) end(id string, inside bool, more func() bool) error {
	r, err := s.Get(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	at := LockByte("session:" + id)
	if err := s.lock.TryLockRange(at); err != nil {
		return nil // another process is at it
	}
	defer s.lock.UnlockRange(at)
	var failed []error
	for _, l := range r.Leftovers {
		covered := inside && slices.ContainsFunc(r.Covered, func(dir string) bool { return isBelow(l.Parent, dir) })
		failed = append(failed, removeLeftover(s.root, l, covered, more))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return s.Remove(id)
}

func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// ErrElsewhere says that a path leads to another directory than when the session opened: the parent of what is to be
// removed is covered here, or was replaced.
var ErrElsewhere = errors.New("it is not the directory that the session used")

func removeLeftover(root *safepath.Root, l polyinst.Leftover, covered bool, more func() bool) error {
	parent, err := root.Open(l.Parent)
	if errors.Is(err, fs.ErrNotExist) && covered {
		return fmt.Errorf("cannot remove %s/%s: %w", l.Parent, l.Name, ErrElsewhere)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	if parent.Stat.Dev != l.ParentDev || parent.Stat.Ino != l.ParentIno {
		return fmt.Errorf("cannot remove %s/%s: %s: %w", l.Parent, l.Name, l.Parent, ErrElsewhere)
	}
	if l.Tree {
		err = safepath.RemoveTree(parent.Handle, l.Name, more)
	} else {
		err = parent.Rmdir(l.Name)
	}
	harmless := []error{linux.ENOENT, linux.ENOTEMPTY, linux.ENOTDIR}
	if l.Tree {
		harmless = harmless[:1]
	}
	if slices.ContainsFunc(harmless, func(e error) bool { return errors.Is(err, e) }) {
		return nil
	}
	return err
}

// Uncover takes the calling thread, which must be locked and is of no other use afterwards, into a copy of its mount
// namespace in which nothing covers the directories any more, and makes the store see that one. It is for an End that
// met ErrElsewhere inside the session: an instance parent may lie below a directory that the session covers, as
// /var/tmp/tmp-inst does in the configuration that distributions ship.
func (s *Store) Uncover(covered []string) error {
	if err := linux.UnshareMounts(); err != nil {
		return err
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	s.root = root
	top, err := root.Open("/")
	if err != nil {
		return err
	}
	defer top.Close()
	if err := linux.SetPropagation(top.Handle, linux.Private, true); err != nil { // or the session would lose them too
		return fmt.Errorf("cannot make / private: %w", err)
	}
	for _, path := range slices.Backward(covered) {
		dir, err := root.Open(path)
		if err != nil {
			return err
		}
		err = linux.DetachHere(dir.Handle)
		dir.Close()
		if err != nil {
			return fmt.Errorf("cannot uncover %s: %w", path, err)
		}
	}
	return nil
}
