package safepath

import (
	"errors"
	"fmt"
	"time"

	"gons/internal/linux"
)

// Usage is what a tree takes.
type Usage struct {
	// Bytes is the space on disk, a file with several names counted once; Entries counts files, directories and all else
	// below the top.
	Bytes   uint64
	Entries int
	// Newest is when something in it, or the top itself, was last changed (linux.Extent).
	Newest time.Time
	// Whole says that all of it was seen. Otherwise the numbers are at least that much.
	Whole bool
}

// Measure walks the tree below dir, which must be open for listing, as RemoveTree would: on handles, following no link and
// entering no other mount. It stops where more says so, and leaves out what lies deeper than 64 directories, can't be
// looked at, or is one of more than a million files with several names; then the Usage isn't Whole.
func Measure(dir *linux.Handle, more func() bool) (Usage, error) {
	m := &measurer{more: more, seen: map[file]bool{}, usage: Usage{Whole: true}}
	top, err := dir.Extent()
	if err != nil {
		return Usage{}, fmt.Errorf("cannot look at %s: %w", dir.Path(), err)
	}
	m.add(top)
	m.below(dir, 0)
	return m.usage, nil
}

type measurer struct {
	more  func() bool
	usage Usage
	seen  map[file]bool // those with several names
}

// file is the identity of one.
type file struct{ dev, ino uint64 }

// maxSeen bounds the files with several names that are remembered: a user can have any number.
const maxSeen = 1 << 20

func (m *measurer) add(e linux.Extent) {
	if e.Changed.After(m.usage.Newest) {
		m.usage.Newest = e.Changed
	}
	if e.Type != linux.TypeDirectory && e.Nlink > 1 {
		key := file{e.Dev, e.Ino}
		if m.seen[key] {
			return
		}
		if len(m.seen) >= maxSeen {
			m.usage.Whole = false
			return
		}
		m.seen[key] = true
	}
	m.usage.Bytes += e.Bytes
}

func (m *measurer) below(dir *linux.Handle, depth int) {
	for {
		names, err := dir.Names(removeBatch)
		if err != nil && !linux.Is(err, linux.ENOENT) {
			m.usage.Whole = false
		}
		if err != nil || len(names) == 0 {
			return
		}
		for _, name := range names {
			if !m.more() {
				m.usage.Whole = false
				return
			}
			m.entry(dir, name, depth)
		}
	}
}

// errTooDeep says that a tree is deeper than handles are held.
var errTooDeep = errors.New("too deep")

// entry counts one name and all below it. What has gone meanwhile, and what another mount covers, isn't the tree's.
func (m *measurer) entry(dir *linux.Handle, name string, depth int) {
	h, err := dir.OpenAt(name, linux.LookAt, true)
	if linux.Is(err, linux.ENOENT) || linux.Is(err, linux.EXDEV) {
		return
	}
	if err != nil {
		m.usage.Whole = false
		return
	}
	e, err := h.Extent()
	h.Close()
	if err != nil {
		m.usage.Whole = false
		return
	}
	m.usage.Entries++
	m.add(e)
	if e.Type == linux.TypeDirectory {
		m.directory(dir, name, depth)
	}
}

func (m *measurer) directory(dir *linux.Handle, name string, depth int) {
	err := errTooDeep
	if depth < removeDepth {
		var sub *linux.Handle
		if sub, err = dir.OpenAt(name, linux.ReadDirectory, true); err == nil {
			m.below(sub, depth+1)
			sub.Close()
		}
	}
	if err != nil && !linux.Is(err, linux.ENOENT) && !linux.Is(err, linux.EXDEV) {
		m.usage.Whole = false
	}
}
