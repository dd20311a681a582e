package safepath

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"gons/internal/linux"
)

// Files reads configuration below a Root. With Strict, a file is read only when it, and every directory on the way to
// it, is root's and can't be written by others: what it says is done as root. It implements config.Files.
type Files struct {
	Root   *Root
	Strict bool
}

// errMasked says that a file is a symbolic link to /dev/null.
var errMasked = errors.New("it is a symbolic link to /dev/null")

// Read returns the content of a regular file of at most max bytes. A missing file, or a missing directory on the way,
// is fs.ErrNotExist; a symbolic link to /dev/null, by which an administrator hides a file of the vendor's, is empty.
func (f Files) Read(path string, max int64) ([]byte, error) {
	h, err := f.open(path, 0)
	if errors.Is(err, errMasked) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer h.Close()
	data, err := io.ReadAll(io.LimitReader(h, max+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("cannot read %s: it is larger than %d bytes", path, max)
	}
	return data, nil
}

func (f Files) open(path string, links int) (*linux.Handle, error) {
	dir, name, err := f.Root.OpenParent(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if f.Strict && !(dir.Trusted && rootsAlone(dir.Stat)) {
		return nil, fmt.Errorf("cannot trust %s: others than root can write to %s or the way to it", path, dir.Resolved)
	}
	look, err := dir.OpenAt(name, linux.LookAt, false)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	defer look.Close()
	st, err := look.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot look at %s: %w", path, err)
	case st.Type == linux.TypeSymlink:
		return f.follow(dir, look, st, path, links)
	case st.Type != linux.TypeRegular:
		return nil, fmt.Errorf("cannot read %s: it is %s, not a regular file", path, st.Type)
	}
	return f.openRegular(dir, name, path)
}

// openRegular opens for reading and judges what was opened: the name may lead elsewhere by now.
func (f Files) openRegular(dir *Dir, name, path string) (*linux.Handle, error) {
	h, err := dir.OpenAt(name, linux.ReadFile, false)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	st, err := h.Stat()
	if err == nil && st.Type != linux.TypeRegular {
		err = fmt.Errorf("it is %s, not a regular file", st.Type)
	}
	if err == nil && f.Strict {
		err = Distrust(st)
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return h, nil
}

// Distrust returns why a configuration file isn't safe to obey, or nil.
func Distrust(st linux.Stat) error {
	if st.UID != 0 {
		return fmt.Errorf("it is owned by user %d, not by root", st.UID)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("its mode %04o lets others than root write to it", st.Mode)
	}
	return nil
}

// follow reads through a symbolic link: in the strict case only one of root's in a directory that is root's alone.
func (f Files) follow(dir *Dir, link *linux.Handle, st linux.Stat, path string, links int) (*linux.Handle, error) {
	if links >= maxLinks {
		return nil, fmt.Errorf("cannot read %s: more than %d symbolic links", path, maxLinks)
	}
	if f.Strict && st.UID != 0 {
		return nil, fmt.Errorf("cannot read %s: it is a symbolic link of user %d", path, st.UID)
	}
	target, err := link.Readlink()
	if err != nil {
		return nil, fmt.Errorf("cannot read the symbolic link %s: %w", path, err)
	}
	if target == "/dev/null" {
		return nil, fmt.Errorf("cannot read %s: %w", path, errMasked)
	}
	if !strings.HasPrefix(target, "/") {
		target = strings.TrimSuffix(dir.Resolved, "/") + "/" + target
	}
	if clean, ok := lexicalClean(target); ok {
		h, err := f.open(clean, links+1)
		if errors.Is(err, fs.ErrNotExist) { // the link is there: that is broken and not missing, and nothing to fall back from
			err = fmt.Errorf("cannot read %s: it is a symbolic link to %s, which is missing", path, clean)
		}
		return h, err
	}
	return nil, fmt.Errorf("cannot read %s: its target %s leads above /", path, target)
}

// lexicalClean removes "." and "..". It is exact only where no directory named before a ".." is a symbolic link, which
// holds for a resolved directory followed by a link's target unless that names links of its own; such a target is then
// not found, or found by its plain name, but always judged by what it is.
func lexicalClean(path string) (string, bool) {
	var out []string
	for _, name := range split(path) {
		switch {
		case name == ".":
		case name != "..":
			out = append(out, name)
		case len(out) == 0:
			return "", false
		default:
			out = out[:len(out)-1]
		}
	}
	return "/" + strings.Join(out, "/"), true
}

// List returns the names in a directory, unsorted. A missing one is fs.ErrNotExist.
func (f Files) List(path string) ([]string, error) {
	const limit = 10000
	dir, err := f.Root.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if f.Strict && !(dir.Trusted && rootsAlone(dir.Stat)) {
		return nil, fmt.Errorf("cannot trust %s: others than root can write to it or the way to it", path)
	}
	h, err := dir.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", path, err)
	}
	defer h.Close()
	names, err := h.Names(limit + 1)
	if err == nil && len(names) > limit {
		err = fmt.Errorf("it has more than %d entries", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", path, err)
	}
	return names, nil
}
