package polyinst

import (
	"fmt"
	"strings"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/safepath"
)

// makeDirectory makes a missing directory that is to be covered. Who owns the way to it may be the session's user, or
// another one: see makeEntry. Whatever is there already is left to the step that opens it.
func (x *executor) makeDirectory(s MakeDirectory) error {
	parent, name, err := x.env.Root.OpenParent(s.Path)
	if err != nil {
		return err
	}
	defer parent.Close()
	made := len(x.done.journal.made)
	uses, err := x.env.Locker.Use(childPath(parent, name), func() error {
		h, err := parent.OpenAt(name, linux.LookAt, false)
		if linux.Is(err, linux.ENOENT) {
			h, err = x.makeEntry(parent, name, entry{s.Mode, s.UID, s.GID})
		}
		h.Close()
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot create %s: %w", s.Path, err)
	}
	for i := range x.done.journal.made[made:] {
		x.done.journal.made[made+i].undo = func(remove func() error) error {
			return x.env.Locker.Undo(childPath(parent, name), uses, remove)
		}
	}
	return nil
}

// openOrMake opens an entry that only the user's own sessions use, or makes it as the user's maker.
func (x *executor) openOrMake(uid uint32, parent *safepath.Dir, name string, e entry) (*linux.Handle, error) {
	open := func() (h *linux.Handle, err error) {
		err = x.env.Locker.WhileNobodyMakes(uid, func() (err error) {
			h, err = parent.OpenAt(name, linux.LookAt, false)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cannot open %s: %w", childPath(parent, name), err)
		}
		return h.Named(childPath(parent, name)), nil
	}
	h, err := open()
	if !linux.Is(err, linux.ENOENT) {
		return h, err
	}
	if err := x.env.Locker.BecomeMaker(uid); err != nil {
		return nil, fmt.Errorf("cannot lock the directories of user %d: %w", uid, err)
	}
	if h, err = open(); linux.Is(err, linux.ENOENT) {
		return x.makeEntry(parent, name, e)
	}
	return h, err
}

// openTarget opens a directory that is to be covered. What a third person may have put there is refused: the instance
// would take its owner and mode, and that person could take it away under a living session.
func (x *executor) openTarget(path string, uid uint32) (*safepath.Dir, error) {
	target, err := x.env.Root.Open(path)
	if err != nil {
		return nil, err
	}
	if owner := target.Stat.UID; owner != 0 && owner != uid && !target.PlacedByRoot {
		target.Close()
		return nil, fmt.Errorf("cannot cover %s: it is owned by user %d, and others than root can have put it there", path, owner)
	}
	return target, nil
}

func (x *executor) prepareTmpfs(s PrepareTmpfs) error {
	target, err := x.openTarget(s.Path, s.UID)
	if err != nil {
		return err
	}
	attr, err := attributes(s.Options, target)
	if err == nil {
		var tree *linux.Handle
		if tree, err = linux.NewTmpfs(s.Options.Data, attr); err == nil {
			x.slots[s.Slot] = &slot{target, tree, false, s.UID}
			return nil
		}
		err = fmt.Errorf("cannot make a tmpfs for %s: %w", s.Path, err)
	}
	target.Close()
	return err
}

// attributes are those that the configuration asks for and those that the covered directory's mount has: what an
// administrator forbade on /tmp stays forbidden.
func attributes(o config.MountOptions, target *safepath.Dir) (linux.Attr, error) {
	fs, err := target.FileSystem()
	if err != nil {
		return 0, fmt.Errorf("cannot look at the file system of %s: %w", target.Resolved, err)
	}
	var attr linux.Attr
	for _, a := range []struct {
		on  bool
		bit linux.Attr
	}{{o.NoSuid || fs.NoSuid, linux.NoSuid}, {o.NoDev || fs.NoDev, linux.NoDev}, {o.NoExec || fs.NoExec, linux.NoExec}} {
		if a.on {
			attr |= a.bit
		}
	}
	return attr, nil
}

func (x *executor) prepareDirectory(s PrepareDirectory) error {
	target, err := x.openTarget(s.Path, s.UID)
	if err != nil {
		return err
	}
	tree, err := x.instanceTree(s, target)
	if err != nil {
		target.Close()
		return err
	}
	x.slots[s.Slot] = &slot{target, tree, false, s.UID}
	return nil
}

func (x *executor) instanceTree(s PrepareDirectory, target *safepath.Dir) (*linux.Handle, error) {
	attr, err := attributes(s.Options, target)
	if err != nil {
		return nil, err
	}
	instance, err := x.instance(s, target.Stat)
	if err != nil {
		return nil, err
	}
	defer instance.Close()
	tree, err := linux.CloneTree(instance, false)
	if err != nil {
		return nil, fmt.Errorf("cannot bind %s: %w", instance.Path(), err)
	}
	if attr != 0 {
		if err := linux.SetAttr(tree, attr); err != nil {
			tree.Close()
			return nil, fmt.Errorf("cannot set %s on the mount of %s: %w", attr, instance.Path(), err)
		}
	}
	return tree, nil
}

// instance opens or makes the instance. Another session's undo may remove an instance parent, which it made and which
// is empty, at any moment before something is in it; then it is made once more.
func (x *executor) instance(s PrepareDirectory, like linux.Stat) (*linux.Handle, error) {
	for tries := 0; ; tries++ {
		h, err := x.instanceOnce(s, like)
		if err == nil || !linux.Is(err, linux.ENOENT) || tries == 3 {
			return h, err
		}
	}
}

func (x *executor) instanceOnce(s PrepareDirectory, like linux.Stat) (*linux.Handle, error) {
	parent, err := x.instanceParent(s)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	made := entry{like.Mode, like.UID, like.GID}
	if s.Fresh {
		return x.makeFresh(parent, s.Name, made)
	}
	h, err := x.openOrMake(s.UID, parent, s.Name, made)
	if err == nil {
		if err = checkInstance(h, s, like.UID); err != nil {
			h.Close()
		}
	}
	return h, err
}

// checkInstance judges an instance that may have been there before. It is used as it is, since root may have made it
// otherwise on purpose, but never when it is a third person's.
func checkInstance(h *linux.Handle, s PrepareDirectory, coveredOwner uint32) error {
	st, err := h.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("cannot look at instance %s: %w", h.Path(), err)
	case st.Type != linux.TypeDirectory:
		return fmt.Errorf("cannot use instance %s: it is %s, not a directory", h.Path(), st.Type)
	case st.UID != coveredOwner && st.UID != s.UID && st.UID != 0:
		return fmt.Errorf("cannot use instance %s: it is owned by user %d, who is neither the session's user nor the owner of %s",
			h.Path(), st.UID, s.Path)
	}
	return nil
}

// instanceParent opens the directory that holds instances, makes it where it is missing, and checks that nobody but
// root can see into it or put anything there.
func (x *executor) instanceParent(s PrepareDirectory) (*safepath.Dir, error) {
	parent, err := x.env.Root.Open(s.Parent)
	if linux.Is(err, linux.ENOENT) {
		parent, err = x.makeInstanceParent(s.Parent)
	}
	if err != nil {
		return nil, err
	}
	if s.AnyParent {
		return parent, nil
	}
	if err := CheckInstanceParent(parent.Stat); err != nil {
		parent.Close()
		return nil, fmt.Errorf("cannot trust instance parent %s: %w", s.Parent, err)
	}
	return parent, nil
}

// CheckInstanceParent returns what is wrong with an instance parent, or nil: it must be root's, and its mode 000 but for
// the bits beyond rwx (namespace.conf(5)).
func CheckInstanceParent(st linux.Stat) error {
	if st.UID != 0 {
		return fmt.Errorf("it is owned by user %d, expected root", st.UID)
	}
	if st.Mode&0o777 != 0 {
		return fmt.Errorf("its mode is %04o, expected 0000", st.Mode)
	}
	return nil
}

func (x *executor) makeInstanceParent(path string) (*safepath.Dir, error) {
	above, name, err := x.env.Root.OpenParent(path)
	if err != nil {
		return nil, err
	}
	defer above.Close()
	if err := x.intend(above, name, false); err != nil { // empty ones are removed after a crash; others put up with that
		return nil, err
	}
	h, err := x.makeEntry(above, name, entry{0, 0, 0})
	if err != nil && !linux.Is(err, linux.EEXIST) {
		return nil, err
	}
	h.Close()
	return x.env.Root.Open(path)
}

// entry is how a directory is to be made.
type entry struct{ mode, uid, gid uint32 }

// makeEntry makes a directory under a name of its own, finishes it, and only then gives it its name: nobody, and no
// crash, meets it half made. Where another session was quicker its directory is opened instead.
func (x *executor) makeEntry(parent *safepath.Dir, name string, e entry) (*linux.Handle, error) {
	draft := ".gons-" + x.env.SessionID + "-" + name
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
		if err = x.remember(parent, name, h); err == nil {
			return h.Named(path), nil
		}
		parent.Rmdir(name)
	}
	h.Close()
	parent.Rmdir(draft)
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
	if !linux.Is(err, linux.EINVAL) || !parent.Trusted || CheckInstanceParent(parent.Stat) != nil {
		return err
	}
	h, lookErr := parent.OpenAt(name, linux.LookAt, false)
	if linux.Is(lookErr, linux.ENOENT) {
		return parent.RenameOver(draft, name)
	}
	h.Close()
	return err
}

// makeFresh makes a directory with a new name, the template's last six characters chosen at random.
func (x *executor) makeFresh(parent *safepath.Dir, template string, e entry) (*linux.Handle, error) {
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
			if err = x.remember(parent, name, h); err == nil {
				return h.Named(childPath(parent, name)), x.freshMade(parent, name, h)
			}
			h.Close()
			parent.Rmdir(name)
		}
		return nil, fmt.Errorf("cannot make %s: %w", childPath(parent, name), err)
	}
}

// freshMade notes a directory for the end of the session.
func (x *executor) freshMade(parent *safepath.Dir, name string, h *linux.Handle) error {
	st, err := h.Stat()
	if err == nil {
		x.done.fresh = append(x.done.fresh, Leftover{parent.Resolved, parent.Stat.Dev, parent.Stat.Ino, name, true, st.Dev, st.Ino})
	}
	return err
}

// makeFinished makes a directory and gives it its owner and mode.
func (x *executor) makeFinished(parent *safepath.Dir, name string, e entry) (*linux.Handle, error) {
	h, err := safepath.MakeDirectory(parent.Handle, name)
	if err != nil {
		return nil, err
	}
	if err := finish(h, e); err != nil {
		h.Close()
		parent.Rmdir(name)
		return nil, err
	}
	return h, nil
}

// remember journals what was made.
func (x *executor) remember(parent *safepath.Dir, name string, h *linux.Handle) error {
	st, err := h.Stat()
	if err == nil {
		err = x.done.journal.record(parent.Handle, name, st)
	}
	return err
}

// intend records what is about to be made, so that a killed worker's can be found.
func (x *executor) intend(parent *safepath.Dir, name string, tree bool) error {
	return x.env.Intend(Leftover{Parent: parent.Resolved, ParentDev: parent.Stat.Dev, ParentIno: parent.Stat.Ino, Name: name, Tree: tree})
}

// finish gives a new directory its owner, group and mode; the mode comes last because a change of owner clears bits.
func finish(h *linux.Handle, e entry) error {
	if err := h.Chown(e.uid, e.gid); err != nil {
		return err
	}
	return h.Chmod(e.mode)
}

func childPath(dir *safepath.Dir, name string) string {
	return strings.TrimSuffix(dir.Resolved, "/") + "/" + name
}
