package session

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"gons/internal/linux"
)

// This file is about namespaces that all sessions of a user share (namespace.scope: user). Such a namespace has a record
// of its own, beside those of the sessions in it. Nothing holds it but the processes in it, so that none can be left over:
// who joins finds it through one of them. All that is decided about it is decided by the user's maker (polyinst.Locker).
//
// Before Linux 6.11 a process proves nothing: the namespace it is in by now may have the inode number that the recorded one
// had, and be another user's, or one that the process, which may be the user's own, has made in a user namespace of its
// own, with an /etc/group to its taste. There the namespace is pinned from its beginning, so that nothing else can get its
// number, and joined by the pin alone. A crash then leaves it until the next sweep.

// sharedAlive is Alive for a namespace that sessions share.
func (s *Store) sharedAlive(r Record, p Processes) (alive bool, found Process) {
	if lives(r.Leader, p) && !slices.Contains(r.closed(p), r.Leader) {
		return true, r.Leader
	}
	found, alive = s.otherIn(r, "", p)
	return alive || r.Shared.lingers(time.Now()), found
}

// lingers reports whether the namespace is kept still. One that would be for longer than it may be was kept before the
// clock was set back.
func (s *Shared) lingers(now time.Time) bool {
	left := s.Until.Sub(now)
	return left > 0 && left <= s.Linger
}

// closed are the hosts of closed sessions that are still there: the process of a recorded number may be another by now.
func (r Record) closed(p Processes) []Process {
	return slices.DeleteFunc(slices.Clone(r.Shared.Closed), func(c Process) bool { return !lives(c, p) })
}

// close notes the hosts of a closed session, each once: there are some that close thousands.
func (r Record) close(p Processes, hosts ...Process) {
	for _, h := range hosts {
		if !slices.Contains(r.Shared.Closed, h) {
			r.Shared.Closed = append(r.Shared.Closed, h)
		}
	}
	r.Shared.Closed = r.closed(p)
}

// lives reports whether a process that was recorded is there.
func lives(of Process, p Processes) bool {
	start, ok := p.Start(of.PID)
	return ok && (start == of.Start || of.Start == 0 || start == 0)
}

// FindShared returns the namespace that the sessions of a user share, and a handle to join it by; nil where there is none
// yet. The caller must be the user's maker.
func (s *Store) FindShared(uid uint32, p Processes) (Record, *linux.Handle, error) {
	ids, err := s.list(sharedPrefix + ownerPrefix(uid))
	if err != nil {
		return Record{}, nil, err
	}
	for _, id := range ids {
		r, err := s.Get(id)
		if errors.Is(err, ErrForeign) || isGone(err) {
			continue
		}
		if err != nil {
			return Record{}, nil, err
		}
		if r.Shared.Ready && r.PIDNamespace == p.PIDNamespace() {
			if h, ok := s.openShared(r, p); ok {
				return r, h, nil
			}
		}
	}
	return Record{}, nil, nil
}

// openShared finds a process that is in the namespace, or its pin.
func (s *Store) openShared(r Record, p Processes) (*linux.Handle, bool) {
	if r.Namespace.ID == 0 {
		return s.openKeptNamespace(r, p)
	}
	closed := r.closed(p)
	if !slices.Contains(closed, r.Leader) {
		if h, ok := p.Open(r.Leader, r.Namespace); ok {
			return h, true
		}
	}
	var handle *linux.Handle
	s.eachMember(r, func(m Record) bool {
		h, ok := p.Open(m.Leader, r.Namespace)
		handle = h
		return !ok
	})
	if handle != nil {
		return handle, true
	}
	if h, ok := s.openKeptNamespace(r, p); ok {
		return h, true
	}
	found, ok := p.InNamespaceBut(r.Namespace, closed)
	if !ok || found.PID == 0 {
		return nil, false
	}
	return p.Open(found, r.Namespace)
}

// eachMember calls f with the sessions in a namespace until that returns false.
func (s *Store) eachMember(of Record, f func(Record) bool) {
	ids, _ := s.list(ownerPrefix(of.UID))
	for _, id := range ids {
		if r, err := s.Get(id); err == nil && r.Of == of.ID && !f(r) {
			return
		}
	}
}

// Leave ends a session in a namespace that sessions share. closer is the host that closes it, which may be another
// process than the one that opened it. over is the id of the namespace where that has to end now, by End: nobody is in it
// any more but hosts of closed sessions and their children. An error beside it is of keeping the namespace. The caller must be
// the user's maker until then.
func (s *Store) Leave(r Record, closer Process, p Processes) (over string, err error) {
	shared, err := s.Get(r.Of)
	if errors.Is(err, fs.ErrNotExist) {
		return "", s.Remove(r.ID)
	}
	if err != nil {
		return "", err
	}
	shared.close(p, r.Leader, closer)
	if !shared.Shared.Ready { // of an open that came to nothing, in which are scripts at most
		return shared.ID, s.Remove(r.ID)
	}
	found, used := s.otherIn(shared, r.ID, p)
	var kept error
	if shared.Shared.Linger > 0 { // also while it is used: the last close may come without privilege, as systemd's does
		kept = s.keep(&shared, p)
		used = used || kept == nil
	}
	shared.Leader, shared.Shared.Ready = found, used // who comes to one that is over makes a new one
	if err := errors.Join(s.Put(shared), s.Remove(r.ID)); err != nil || used {
		return "", err
	}
	if kept != nil {
		kept = fmt.Errorf("cannot keep the namespace of %s for %s: %w", r.User, shared.Shared.Linger, kept)
	}
	return shared.ID, kept
}

// otherIn returns a process that is in the namespace for another session, or because somebody has left it there.
func (s *Store) otherIn(shared Record, but string, p Processes) (found Process, ok bool) {
	s.eachMember(shared, func(m Record) bool {
		if m.ID != but && lives(m.Leader, p) {
			found, ok = m.Leader, true
		}
		return !ok
	})
	if ok {
		return found, ok
	}
	return p.InNamespaceBut(shared.Namespace, shared.closed(p))
}

// endShared is End for a namespace that sessions share, unless somebody is about to join it.
func (s *Store) endShared(id string, p Processes, more func() bool) error {
	r, err := s.Get(id)
	if err != nil {
		return err
	}
	if err := s.lock.TryLockRange(int64(r.UID)); linux.Is(err, linux.EAGAIN) || linux.Is(err, linux.EACCES) {
		return ErrBusy
	} else if err != nil {
		return fmt.Errorf("cannot lock the namespace of user %d: %w", r.UID, err)
	}
	defer s.lock.UnlockRange(int64(r.UID))
	if r, err = s.Get(id); err != nil {
		return err
	}
	if alive, _ := s.Alive(r, p); alive {
		return ErrBusy
	}
	r.Shared.Ready = false
	if err := s.Put(r); err != nil {
		return err
	}
	if err := s.Unpin(r, p); err != nil {
		return err
	}
	return s.End(id, more)
}
