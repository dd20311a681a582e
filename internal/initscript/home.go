package initscript

import (
	"errors"
	"fmt"
	"io/fs"

	"gons/internal/linux"
	"gons/internal/safepath"
)

// Home is what a new home directory becomes.
type Home struct {
	UID, GID uint32
	// Mode is the permission bits of the home itself (HomeMode).
	Mode uint32
	// Umask is taken from the modes of what is copied.
	Umask uint32
	// Label labels what is copied (safepath.CopyAs); nil for nothing.
	Label func(way []string, made *linux.Handle, t linux.Type) error
}

// FillHome fills an empty directory, which must be open for reading and which nobody else may be able to reach yet, as
// namespace.init fills a home: with a copy of the directory skel, "/etc/skel", all of it given to the user
// (safepath.CopyTree), the directory itself too. Where skel is missing there is nothing to copy; where others than root
// can write to it, that is an error. A set-group-ID bit of the home stays, as chmod(1) leaves it. After an error the
// home is to be removed with what is in it.
func FillHome(home *linux.Handle, root *safepath.Root, skel string, h Home) error {
	source, err := root.OpenTrustedDirectory(skel)
	if err == nil {
		defer source.Close()
		err = safepath.CopyTree(source, home, safepath.CopyAs{UID: h.UID, GID: h.GID, Umask: h.Umask, Label: h.Label})
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("cannot fill a new home: %w", err)
	}
	st, err := home.Stat()
	if err == nil {
		err = home.Chown(h.UID, h.GID)
	}
	if err == nil {
		err = home.Chmod(h.Mode | st.Mode&0o6000)
	}
	if err != nil {
		return fmt.Errorf("cannot give the new home %s to user %d: %w", home.Path(), h.UID, err)
	}
	return nil
}
