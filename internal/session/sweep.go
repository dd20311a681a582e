package session

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
)

// Swept is what became of one record.
type Swept struct {
	Record Record
	// Removed says that the session was over and nothing of it is left; with Dry, that it would be removed.
	Removed bool
	Err     error
}

// Sweep ends every session that nothing is left of. With dry it only says which. It stops when more says so; errors
// with one record don't keep it from the next.
func (s *Store) Sweep(p Processes, dry bool, more func() bool) ([]Swept, error) {
	if !dry {
		s.removeDrafts()
	}
	ids, err := s.List()
	if err != nil {
		return nil, err
	}
	if !dry {
		s.killScripts(ids, p)
	}
	out := s.sweep(ids, p, dry, more)
	if dry {
		return out, nil
	}
	return out, errors.Join(s.removeGrafts(), s.unpinForgotten(p))
}

// loginShare is how many records a login looks at: a login of a user with a thousand sessions must not cost more than
// others. Which ones is left to chance, so that all have their turn.
const loginShare = 16

// SweepUser is Sweep for some of one user's sessions, all of them where they are few: the paths in a user's records may
// lie in a tree of that user's, and only the user's own logins may have to wait for what is there.
func (s *Store) SweepUser(uid uint32, p Processes, more func() bool) ([]Swept, error) {
	ids, err := s.list(ownerPrefix(uid))
	if err != nil {
		return nil, err
	}
	if len(ids) > loginShare {
		from := rand.IntN(len(ids))
		ids = slices.Concat(ids[from:], ids[:from])[:loginShare]
	}
	shared, err := s.list(sharedPrefix + ownerPrefix(uid)) // last, when the sessions in it are gone
	if err != nil {
		return nil, err
	}
	ids = append(ids, shared...)
	return s.sweep(ids, p, false, more), nil
}

func (s *Store) sweep(ids []string, p Processes, dry bool, more func() bool) []Swept {
	var out []Swept
	for _, id := range ids {
		if !more() {
			break
		}
		if done, over := s.sweepOne(id, p, dry, more); over {
			out = append(out, done)
		}
	}
	return out
}

// KillScripts kills what scripts have left running of any user's sessions that were never opened and whose hosts are gone:
// before one is run for an instance that users share.
func (s *Store) KillScripts(p Processes) error { return s.killScriptsOf("", p) }

// KillScriptsOf is KillScripts for the sessions of one user: before one is run for an instance of that user's alone.
func (s *Store) KillScriptsOf(uid uint32, p Processes) error {
	return errors.Join(s.killScriptsOf(ownerPrefix(uid), p), s.killScriptsOf(sharedPrefix+ownerPrefix(uid), p))
}

func (s *Store) killScriptsOf(prefix string, p Processes) error {
	ids, err := s.list(prefix)
	s.killScripts(ids, p)
	return err
}

func (s *Store) killScripts(ids []string, p Processes) {
	for _, id := range ids {
		r, err := s.Get(id)
		if err != nil || !r.Scripts {
			continue
		}
		if alive, found := s.Alive(r, p); alive && found != r.Leader {
			KillScripts(r, p)
		}
	}
}

func (s *Store) sweepOne(id string, p Processes, dry bool, more func() bool) (Swept, bool) {
	r, err := s.Get(id)
	if err != nil {
		return Swept{Record: Record{ID: id}, Err: err}, !isGone(err) && !errors.Is(err, ErrForeign)
	}
	alive, found := s.Alive(r, p)
	if alive {
		if found.PID != 0 && found != r.Leader && !dry && !r.Scripts && !r.IsShared() { // so that the next sweep needn't look through all processes; what is shared only its maker may write
			r.Leader = found
			err = s.Put(r)
		}
		return Swept{Record: r, Err: err}, err != nil
	}
	if !dry {
		if err = s.end(r, p, more); errors.Is(err, ErrBusy) {
			return Swept{}, false
		}
		if onlyElsewhere(err) && s.fromAnother(r) {
			if _, lives := p.InNamespace(r.HostNamespace, 0); lives {
				return Swept{}, false // not now: it is for a sweep in there
			}
			err = s.Remove(id)
		}
		if err != nil {
			err = fmt.Errorf("session %s of %s: %w", id, r.User, err)
		}
	}
	return Swept{r, err == nil, err}, true
}

func (s *Store) end(r Record, p Processes, more func() bool) error {
	if r.IsShared() {
		return s.endShared(r.ID, p, more)
	}
	if err := s.Unpin(r, p); err != nil {
		return err
	}
	return s.End(r.ID, more)
}

// fromAnother reports whether a session was opened from inside another one. When that is over, too, what it left lies in
// a directory of that one's, where no path leads any more, and goes with it.
func (s *Store) fromAnother(r Record) bool {
	return r.HostNamespace.Inode != 0 && r.HostNamespace != s.namespace
}

// onlyElsewhere reports whether every failure that err joins is ErrElsewhere: what could still be removed keeps the record.
func onlyElsewhere(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return errors.Is(err, ErrElsewhere)
	}
	return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !onlyElsewhere(err) })
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
