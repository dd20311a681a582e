package session

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"gons/internal/linux"
	"gons/internal/safepath"
)

// ErrElsewhere says that a path doesn't lead to the directory that the session used: it is covered here, was replaced, or
// is meant in another namespace.
var ErrElsewhere = errors.New("it is not the directory that the session used")

// ErrBusy says that another process is ending the same session.
var ErrBusy = errors.New("another process is at it")

// End removes what a session left and then its record. A record that isn't there is no error: somebody else ended the
// session. more is asked whether there is time to go on. What can't be removed keeps the record, for the next to try.
func (s *Store) End(id string, more func() bool) error {
	r, err := s.Get(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	at := lockByte("session:" + id)
	if err := s.lock.TryLockRange(at); linux.Is(err, linux.EAGAIN) || linux.Is(err, linux.EACCES) { // fcntl(2) has both
		return ErrBusy
	} else if err != nil {
		return fmt.Errorf("cannot lock the session record %s/%s: %w", s.sessions.Path(), id, err)
	}
	defer s.lock.UnlockRange(at)
	var failed []error
	for _, l := range slices.Backward(r.Leftovers) { // what was made later may lie in what was made before
		failed = append(failed, s.removeLeftover(l, r.HostNamespace, more))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return s.Remove(id)
}

// removeLeftover removes one thing from the directory that it is in, when that is the one. That there is no such
// directory means that it is gone in the namespace the session was opened from; in any other, the session's own among
// them, it may be covered.
func (s *Store) removeLeftover(l Leftover, host Namespace, more func() bool) error {
	parent, err := s.root.Open(string(l.Parent))
	if errors.Is(err, fs.ErrNotExist) {
		if s.namespace == host && host.Inode != 0 {
			return nil
		}
		return fmt.Errorf("cannot remove %s/%s: %w", l.Parent, l.Name, ErrElsewhere)
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	if parent.Stat.Dev != l.ParentDev || parent.Stat.Ino != l.ParentIno {
		return fmt.Errorf("cannot remove %s/%s: %s: %w", l.Parent, l.Name, l.Parent, ErrElsewhere)
	}
	if l.Tree && l.Ino != 0 {
		is := func(st linux.Stat) bool { return st.Dev == l.Dev && st.Ino == l.Ino }
		err = safepath.RemoveTree(parent.Handle, string(l.Name), is, more)
		if linux.Is(err, linux.ENOENT) || errors.Is(err, safepath.ErrAnother) {
			return nil
		}
		return err
	}
	err = parent.Rmdir(string(l.Name)) // of an open that came to nothing, so it holds nothing
	for _, gone := range []error{linux.ENOENT, linux.ENOTEMPTY, linux.ENOTDIR} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s/%s: %w", l.Parent, l.Name, err)
	}
	return nil
}

// Uncover takes the calling thread, which must be locked and is of no other use afterwards, into a copy of its mount
// namespace in which nothing covers the directories any more, and makes the store see that one. It is for an End that
// met ErrElsewhere inside the session: an instance parent may lie below a directory that the session covers, as
// /var/tmp/tmp-inst does in the configuration that distributions ship.
func (s *Store) Uncover(covered []Path) error {
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
		dir, err := root.Open(string(path))
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
