package sharedtree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"gons/internal/linux"
	"gons/internal/mountinfo"
	"gons/internal/safepath"
)

// Gather reads what Build needs to know. It changes nothing.
func Gather(root *safepath.Root, w Wanted) (Facts, error) {
	f := Facts{Resolved: map[string]string{}, Parents: map[string]ParentFact{}}
	file, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return f, fmt.Errorf("cannot read the mount table: %w", err)
	}
	defer file.Close()
	if f.Mounts, err = mountinfo.Parse(file); err != nil {
		return f, err
	}
	for _, path := range w.Private {
		if dir, err := root.Open(path); err == nil {
			f.Resolved[path] = dir.Resolved
			dir.Close()
		}
	}
	for _, want := range w.Parents {
		if f.Parents[want.Path], err = gatherParent(root, want.Path); err != nil {
			return f, err
		}
	}
	return f, nil
}

func gatherParent(root *safepath.Root, path string) (ParentFact, error) {
	dir, err := root.Open(path)
	var other *safepath.NotDirectoryError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ParentFact{Missing: true}, nil
	case errors.As(err, &other):
		return ParentFact{Stat: linux.Stat{Type: other.Type}}, nil
	case err != nil:
		return ParentFact{}, err
	}
	defer dir.Close()
	list, err := dir.OpenAt(".", linux.ReadDirectory, false)
	if linux.Is(err, linux.EACCES) { // a dry run by somebody else than root
		return ParentFact{Stat: dir.Stat}, nil
	}
	if err != nil {
		return ParentFact{}, fmt.Errorf("cannot open %s: %w", path, err)
	}
	defer list.Close()
	names, err := list.Names(1)
	if err != nil {
		return ParentFact{}, fmt.Errorf("cannot list %s: %w", path, err)
	}
	return ParentFact{Stat: dir.Stat, Empty: len(names) == 0}, nil
}

// Apply makes one change.
func Apply(root *safepath.Root, c Change) error {
	switch c := c.(type) {
	case ShareTree:
		return onMount(root, "/", nil, func(h *linux.Handle) error { return linux.SetPropagation(h, linux.Shared, true) })
	case Share:
		return onMount(root, c.Mount.Point, &c.Mount, func(h *linux.Handle) error { return linux.SetPropagation(h, linux.Shared, false) })
	case MakePrivate:
		return onMount(root, c.Mount.Point, &c.Mount, func(h *linux.Handle) error { return linux.SetPropagation(h, linux.Private, false) })
	case BindPrivate:
		return bindPrivate(root, c.Path)
	case MakeParent:
		return makeParent(root, c)
	case FixParent:
		return fixParent(root, c)
	}
	return fmt.Errorf("internal error: no way to make the change %T", c)
}

// onMount hands f the root of the mount at point, a file's mount too, after making sure that it is still the one that
// was planned for.
func onMount(root *safepath.Root, point string, planned *mountinfo.Mount, f func(*linux.Handle) error) error {
	h, err := openPoint(root, point)
	if err != nil {
		return err
	}
	defer h.Close()
	id, err := h.MountID()
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", point, err)
	}
	if planned != nil && id != planned.ID {
		return fmt.Errorf("cannot change the mount on %s: another one was mounted there meanwhile", point)
	}
	if err := f(h); err != nil {
		return fmt.Errorf("cannot change the mount on %s: %w", point, err)
	}
	return nil
}

func openPoint(root *safepath.Root, point string) (*linux.Handle, error) {
	if point == "/" {
		dir, err := root.Open("/")
		if err != nil {
			return nil, err
		}
		dir.Mount.Close()
		return dir.Handle, nil
	}
	parent, name, err := root.OpenParent(point)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	h, err := parent.OpenAt(name, linux.LookAt, false)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", point, err)
	}
	return h, nil
}

// bindPrivate binds with all that is mounted below, which would vanish from sight otherwise. The bind mount is made
// private after it is attached: what is attached to a shared mount becomes shared (mount_namespaces(7)).
func bindPrivate(root *safepath.Root, path string) error {
	dir, err := root.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	tree, err := linux.CloneTree(dir.Handle, true)
	if err != nil {
		return fmt.Errorf("cannot bind %s: %w", path, err)
	}
	defer tree.Close()
	if err := linux.Attach(tree, dir.Handle); err != nil {
		return fmt.Errorf("cannot bind %s on itself: %w", path, err)
	}
	if err := linux.SetPropagation(tree, linux.Private, false); err != nil {
		return fmt.Errorf("cannot make %s private: %w", path, err)
	}
	return nil
}

// makeParent makes an instance parent, and plain directories of root's on the way to it.
func makeParent(root *safepath.Root, c MakeParent) error {
	at := ""
	names := strings.Split(strings.Trim(c.Path, "/"), "/")
	for i, name := range names {
		mode := uint32(0o755)
		if i == len(names)-1 {
			mode = c.Mode
		}
		if err := makeMissing(root, at+"/", name, mode); err != nil {
			return err
		}
		at += "/" + name
	}
	return nil
}

func makeMissing(root *safepath.Root, dir, name string, mode uint32) error {
	parent, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	if h, err := parent.OpenAt(name, linux.LookAt, false); err == nil {
		return h.Close()
	}
	if err := makeNamed(parent.Handle, name, mode); err != nil && !linux.Is(err, linux.EEXIST) {
		return fmt.Errorf("cannot make %s%s: %w", dir, name, err)
	}
	return nil
}

// makeNamed makes a directory under another name and finishes it first: a boot that is cut short leaves none with a mode
// that the next would take for the administrator's.
func makeNamed(parent *linux.Handle, name string, mode uint32) error {
	draft := ".gons-boot-" + name
	draft = draft[:min(len(draft), 255)]
	h, err := safepath.MakeDirectory(parent, draft)
	if linux.Is(err, linux.EEXIST) { // of such a boot
		if err = parent.Rmdir(draft); err == nil {
			h, err = safepath.MakeDirectory(parent, draft)
		}
	}
	if err != nil {
		return err
	}
	defer h.Close()
	if err = h.Chmod(mode); err == nil {
		err = parent.RenameNew(draft, parent, name)
	}
	if linux.Is(err, linux.EINVAL) { // of NFS, which can't promise to replace nothing; here that is an empty directory at most
		err = parent.RenameOver(draft, name)
	}
	if err != nil {
		parent.Rmdir(draft)
	}
	return err
}

// fixParent takes an empty directory over.
func fixParent(root *safepath.Root, c FixParent) error {
	dir, err := root.Open(c.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	h, err := dir.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", c.Path, err)
	}
	defer h.Close()
	st, err := h.Stat()
	if err == nil && !st.SameFile(c.Stat) {
		err = errors.New("it was exchanged for another directory")
	}
	if err == nil {
		err = takeOver(h, st, c.Mode)
	}
	if err != nil {
		return fmt.Errorf("cannot make %s root's with mode %03o: %w", c.Path, c.Mode, err)
	}
	return nil
}

// takeOver changes the owner first, who could change the mode back otherwise, and looks last: until then something may
// have been put in.
func takeOver(h *linux.Handle, before linux.Stat, mode uint32) error {
	if err := h.Chown(0, 0); err != nil {
		return err
	}
	err := h.Chmod(mode)
	if err == nil {
		err = stillEmpty(h)
	}
	if err != nil {
		return errors.Join(err, h.Chown(before.UID, before.GID), h.Chmod(before.Mode))
	}
	return nil
}

// stillEmpty returns an error when there is something in a directory.
func stillEmpty(h *linux.Handle) error {
	names, err := h.Names(1)
	if err == nil && len(names) > 0 {
		err = errors.New("there is something in it by now; look at it and remove it")
	}
	return err
}
