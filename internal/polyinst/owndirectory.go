package polyinst

import (
	"errors"
	"fmt"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/safepath"
)

// ownDirectory makes or checks a user's directory for temporary files. Programs reach it by its path for as long as they
// like, so that, unlike an instance's, nobody but root may be able to change the way to it.
func (x *executor) ownDirectory(s OwnDirectory) error {
	p := PrepareDirectory{
		Origin: s.Origin, Path: joinPath(s.Parent, s.Name), Parent: s.Parent, Name: s.Name, UID: s.UID,
		ParentMode: s.ParentMode, AnyParent: s.AnyParent,
	}
	for tries := 0; ; tries++ { // as for an instance: an empty parent may be undone
		err := x.ownDirectoryOnce(p, s)
		if err == nil || !linux.Is(err, linux.ENOENT) || tries == 3 {
			return err
		}
	}
}

func (x *executor) ownDirectoryOnce(p PrepareDirectory, s OwnDirectory) error {
	parent, err := x.instanceParent(p)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := checkOwnParent(parent); err != nil {
		return fmt.Errorf("cannot trust %s with users' directories: %w", s.Parent, err)
	}
	found, err := x.openOrMake(p, parent, s.Name, entry{mode: 0o700, uid: s.UID, gid: s.GID})
	if err != nil {
		return err
	}
	defer found.close()
	return x.checkOwn(s, found.handle)
}

// checkOwnParent wants what libpam-tmpdir wants.
func checkOwnParent(parent *safepath.Dir) error {
	switch st := parent.Stat; {
	case !parent.Trusted:
		return errors.New("others than root can change the way to it")
	case st.UID != 0:
		return fmt.Errorf("it is owned by user %d, expected root", st.UID)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("its mode is %04o, so that others can write to it", st.Mode)
	case st.Mode&0o001 == 0:
		return fmt.Errorf("its mode is %04o, so that users can't reach what is in it", st.Mode)
	}
	return nil
}

// checkOwn refuses what isn't the user's, and takes from others the right to write, which no program expects.
func (x *executor) checkOwn(s OwnDirectory, h *linux.Handle) error {
	st, err := h.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("cannot look at %s: %w", h.Path(), err)
	case st.Type != linux.TypeDirectory:
		return fmt.Errorf("cannot use %s: it is %s, not a directory", h.Path(), st.Type)
	case st.UID != s.UID:
		return fmt.Errorf("cannot use %s: it is owned by user %d, expected user %d", h.Path(), st.UID, s.UID)
	case st.Mode&0o022 == 0:
		return nil
	}
	open, err := h.OpenAt(".", linux.ReadDirectory, true)
	if err == nil {
		err = open.Chmod(0o700)
		open.Close()
	}
	if err != nil {
		return fmt.Errorf("cannot take the right to write to %s from others: %w", h.Path(), err)
	}
	x.done.notice(config.Pos{}, "%s had mode %04o, so that others could write to it; it has 0700 now", h.Path(), st.Mode)
	return nil
}
