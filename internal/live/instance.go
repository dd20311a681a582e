package live

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gons/internal/linux"
	"gons/internal/mountinfo"
	"gons/internal/safepath"
	"gons/internal/session"
)

// Kind is what an instance is.
type Kind string

// The kinds of instances.
const (
	Tmpfs     Kind = "tmpfs"
	Directory Kind = "directory"
	Missing   Kind = "missing" // it was unmounted since
)

// Instance is a directory that a session covers, and what covers it.
type Instance struct {
	Path string
	Kind Kind
	// Shows is what is mounted there (mountinfo.Mount.Shows), and Options the mount's.
	Shows, Options string
	// Hidden says that something else is mounted on top of it.
	Hidden bool
	// Identity is the instance's own.
	Identity session.Instance
}

// Instances finds a session's instances in its mount table.
func Instances(r session.Record, t mountinfo.Table) []Instance {
	var out []Instance
	for i, path := range r.Covered {
		in := Instance{Path: string(path), Kind: Missing}
		if i < len(r.Instances) {
			in.Identity = r.Instances[i]
		}
		if m, ok := covering(t, in); ok {
			in.Kind, in.Shows, in.Options = Directory, m.Shows(), m.Options
			if m.FileSystem == "tmpfs" && m.Root == "/" {
				in.Kind = Tmpfs
			}
			in.Hidden = !t.Visible(m)
		}
		out = append(out, in)
	}
	return out
}

// covering is the instance's mount: of those at the path the one with its device. Btrfs gives files another device than the
// mount, so there it is the top one.
func covering(t mountinfo.Table, in Instance) (mountinfo.Mount, bool) {
	there := func(m mountinfo.Mount) bool { return m.Point == in.Path }
	ours := func(m mountinfo.Mount) bool { return there(m) && m.Device == linux.DeviceName(in.Identity.Dev) }
	if i := slices.IndexFunc(t, ours); i >= 0 {
		return t[i], true
	}
	m, ok := t.At(in.Path)
	return m, ok && there(m) && m.FileSystem == "btrfs"
}

// Size is what an instance takes.
type Size struct {
	Bytes uint64 `json:"bytes"`
	// Limit is the size of the tmpfs; 0 for none.
	Limit uint64 `json:"limit,omitempty"`
	// AtLeast says that counting took too long, or that not all could be counted.
	AtLeast bool `json:"at_least,omitempty"`
	// Entries are the files and directories in it; not counted for a tmpfs.
	Entries int `json:"entries,omitempty"`
}

// Bounds limit how much is looked at: a user can have any number of files.
type Bounds struct {
	Entries int
	Time    time.Duration
}

// More returns the function that says whether the bounds are still kept; from now on, for all that ask it together.
func (b Bounds) More() func() bool {
	n, end := 0, time.Now().Add(b.Time)
	return func() bool {
		n++
		return n <= b.Entries && (n%64 != 0 || time.Now().Before(end))
	}
}

// ErrHidden says that an instance can't be reached, since something else is mounted on top of it.
var ErrHidden = errors.New("something else is mounted on it")

// ErrNoAnswer says that a file system didn't answer in time.
var ErrNoAnswer = errors.New("a file system doesn't answer")

// Measure returns what the instances take, in their order, where that could be told. A file system that hangs costs the
// bounds' time and one thread, which ends with the program.
func Measure(place *Place, instances []Instance, b Bounds) ([]*Size, error) {
	type result struct {
		sizes []*Size
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.err = place.Inside(func(root *safepath.Root) error {
			r.sizes = measureAll(root, instances, b)
			return nil
		})
		done <- r
	}()
	select {
	case r := <-done:
		return r.sizes, r.err
	case <-time.After(b.Time + time.Second):
		return make([]*Size, len(instances)), ErrNoAnswer
	}
}

func measureAll(root *safepath.Root, instances []Instance, b Bounds) []*Size {
	out := make([]*Size, len(instances))
	more := b.More()
	for i, in := range instances {
		if in.Kind == Missing || in.Hidden {
			continue
		}
		if size, err := measure(root, in, more); err == nil {
			out[i] = &size
		}
	}
	return out
}

func measure(root *safepath.Root, in Instance, more func() bool) (Size, error) {
	dir, err := root.Open(in.Path)
	if err != nil {
		return Size{}, err
	}
	defer dir.Close()
	if dir.Stat.Dev != in.Identity.Dev || dir.Stat.Ino != in.Identity.Ino {
		return Size{}, fmt.Errorf("cannot measure %s: %w", in.Path, ErrHidden)
	}
	if in.Kind == Tmpfs {
		space, _, err := dir.Space()
		return Size{Bytes: space.Used, Limit: space.Size}, err
	}
	return MeasureDirectory(dir.Handle, more)
}

// MeasureDirectory returns what a directory takes.
func MeasureDirectory(dir *linux.Handle, more func() bool) (Size, error) {
	h, err := dir.OpenAt(".", linux.ReadDirectory, true)
	if err != nil {
		return Size{}, err
	}
	defer h.Close()
	usage, err := safepath.Measure(h, more)
	return Size{Bytes: usage.Bytes, Entries: usage.Entries, AtLeast: !usage.Whole}, err
}

// String writes the size for people: "1.5 MiB", "more than 3.0 GiB", "4.0 KiB of 1.0 GiB".
func (s Size) String() string {
	text := Bytes(s.Bytes)
	if s.AtLeast {
		text = "more than " + text
	}
	if s.Limit > 0 {
		text += " of " + Bytes(s.Limit)
	}
	return text
}

// Bytes writes a number of bytes in binary units.
func Bytes(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < 5 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit])
}
