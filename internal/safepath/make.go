package safepath

import (
	"errors"

	"gons/internal/linux"
)

// MakeDirectory makes an empty directory of root's with mode 0700 in parent and opens it to be given its owner and mode.
// In a parent that a user can write to it may be exchanged for another one between the two. What the user could gain by
// that is an empty directory of root's; anything else is refused.
func MakeDirectory(parent *linux.Handle, name string) (*linux.Handle, error) {
	if err := parent.Mkdir(name, 0o700); err != nil {
		return nil, err
	}
	h, err := openNew(parent, name)
	if err != nil {
		parent.Rmdir(name)
		return nil, err
	}
	return h, nil
}

func openNew(parent *linux.Handle, name string) (*linux.Handle, error) {
	h, err := parent.OpenAt(name, linux.ReadDirectory, true)
	if err != nil {
		return nil, err
	}
	if err := checkNew(h); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func checkNew(h *linux.Handle) error {
	st, err := h.Stat()
	if err != nil {
		return err
	}
	names, err := h.Names(1)
	if err == nil && (st.UID != 0 || st.Mode&0o777 != 0o700 || len(names) > 0) {
		err = errors.New("it was exchanged for another directory while it was made")
	}
	return err
}
