package polyinst

import (
	"fmt"

	"gons/internal/linux"
	"gons/internal/md5"
	"gons/internal/safepath"
)

// mark is an empty directory beside an instance that says that the script for a new one has not yet come to its end. It
// is made before the instance gets its name, so that whoever is killed at whatever moment leaves it behind, and the next
// session runs the script again. Sessions that come meanwhile wait for the maker's lock.
type mark struct {
	parent *linux.Handle
	name   string
}

func markName(instance string) string {
	const longest = 255
	if name := ownPrefix + "new-" + instance; len(name) <= longest {
		return name
	}
	return ownPrefix + "new-" + md5.Hex(instance)
}

func (m *mark) close() {
	if m != nil {
		m.parent.Close()
	}
}

// openMark returns the mark of an instance, nil where there is none. Only root's counts: in a parent that others can
// write to, one of theirs would have the script run again.
func openMark(parent *safepath.Dir, instance string) (*mark, error) {
	h, err := parent.OpenAt(markName(instance), linux.LookAtDirectory, true)
	if linux.Is(err, linux.ENOENT) || linux.Is(err, linux.ENOTDIR) || linux.Is(err, linux.ELOOP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", childPath(parent, markName(instance)), err)
	}
	defer h.Close()
	st, err := h.Stat()
	if err != nil || st.UID != 0 {
		return nil, err
	}
	return newMark(parent, instance)
}

func newMark(parent *safepath.Dir, instance string) (*mark, error) {
	h, err := parent.Handle.Dup()
	return &mark{h, markName(instance)}, err
}

// makeMark makes the mark of an instance that is about to be made. An undo removes it once the instance is gone.
func (x *executor) makeMark(parent *safepath.Dir, instance string) (*mark, error) {
	m, err := newMark(parent, instance)
	if err != nil {
		return nil, err
	}
	h, err := safepath.MakeDirectory(parent.Handle, m.name)
	if err != nil && !linux.Is(err, linux.EEXIST) { // one is left where only the instance was removed
		m.close()
		return nil, fmt.Errorf("cannot make %s: %w", childPath(parent, m.name), err)
	}
	if err == nil {
		err = x.remember(parent, m.name, h, false)
		h.Close()
		if err == nil {
			made := x.done.journal.last()
			kept := made.parent // the mark's own is closed before a late undo
			made.undo = func(remove func() error) error { return unlessThere(kept, instance, remove) }
			return m, nil
		}
		parent.Rmdir(m.name)
		m.close()
		return nil, err
	}
	return m, nil
}

// unlessThere runs remove where there is no such entry any more.
func unlessThere(parent *linux.Handle, name string, remove func() error) error {
	h, err := parent.OpenAt(name, linux.LookAt, false)
	if linux.Is(err, linux.ENOENT) {
		return remove()
	}
	h.Close()
	return err
}

// remove takes the mark away: the script has come to its end.
func (m *mark) remove() error {
	if m == nil {
		return nil
	}
	if err := m.parent.Rmdir(m.name); err != nil && !linux.Is(err, linux.ENOENT) {
		return fmt.Errorf("cannot remove %s: %w", m.name, err)
	}
	return nil
}
