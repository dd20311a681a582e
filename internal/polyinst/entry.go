package polyinst

import (
	"errors"
	"fmt"
	"strings"

	"gons/internal/linux"
	"gons/internal/safepath"
)

// entry is how a directory is to be made.
type entry struct {
	mode, uid, gid uint32
	// keep leaves owner and mode as they are.
	keep bool
	// label is its SELinux context; "" for what the policy gives a new directory there.
	label string
	// born is the context that it is made with, for hosts that may not change one; "" for what the policy gives.
	born string
	// restore is the path whose label it gets then, as restorecon(8) does it; "" for none.
	restore string
	// home is what is put in it.
	home Home
	// scripted says that a script is going to put something in it.
	scripted bool
	// keeps says that something may be put in it for what is kept visible to be mounted on.
	keeps bool
}

// filled reports whether something is put in it while it is a draft.
func (e entry) filled() bool { return e.home.Skeleton != "" }

// grows reports whether this session puts anything in it.
func (e entry) grows() bool { return e.filled() || e.scripted || e.keeps }

// makeEntry makes a directory under a name of its own, finishes it, and only then gives it its name: nobody, and no
// crash, meets it half made. Where another session was quicker its directory is opened instead.
func (x *executor) makeEntry(parent *safepath.Dir, name string, e entry) (*linux.Handle, error) {
	draft := ownPrefix + x.env.SessionID + "-" + name
	if len(draft) > 255 {
		draft = draft[:255]
	}
	path := childPath(parent, name)
	if err := x.intend(parent, draft, false); err != nil {
		return nil, err
	}
	h, err := x.makeFinished(parent, draft, e)
	if err != nil {
		return nil, fmt.Errorf("cannot make %s: %w", path, err)
	}
	if err = giveName(parent, draft, name); err == nil {
		if err = x.remember(parent, name, h, e.grows()); err == nil {
			x.done.journal.last().draft = draft
			return h.Named(path), nil
		}
		discard(parent, name, h, e)
	} else {
		discard(parent, draft, h, e)
	}
	h.Close()
	if !linux.Is(err, linux.EEXIST) {
		return nil, fmt.Errorf("cannot make %s: %w", path, err)
	}
	if h, err = parent.OpenAt(name, linux.LookAtDirectory, false); err != nil {
		return nil, fmt.Errorf("cannot open %s, which another process made just now: %w", path, err)
	}
	return h.Named(path), nil
}

// giveName renames a finished directory, and replaces nothing. NFS and others can't promise that (EINVAL); where only
// root can make entries, and this session is the user's maker, looking first is as good.
func giveName(parent *safepath.Dir, draft, name string) error {
	err := parent.RenameNew(draft, parent.Handle, name)
	if !linux.Is(err, linux.EINVAL) || !parent.Trusted || !rootsOnly(parent.Stat) {
		return err
	}
	h, lookErr := parent.OpenAt(name, linux.LookAt, false)
	if linux.Is(lookErr, linux.ENOENT) {
		return parent.RenameOver(draft, name)
	}
	h.Close()
	return err
}

// rootsOnly reports whether nobody but root can make entries in a directory.
func rootsOnly(st linux.Stat) bool { return st.UID == 0 && st.Mode&0o022 == 0 }

// makeFresh makes a directory with a new name, the template's last six characters chosen at random.
func (x *executor) makeFresh(parent *safepath.Dir, template string, e entry) (*instance, error) {
	for tries := 0; ; tries++ {
		suffix, err := randomSuffix()
		if err != nil {
			return nil, fmt.Errorf("cannot make %s: %w", childPath(parent, template), err)
		}
		name := strings.TrimSuffix(template, freshSuffix) + suffix
		if err := x.intend(parent, name, true); err != nil {
			return nil, err
		}
		h, err := x.makeFinished(parent, name, e)
		if linux.Is(err, linux.EEXIST) && tries < 100 {
			continue
		}
		if err == nil {
			if err = x.remember(parent, name, h, e.grows()); err == nil {
				if err = x.freshMade(parent, name, h); err == nil {
					return &instance{handle: h.Named(childPath(parent, name)), name: name, isNew: true}, nil
				}
			} else {
				discard(parent, name, h, e)
			}
			h.Close()
		}
		return nil, fmt.Errorf("cannot make %s: %w", childPath(parent, name), err)
	}
}

// freshMade notes a directory for the end of the session.
func (x *executor) freshMade(parent *safepath.Dir, name string, h *linux.Handle) error {
	l, err := x.leftover(parent, name, h)
	if err == nil && l.Parent != "" {
		x.done.fresh = append(x.done.fresh, l)
	}
	return err
}

// makeFinished makes a directory and gives it all that it is to have.
func (x *executor) makeFinished(parent *safepath.Dir, name string, e entry) (*linux.Handle, error) {
	h, err := x.bear(parent, name, e.born)
	if err != nil {
		return nil, err
	}
	if e.grows() {
		err = x.intendTree(parent, name, h)
	}
	if err == nil {
		err = x.complete(h, e)
	}
	if err != nil {
		discard(parent, name, h, e)
		h.Close()
		return nil, err
	}
	return h, nil
}

// bear makes a directory. The context is chosen for that one call: the session's record, which is written before and
// after it, isn't to get it, nor would SELinux let every host write such a record.
func (x *executor) bear(parent *safepath.Dir, name, label string) (*linux.Handle, error) {
	if label == "" {
		return safepath.MakeDirectory(parent.Handle, name)
	}
	if err := x.env.Labels.CreateAs(label); err != nil {
		return nil, err
	}
	h, err := safepath.MakeDirectory(parent.Handle, name)
	if reset := x.env.Labels.CreateAs(""); reset != nil && err == nil {
		h.Close()
		return nil, errors.Join(reset, parent.Rmdir(name))
	}
	return h, err
}

// complete labels and fills a new directory, which nobody else can reach yet, and gives it its owner, group and mode;
// the mode comes last because a change of owner clears bits.
func (x *executor) complete(h *linux.Handle, e entry) error {
	if e.label != "" {
		if err := h.SetLabel(e.label); err != nil {
			return err
		}
	}
	if e.restore != "" {
		x.restore(h, e.restore, linux.TypeDirectory)
	}
	if e.filled() {
		return x.fillHome(h, e.home)
	}
	if e.keep {
		return nil
	}
	if err := h.Chown(e.uid, e.gid); err != nil {
		return err
	}
	return h.Chmod(e.mode)
}

// discard removes a directory that came to nothing, with what this session has put in it.
func discard(parent *safepath.Dir, name string, h *linux.Handle, e entry) error {
	if !e.filled() {
		return parent.Rmdir(name)
	}
	st, err := h.Stat()
	if err != nil {
		return err
	}
	return safepath.RemoveTree(parent.Handle, name, st.SameFile, func() bool { return true })
}

// remember journals what was made. An undo takes what is in it away, too, where that is this session's work; else it
// stays while there is something in it.
func (x *executor) remember(parent *safepath.Dir, name string, h *linux.Handle, tree bool) error {
	st, err := h.Stat()
	if err == nil {
		err = x.done.journal.record(parent.Handle, name, st, tree)
	}
	return err
}

// intend records what is about to be made, so that a killed worker's can be found.
func (x *executor) intend(parent *safepath.Dir, name string, tree bool) error {
	l, err := x.leftover(parent, name, nil)
	if err != nil || l.Parent == "" {
		return err
	}
	l.Tree = tree
	return x.env.Intend(l)
}

// intendTree records a directory that something is going to be put in.
func (x *executor) intendTree(parent *safepath.Dir, name string, h *linux.Handle) error {
	l, err := x.leftover(parent, name, h)
	if err != nil || l.Parent == "" {
		return err
	}
	return x.env.Intend(l)
}

// leftover is an entry of parent, and all in it where h is the entry, as it is found when the session is over. Its Parent
// is "" where nothing will be left.
func (x *executor) leftover(parent *safepath.Dir, name string, h *linux.Handle) (Leftover, error) {
	l := Leftover{Parent: x.outside(parent.Resolved), ParentDev: parent.Stat.Dev, ParentIno: parent.Stat.Ino, Name: name}
	if h == nil {
		return l, nil
	}
	st, err := h.Stat()
	l.Tree, l.Dev, l.Ino = true, st.Dev, st.Ino
	return l, err
}

func childPath(dir *safepath.Dir, name string) string {
	return strings.TrimSuffix(dir.Resolved, "/") + "/" + name
}
