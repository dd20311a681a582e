package retention

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gons/internal/linux"
	"gons/internal/live"
	"gons/internal/safepath"
)

// Bounds on the look at one instance.
var bounds = live.Bounds{Entries: 20_000_000, Time: 10 * time.Minute}

// Result is what became of an entry.
type Result struct {
	Found
	Age  time.Duration
	Size live.Size
	// Removed says that it is gone or, in a dry run, would be.
	Removed bool
}

// Clean removes an entry that nothing in was changed for longer than limit; with dry it only says so. What is kept has
// Kept set, but for what is merely young.
//
// The user may log in at any moment. The entry gets a name of its own first, under the lock that keeps the user's sessions
// from opening instances, so that a login either has the entry, is on record, and keeps it, or makes a new one. Then it is
// looked at once more, since the user may have come and gone between the first look and the lock, and gets its name back
// where somebody has changed it.
func (m *Machine) Clean(f Found, limit time.Duration, now time.Time, dry bool) (r Result, err error) {
	r.Found = f
	dir, err := m.open(f.Parent)
	if err != nil {
		return r, err
	}
	defer dir.Close()
	old, err := r.look(dir, f.Name, limit, now)
	if err != nil || !old || r.Kept != "" || dry {
		r.Removed = old && r.Kept == "" && err == nil
		return r, err
	}
	name := f.Name
	if f.Kind != Aside {
		if name, err = m.moveAside(dir, &r); err != nil || r.Kept != "" {
			return r, err
		}
		if old, err = r.look(dir, name, limit, now); err != nil || !old {
			return r, errors.Join(err, dir.RenameNew(name, dir.Handle, f.Name))
		}
	}
	return r, r.remove(dir, name)
}

// look finds out how old an entry is. One that can't be seen whole is kept.
func (r *Result) look(dir *safepath.Dir, name string, limit time.Duration, now time.Time) (old bool, err error) {
	h, err := dir.OpenAt(name, linux.ReadDirectory, true)
	if linux.Is(err, linux.ENOENT) {
		r.Kept = "it has gone"
		return false, nil
	}
	if linux.Is(err, linux.ENOTDIR) || linux.Is(err, linux.ELOOP) || linux.Is(err, linux.EXDEV) {
		r.Kept = "it is no directory of the parent's file system"
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot open %s: %w", r.Path(), err)
	}
	defer h.Close()
	told := false
	if r.Age, r.Size, told, err = Age(h, now, bounds.More()); err != nil {
		return false, err
	}
	if r.Age > limit && !told {
		r.Kept = "not all that is in it can be seen, and what can't may be younger"
	}
	return r.Age > limit && told, nil
}

// moveAside renames an entry that still isn't in use.
func (m *Machine) moveAside(dir *safepath.Dir, r *Result) (name string, err error) {
	random := make([]byte, 8)
	if err := linux.Random(random); err != nil {
		return "", err
	}
	name = asidePrefix + hex.EncodeToString(random)
	if r.Kind == OfUser {
		uid, err := r.lockedBy(dir)
		if err != nil {
			return "", err
		}
		locker := m.Store.Locker()
		if err := locker.BecomeMaker(uid); err != nil {
			return "", fmt.Errorf("cannot lock the instances of %s: %w", r.User, err)
		}
		defer locker.StopMaking(uid)
	}
	if err := m.refresh(r.Parent); err != nil {
		return "", err
	}
	if m.inUse(&r.Found); r.Kept != "" {
		return "", nil
	}
	if err := dir.RenameNew(r.Name, dir.Handle, name); err != nil {
		return "", fmt.Errorf("cannot rename %s: %w", r.Path(), err)
	}
	return name, nil
}

// lockedBy is the user by whose number the instance is locked. One who isn't known may be again in a moment, where the name
// service was away: the owner is the user then, by all that can be told.
func (r *Result) lockedBy(dir *safepath.Dir) (uid uint32, err error) {
	if r.Known {
		return r.UID, nil
	}
	h, err := dir.OpenAt(r.Name, linux.LookAtDirectory, true)
	if err != nil {
		return 0, fmt.Errorf("cannot open %s: %w", r.Path(), err)
	}
	defer h.Close()
	st, err := h.Stat()
	return st.UID, err
}

func (r *Result) remove(dir *safepath.Dir, name string) error {
	h, err := dir.OpenAt(name, linux.LookAtDirectory, true)
	if err != nil {
		return fmt.Errorf("cannot remove %s/%s: %w", dir.Resolved, name, err)
	}
	st, err := h.Stat()
	h.Close()
	if err != nil {
		return fmt.Errorf("cannot remove %s/%s: %w", dir.Resolved, name, err)
	}
	err = safepath.RemoveTree(dir.Handle, name, st.SameFile, func() bool { return true })
	r.Removed = err == nil
	return err
}
