package polyinst

import (
	"fmt"

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
			h, err = x.makeMissingTarget(s, parent, name)
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

// makeMissingTarget labels what it makes as the policy says for the path (pam_namespace: selabel_lookup_raw).
func (x *executor) makeMissingTarget(s MakeDirectory, parent *safepath.Dir, name string) (*linux.Handle, error) {
	e := entry{mode: s.Mode, uid: s.UID, gid: s.GID}
	if x.env.Labels != nil {
		var err error
		if e.born, _, err = x.env.Labels.FileContext(s.Path, linux.TypeDirectory); err != nil {
			return nil, fmt.Errorf("cannot find the label of %s: %w", s.Path, err)
		}
	}
	return x.makeEntry(parent, name, e)
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
	tree, err := x.tmpfs(s, target)
	if err != nil {
		target.Close()
		return err
	}
	x.slots[s.Slot] = &slot{target, tree, false, s.UID, ""}
	x.instances[s.Slot] = &instance{isNew: true}
	return nil
}

func (x *executor) tmpfs(s PrepareTmpfs, target *safepath.Dir) (*linux.Handle, error) {
	attr, err := attributes(s.Options, target)
	if err != nil {
		return nil, err
	}
	tree, err := linux.NewTmpfs(s.Options.Data, attr)
	if err != nil {
		return nil, fmt.Errorf("cannot make a tmpfs for %s: %w", s.Path, err)
	}
	err = tree.MarkInstance()
	// A user namespace gives EPERM, SELinux EACCES.
	if linux.Is(err, linux.EOPNOTSUPP) || linux.Is(err, linux.EPERM) || linux.Is(err, linux.EACCES) { // then only the record tells
		err = nil
	}
	if err == nil {
		err = x.fillTmpfs(s, tree)
	}
	if err != nil {
		tree.Close()
		return nil, fmt.Errorf("cannot fill the tmpfs for %s: %w", s.Path, err)
	}
	return tree, nil
}

// fillTmpfs readies the root of a tmpfs, which is always new.
func (x *executor) fillTmpfs(s PrepareTmpfs, tree *linux.Handle) error {
	e := entry{keep: true, home: s.Home}
	if s.Restore {
		e.restore = s.Path
	}
	if !e.filled() && x.env.Labels == nil {
		return nil
	}
	root, err := tree.OpenAt(".", linux.ReadDirectory, true) // a mount's descriptor is one to look at
	if err != nil {
		return err
	}
	defer root.Close()
	return x.complete(root, e)
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
	tree, found, err := x.instanceTree(s, target)
	if err != nil {
		target.Close()
		return err
	}
	x.slots[s.Slot] = &slot{target, tree, false, s.UID, x.outside(found.handle.Path())}
	x.instances[s.Slot] = found
	return nil
}

func (x *executor) instanceTree(s PrepareDirectory, target *safepath.Dir) (*linux.Handle, *instance, error) {
	attr, err := attributes(s.Options, target)
	if err != nil {
		return nil, nil, err
	}
	found, err := x.instance(s, target)
	if err != nil {
		return nil, nil, err
	}
	tree, err := bind(found.handle, attr)
	if err != nil {
		found.close()
		return nil, nil, err
	}
	return tree, found, nil
}

// bind returns a detached mount of a directory.
func bind(dir *linux.Handle, attr linux.Attr) (*linux.Handle, error) {
	tree, err := linux.CloneTree(dir, false)
	if err != nil {
		return nil, fmt.Errorf("cannot bind %s: %w", dir.Path(), err)
	}
	if attr == 0 {
		return tree, nil
	}
	if err := linux.SetAttr(tree, attr); err != nil {
		tree.Close()
		return nil, fmt.Errorf("cannot set %s on the mount of %s: %w", attr, dir.Path(), err)
	}
	return tree, nil
}
