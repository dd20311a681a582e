package safepath

import (
	"errors"
	"fmt"
	"io"

	"gons/internal/linux"
)

const (
	// copyDepth is how many directories deep a copy holds handles, two for each. A deeper one is done later, from the
	// top again.
	copyDepth = 32
	// copyLater is how many directories may wait for that.
	copyLater = 10000
	copyBatch = 1024
	copyBlock = 128 << 10
)

// CopyAs is what the files of a copied tree become.
type CopyAs struct {
	UID, GID uint32
	// Umask is taken from the modes.
	Umask uint32
	// Label, where it isn't nil, is called for each directory and each regular file, which is open: way leads to it from
	// the top, and nobody else can reach it yet.
	Label func(way []string, made *linux.Handle, t linux.Type) error
}

// CopyTree copies what is in the directory from, but for the directory itself, into the empty directory to, which
// nobody else may be able to reach yet. Both must be open for reading. The result is that of "cp -rT from to" with that
// umask, followed by "chown -R": symbolic links are copied as such and never followed, FIFOs and sockets are made anew,
// hard links become files of their own; of modes the sticky bit of all but regular files is kept, and neither
// set-user-ID nor set-group-ID; times, attributes and ACLs aren't copied, holes are filled. Unlike cp it refuses
// devices, stops at the first error, and has no limit to the length of paths.
func CopyTree(from, to *linux.Handle, as CopyAs) error {
	top, err := to.Stat()
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", to.Path(), err)
	}
	c := &copier{as: as, top: top, block: make([]byte, copyBlock)}
	if err := c.entries(from, to, nil, 0); err != nil {
		return err
	}
	for len(c.later) > 0 {
		way := c.later[len(c.later)-1]
		c.later = c.later[:len(c.later)-1]
		if err := c.resume(from, to, way); err != nil {
			return err
		}
	}
	return nil
}

type copier struct {
	as    CopyAs
	top   linux.Stat
	block []byte
	later [][]string // ways from the top to directories that are made but empty
}

// entries copies what is in from. way leads there from the top; depth is how many handles are held.
func (c *copier) entries(from, to *linux.Handle, way []string, depth int) error {
	for {
		names, err := from.Names(copyBatch)
		if err != nil {
			return fmt.Errorf("cannot list %s: %w", from.Path(), err)
		}
		if len(names) == 0 {
			return nil
		}
		for _, name := range names {
			if err := c.entry(from, to, append(way[:len(way):len(way)], name), depth); err != nil {
				return err
			}
		}
	}
}

func (c *copier) entry(from, to *linux.Handle, way []string, depth int) error {
	name := way[len(way)-1]
	look, err := from.OpenAt(name, linux.LookAt, false)
	if err != nil {
		return fmt.Errorf("cannot open %s/%s: %w", from.Path(), name, err)
	}
	defer look.Close()
	st, err := look.Stat()
	if err == nil {
		switch st.Type {
		case linux.TypeDirectory:
			return c.directory(from, to, way, depth)
		case linux.TypeRegular:
			err = c.file(from, to, way)
		case linux.TypeSymlink:
			err = c.link(look, to, name)
		case linux.TypeFIFO, linux.TypeSocket:
			err = c.node(to, name, st)
		default:
			err = fmt.Errorf("it is %s", st.Type)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s to %s: %w", look.Path(), to.Path(), err)
	}
	return nil
}

// directory makes a directory, and fills it now or later.
func (c *copier) directory(from, to *linux.Handle, way []string, depth int) error {
	name := way[len(way)-1]
	if err := to.Mkdir(name, 0o700); err != nil {
		return fmt.Errorf("cannot make %s/%s: %w", to.Path(), name, err)
	}
	if depth < copyDepth {
		return c.fill(from, to, way, depth+1)
	}
	if len(c.later) == copyLater {
		return fmt.Errorf("cannot copy %s/%s: more than %d directories are that deep", from.Path(), name, copyLater)
	}
	c.later = append(c.later, way)
	return nil
}

// resume fills a directory that was too deep before.
func (c *copier) resume(from, to *linux.Handle, way []string) error {
	last := len(way) - 1
	from, err := descend(from, way[:last])
	if err != nil {
		return err
	}
	defer from.Close()
	to, err = descend(to, way[:last])
	if err != nil {
		return err
	}
	defer to.Close()
	return c.fill(from, to, way, 0)
}

// descend opens the directory that way leads to.
func descend(top *linux.Handle, way []string) (*linux.Handle, error) {
	at, err := top.Dup()
	for _, name := range way {
		if err != nil {
			break
		}
		var next *linux.Handle
		next, err = at.OpenAt(name, linux.LookAtDirectory, false)
		at.Close()
		at = next
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open a directory %d below %s: %w", len(way), top.Path(), err)
	}
	return at, nil
}

// fill copies what is in a directory whose copy is made but empty, and then gives the copy its owner and mode.
func (c *copier) fill(from, to *linux.Handle, way []string, depth int) error {
	name := way[len(way)-1]
	source, err := from.OpenAt(name, linux.ReadDirectory, false)
	if err != nil {
		return fmt.Errorf("cannot open %s/%s: %w", from.Path(), name, err)
	}
	defer source.Close()
	made, err := to.OpenAt(name, linux.ReadDirectory, true)
	if err != nil {
		return fmt.Errorf("cannot open %s/%s: %w", to.Path(), name, err)
	}
	defer made.Close()
	st, err := source.Stat()
	if err == nil && st.SameFile(c.top) {
		err = errors.New("it is the directory that is copied to")
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s: %w", source.Path(), err)
	}
	if err := c.entries(source, made, way, depth); err != nil {
		return err
	}
	return c.settle(made, way, st.Mode&0o1777)
}

// settle gives a directory its owner and mode. Set-group-ID it may have from the directory that it was made in.
func (c *copier) settle(made *linux.Handle, way []string, mode uint32) error {
	err := c.label(made, way, linux.TypeDirectory)
	if err == nil {
		var st linux.Stat
		if st, err = made.Stat(); err == nil {
			err = c.own(made, mode|st.Mode&0o2000)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot finish %s: %w", made.Path(), err)
	}
	return nil
}

func (c *copier) label(made *linux.Handle, way []string, t linux.Type) error {
	if c.as.Label == nil {
		return nil
	}
	return c.as.Label(way, made, t)
}

// own sets owner and mode, in this order: chown(2) clears bits of the mode.
func (c *copier) own(made *linux.Handle, mode uint32) error {
	if err := made.Chown(c.as.UID, c.as.GID); err != nil {
		return err
	}
	return made.Chmod(mode &^ c.as.Umask)
}

func (c *copier) file(from, to *linux.Handle, way []string) error {
	name := way[len(way)-1]
	source, err := from.OpenAt(name, linux.ReadFile, false)
	if err != nil {
		return err
	}
	defer source.Close()
	st, err := source.Stat()
	if err == nil && st.Type != linux.TypeRegular {
		err = errors.New("it changed while it was opened")
	}
	if err != nil {
		return err
	}
	made, err := to.OpenAt(name, linux.CreateFile, true)
	if err != nil {
		return err
	}
	defer made.Close()
	if err := c.label(made, way, linux.TypeRegular); err != nil {
		return err
	}
	if err := c.content(source, made); err != nil {
		return err
	}
	if err := c.own(made, st.Mode&0o777); err != nil {
		return err
	}
	return made.Close() // where NFS and quotas report what didn't fit
}

func (c *copier) content(from, to *linux.Handle) error {
	for {
		n, err := from.Read(c.block)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := to.Write(c.block[:n]); err != nil {
			return err
		}
	}
}

func (c *copier) link(source, to *linux.Handle, name string) error {
	target, err := source.Readlink()
	if err != nil {
		return err
	}
	if err := to.Symlink(target, name); err != nil {
		return err
	}
	return c.chownAt(to, name)
}

func (c *copier) node(to *linux.Handle, name string, st linux.Stat) error {
	if err := to.MakeNode(name, st.Type); err != nil {
		return err
	}
	if err := c.chownAt(to, name); err != nil {
		return err
	}
	return to.ChmodAt(name, st.Mode&0o1777&^c.as.Umask)
}

func (c *copier) chownAt(to *linux.Handle, name string) error {
	made, err := to.OpenAt(name, linux.LookAt, true)
	if err != nil {
		return err
	}
	defer made.Close()
	return made.Chown(c.as.UID, c.as.GID)
}
