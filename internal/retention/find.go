package retention

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"gons/internal/linux"
	"gons/internal/live"
	"gons/internal/mountinfo"
	"gons/internal/safepath"
	"gons/internal/session"
)

// maxEntries bounds the entries of one parent that are looked at.
const maxEntries = 1_000_000

// Users tells whether there is a user of that name, and the user's number.
type Users func(name string) (uid uint32, known bool, err error)

// Found is one entry of an instance parent.
type Found struct {
	Entry
	Parent string
	// Kept says why it mustn't be removed whatever its age; "" where it may.
	Kept string
	// UID is the user's, where Known.
	UID   uint32
	Known bool
}

// Path is where it is.
func (f Found) Path() string { return strings.TrimSuffix(f.Parent, "/") + "/" + f.Name }

// Machine is what is asked about sessions and users.
type Machine struct {
	Root  *safepath.Root
	Store *session.Store
	Users Users
	// RemovedUsers lets instances go whose users the machine doesn't know any more.
	RemovedUsers bool
	// sessions, and mounted, the entries of a parent that are mounted in some namespace, are as they were when last looked at.
	sessions []live.Session
	mounted  map[string]bool
}

// refresh looks at sessions, and at mounts of what is in a parent.
func (m *Machine) refresh(parent string) error {
	sessions, failed := live.All(m.Store, session.Proc{})
	if len(failed) > 0 { // one that can't be read may be anybody's
		return errors.Join(failed...)
	}
	own, err := live.OwnMounts()
	if err != nil {
		return err
	}
	mounted, err := live.MountedIn(inFileSystem(own, parent))
	if err != nil {
		return fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	m.sessions, m.mounted = sessions, mounted
	return nil
}

// Find lists what is in a parent, and says what mustn't be removed. A missing parent holds nothing.
func (m *Machine) Find(p Parent) ([]Found, error) {
	dir, err := m.open(p.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	list, err := dir.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", p.Path, err)
	}
	defer list.Close()
	var names []string
	for len(names) < maxEntries {
		more, err := list.Names(4096)
		if err != nil {
			return nil, fmt.Errorf("cannot list %s: %w", p.Path, err)
		}
		if len(more) == 0 {
			break
		}
		names = append(names, more...)
	}
	slices.Sort(names)
	if err := m.refresh(dir.Resolved); err != nil {
		return nil, err
	}
	var out []Found
	for _, name := range names {
		f := Found{Entry: p.Classify(name), Parent: dir.Resolved}
		if f.Kind == Own {
			continue
		}
		if err := m.judge(&f); err != nil {
			return out, err
		}
		out = append(out, f)
	}
	return out, nil
}

// open opens an instance parent, in which nobody but root may be able to put anything.
func (m *Machine) open(path string) (*safepath.Dir, error) {
	dir, err := m.Root.Open(path)
	if err != nil {
		return nil, err
	}
	if !dir.OnlyRoots() {
		dir.Close()
		return nil, fmt.Errorf("cannot trust the instance parent %s: others than root can write to it or the way to it", path)
	}
	return dir, nil
}

// judge says why an entry must be kept.
func (m *Machine) judge(f *Found) error {
	switch f.Kind {
	case Other:
		f.Kept = "it is no instance of one user's that the configuration makes"
		return nil
	case OfUser:
		uid, known, err := m.Users(f.User)
		if err != nil {
			return fmt.Errorf("cannot look up the user %q: %w", f.User, err)
		}
		f.UID, f.Known = uid, known
		if !known && !m.RemovedUsers {
			f.Kept = fmt.Sprintf("this machine knows no user %q", f.User)
			return nil
		}
	}
	m.inUse(f)
	return nil
}

// inUse asks the records of sessions, and the mount tables of all processes: pam_namespace has no records, and a record may
// be lost.
func (m *Machine) inUse(f *Found) {
	for _, s := range m.sessions {
		if f.Kind == OfUser && (s.User == f.User || f.Known && s.UID == f.UID) && s.State != live.Dead {
			f.Kept = fmt.Sprintf("%s has a session", f.User)
		}
		if slices.ContainsFunc(s.Leftovers, func(l session.Leftover) bool { return string(l.Name) == f.Name }) {
			f.Kept = fmt.Sprintf("session %s has it on record", s.ID)
		}
	}
	if f.Kept == "" {
		f.Kept = m.mountedAt(f)
	}
}

// mountedAt says whether an instance, or something in it, is mounted, or has something mounted in it.
func (m *Machine) mountedAt(f *Found) string {
	own, err := live.OwnMounts()
	if err != nil {
		return "it can't be told what is mounted in it"
	}
	if m.mounted[f.Name] {
		return "it is mounted in a process's namespace"
	}
	if slices.ContainsFunc(own, func(one mountinfo.Mount) bool { return isBelow(one.Point, f.Path()) }) {
		return "something is mounted in it"
	}
	return ""
}

func isBelow(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// inFileSystem is the path in its file system of a path of the table's, as tables show roots.
func inFileSystem(table mountinfo.Table, path string) string {
	at, ok := table.At(path)
	if !ok {
		return path
	}
	below := strings.TrimPrefix(path, strings.TrimSuffix(at.Point, "/"))
	return strings.TrimSuffix(at.Root, "/") + below
}

// Age returns the time since anything in an instance was changed. It isn't told where not all could be seen.
func Age(dir *linux.Handle, now time.Time, more func() bool) (age time.Duration, size live.Size, told bool, err error) {
	usage, err := safepath.Measure(dir, more)
	size = live.Size{Bytes: usage.Bytes, Entries: usage.Entries, AtLeast: !usage.Whole}
	return now.Sub(usage.Newest), size, usage.Whole, err
}
