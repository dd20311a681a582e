package safepath

import (
	"fmt"

	"gons/internal/linux"
)

const (
	// removeDepth is how many directories deep a removal holds handles. A deeper one is moved up first, so that a tree
	// of any depth needs no more descriptors than this.
	removeDepth = 64
	// removeBatch is how many names are read at once.
	removeBatch = 1024
)

// RemoveTree removes the directory name in parent, which must be the one that is says, with all that is in it. It follows no symbolic link and enters no
// other mount, works on handles only, and leaves alone what it can't remove: the first such error is returned after all
// else is gone. more is asked before each entry; when it says false, RemoveTree stops with ErrUnfinished, and a later
// call goes on.
func RemoveTree(parent *linux.Handle, name string, is func(linux.Stat) bool, more func() bool) error {
	r := &remover{more: more}
	top, err := parent.OpenAt(name, linux.ReadDirectory, true)
	if err != nil {
		return fmt.Errorf("cannot remove %s/%s: %w", parent.Path(), name, err)
	}
	defer top.Close()
	r.top = top
	st, err := top.Stat()
	if err == nil && !is(st) {
		err = ErrAnother
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s/%s: %w", parent.Path(), name, err)
	}
	for r.again = true; r.again && r.err != ErrUnfinished; { // once more when directories were moved up behind the reading
		r.again = false
		if err := top.Rewind(); err != nil {
			return fmt.Errorf("cannot remove %s/%s: %w", parent.Path(), name, err)
		}
		r.empty(top, 0)
	}
	if r.err != nil {
		return r.err
	}
	if err := parent.Rmdir(name); err != nil {
		return fmt.Errorf("cannot remove %s/%s: %w", parent.Path(), name, err)
	}
	return nil
}

// ErrAnother says that another directory has the name by now.
var ErrAnother = fmt.Errorf("it is another directory than before")

// ErrUnfinished says that a removal was told to stop.
var ErrUnfinished = fmt.Errorf("not finished")

type remover struct {
	top   *linux.Handle
	more  func() bool
	err   error
	again bool
	moved int
}

func (r *remover) fail(dir *linux.Handle, name string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("cannot remove %s/%s: %w", dir.Path(), name, err)
	}
}

func (r *remover) stopped() bool {
	if r.err != ErrUnfinished && !r.more() {
		r.err = ErrUnfinished
	}
	return r.err == ErrUnfinished
}

// empty removes what is in dir. What can't be removed stays and would be read for ever, so the reading starts anew only
// as long as something goes.
func (r *remover) empty(dir *linux.Handle, depth int) {
	for {
		names, err := dir.Names(removeBatch)
		if linux.Is(err, linux.ENOENT) {
			return // its owner has removed dir itself
		}
		if err != nil {
			r.fail(dir, "", err)
			return
		}
		gone := false
		for _, name := range names {
			if r.stopped() {
				return
			}
			gone = r.entry(dir, name, depth) || gone
		}
		if len(names) == 0 {
			return
		}
		if gone { // removing while reading may make a file system skip entries
			if err := dir.Rewind(); err != nil {
				r.fail(dir, "", err)
				return
			}
		}
	}
}

// entry removes one name and reports whether it is gone from dir.
func (r *remover) entry(dir *linux.Handle, name string, depth int) bool {
	err := dir.Unlink(name)
	if err == nil || linux.Is(err, linux.ENOENT) {
		return true
	}
	sub, openErr := dir.OpenAt(name, linux.ReadDirectory, true)
	if openErr != nil { // not a directory, or another mount (EXDEV)
		if linux.Is(openErr, linux.EXDEV) {
			err = openErr
		}
		r.fail(dir, name, err)
		return false
	}
	defer sub.Close()
	if depth >= removeDepth {
		return r.moveUp(dir, name)
	}
	r.empty(sub, depth+1)
	if r.err == ErrUnfinished {
		return false
	}
	if err := dir.Rmdir(name); err != nil && !linux.Is(err, linux.ENOENT) {
		r.fail(dir, name, err)
		return false
	}
	return true
}

// moveUp renames a directory that lies too deep into the top one, to be met there again.
func (r *remover) moveUp(dir *linux.Handle, name string) bool {
	for !r.stopped() {
		r.moved++
		err := dir.RenameNew(name, r.top, fmt.Sprintf(".gons-deep-%d", r.moved))
		if linux.Is(err, linux.EEXIST) {
			continue
		}
		if err != nil {
			r.fail(dir, name, err)
			return false
		}
		r.again = true
		return true
	}
	return false
}
