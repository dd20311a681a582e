package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"gons/internal/linux"
	"gons/internal/polyinst"
	"gons/internal/safepath"
)

// RunDir is where records and locks are: a directory of root's that is empty after a boot.
const RunDir = "/run/gons"

const (
	sessionsName  = "sessions"
	lockName      = "lock"
	draftSuffix   = ".new"
	maxRecordSize = 1 << 20
)

var errTooLarge = fmt.Errorf("it is larger than %d bytes", maxRecordSize)

// Store is the directory of session records.
type Store struct {
	root      *safepath.Root
	namespace Namespace // of the caller
	sessions  shelf
	lock      *linux.Handle
}

// Open opens the records below root and makes the directory where it is missing. It fails when others than root could
// write there.
func Open(root *safepath.Root) (*Store, error) {
	for _, dir := range []string{RunDir, path.Join(RunDir, sessionsName)} {
		if err := makeMissing(root, dir); err != nil {
			return nil, err
		}
	}
	return OpenExisting(root)
}

// OpenExisting is Open for one who mustn't change anything: a missing directory is fs.ErrNotExist.
func OpenExisting(root *safepath.Root) (*Store, error) {
	run, err := openTrusted(root, RunDir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	sessions, err := openTrusted(root, path.Join(RunDir, sessionsName))
	if err != nil {
		return nil, err
	}
	sessions.Mount.Close()
	lock, err := run.OpenAt(lockName, linux.OpenOrCreateFile, false)
	if err != nil {
		sessions.Handle.Close()
		return nil, fmt.Errorf("cannot open %s/%s: %w", RunDir, lockName, err)
	}
	return &Store{root, currentNamespace(), shelf{sessions.Handle}, lock}, nil
}

func currentNamespace() Namespace {
	ns, err := linux.OpenMountNamespace()
	if err != nil {
		return Namespace{}
	}
	defer ns.Close()
	return NamespaceOf(ns)
}

// NamespaceOf names the mount namespace that h is a handle of.
func NamespaceOf(h *linux.Handle) Namespace {
	st, err := h.Stat()
	if err != nil {
		return Namespace{}
	}
	id, _ := h.NamespaceID()
	return Namespace{st.Ino, id}
}

// Namespace is the mount namespace that the store was opened in; the zero Namespace where that isn't known.
func (s *Store) Namespace() Namespace { return s.namespace }

func openTrusted(root *safepath.Root, dir string) (*safepath.Dir, error) {
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	if !d.OnlyRoots() {
		d.Close()
		return nil, fmt.Errorf("cannot trust %s: others than root can write to it or the way to it", dir)
	}
	return d, nil
}

func makeMissing(root *safepath.Root, dir string) error {
	parent, name, err := root.OpenParent(dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	if !parent.Trusted || parent.Stat.UID != 0 {
		return fmt.Errorf("cannot trust %s: others than root can change %s or the way to it", dir, parent.Resolved)
	}
	h, err := safepath.MakeDirectory(parent.Handle, name)
	if linux.Is(err, linux.EEXIST) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot make %s: %w", dir, err)
	}
	return h.Close()
}

// Close closes the store and gives up its locks.
func (s *Store) Close() {
	s.sessions.Close()
	s.lock.Close()
}

// Put writes a record, whole or not at all, replacing the one that the session has.
func (s *Store) Put(r Record) error {
	if err := checkID(r.ID); err != nil {
		return err
	}
	r.Version = recordVersion
	data, err := json.Marshal(r)
	if err == nil && len(data) > maxRecordSize {
		err = errTooLarge
	}
	if err != nil {
		return fmt.Errorf("cannot write the session record %s/%s: %w", s.sessions.Path(), r.ID, err)
	}
	if err := s.sessions.replace(r.ID, data); err != nil {
		return fmt.Errorf("cannot write the session record %w", err)
	}
	return nil
}

// shelf is a directory of files that are whole or not there.
type shelf struct{ *linux.Handle }

// replace writes a file, in place of the one that there is.
func (s shelf) replace(name string, data []byte) error {
	draft := name + draftSuffix
	if err := s.write(draft, data); err != nil {
		s.Unlink(draft)
		return fmt.Errorf("%s/%s: %w", s.Path(), draft, err)
	}
	if err := s.RenameOver(draft, name); err != nil {
		s.Unlink(draft)
		return fmt.Errorf("%s/%s: %w", s.Path(), name, err)
	}
	return nil
}

func (s shelf) write(name string, data []byte) error {
	h, err := s.OpenAt(name, linux.CreateFile, false)
	if linux.Is(err, linux.EEXIST) { // of a worker that was killed here; the id is ours alone
		if err = s.Unlink(name); err == nil {
			h, err = s.OpenAt(name, linux.CreateFile, false)
		}
	}
	if err != nil {
		return err
	}
	defer h.Close()
	_, err = h.Write(data)
	return err
}

// Get reads the record of a session; an error that matches fs.ErrNotExist when there is none.
func (s *Store) Get(id string) (Record, error) {
	if err := checkID(id); err != nil {
		return Record{}, err
	}
	h, err := s.sessions.OpenAt(id, linux.ReadFile, false)
	if err != nil {
		return Record{}, fmt.Errorf("cannot open the session record %s/%s: %w", s.sessions.Path(), id, err)
	}
	defer h.Close()
	data, err := io.ReadAll(io.LimitReader(h, maxRecordSize+1))
	if err == nil && len(data) > maxRecordSize {
		err = errTooLarge
	}
	if err == nil {
		var r Record
		if r, err = decode(data, id); err == nil {
			return r, nil
		}
	}
	return Record{}, fmt.Errorf("cannot read the session record %s/%s: %w", s.sessions.Path(), id, err)
}

// Remove removes the record of a session. One that isn't there is no error.
func (s *Store) Remove(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	err := s.sessions.Unlink(id)
	if err != nil && !linux.Is(err, linux.ENOENT) {
		return fmt.Errorf("cannot remove the session record %s/%s: %w", s.sessions.Path(), id, err)
	}
	return nil
}

// removeDrafts removes what workers left that were killed while they wrote a record; the young may belong to living ones.
func (s *Store) removeDrafts() {
	const young = 10 * time.Minute
	s.eachName(func(name string) {
		if !strings.HasSuffix(name, draftSuffix) {
			return
		}
		h, err := s.sessions.OpenAt(name, linux.LookAt, false)
		if err != nil {
			return
		}
		defer h.Close()
		if written, err := h.Modified(); err == nil && time.Since(written) > young {
			s.sessions.Unlink(name)
		}
	})
}

// List returns the ids of all records, sorted.
func (s *Store) List() ([]string, error) { return s.list("") }

func (s *Store) list(prefix string) ([]string, error) {
	var ids []string
	err := s.eachName(func(name string) {
		if strings.HasPrefix(name, prefix) && checkID(name) == nil {
			ids = append(ids, name)
		}
	})
	slices.Sort(ids)
	return ids, err
}

func (s *Store) eachName(f func(name string)) error {
	dir, err := s.sessions.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return fmt.Errorf("cannot list %s: %w", s.sessions.Path(), err)
	}
	defer dir.Close()
	for {
		names, err := dir.Names(4096)
		if err != nil {
			return fmt.Errorf("cannot list %s: %w", s.sessions.Path(), err)
		}
		if len(names) == 0 {
			return nil
		}
		for _, name := range names {
			f(name)
		}
	}
}

// Locker returns the lock of one session; it goes with the store, or with the process.
func (s *Store) Locker() polyinst.Locker { return &locker{s.lock, map[uint32]bool{}} }

// locker locks one byte of the lock file for each user: no file per user is left behind, and the kernel drops a lock
// with its holder.
type locker struct {
	file  *linux.Handle
	maker map[uint32]bool
}

// lockByte is where in the lock file the lock of a record is, beyond every user id. Two that share a byte wait for each
// other, or for another day.
func lockByte(key string) int64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return 1<<40 + int64(h.Sum64()&(1<<40-1))
}

// WhileNobodyMakes implements polyinst.Locker.
func (l *locker) WhileNobodyMakes(uid uint32, f func() error) error {
	if l.maker[uid] {
		return f()
	}
	if err := l.file.LockRange(int64(uid), false); err != nil {
		return err
	}
	return errors.Join(f(), l.file.UnlockRange(int64(uid)))
}

// BecomeMaker implements polyinst.Locker.
func (l *locker) BecomeMaker(uid uint32) error {
	if l.maker[uid] {
		return nil
	}
	err := l.file.LockRange(int64(uid), true)
	l.maker[uid] = err == nil
	return err
}

// StopMaking implements polyinst.Locker.
func (l *locker) StopMaking(uid uint32) error {
	if !l.maker[uid] {
		return nil
	}
	l.maker[uid] = false
	return l.file.UnlockRange(int64(uid))
}

// Use implements polyinst.Locker.
func (l *locker) Use(path string, f func() error) (uses uint64, err error) {
	at := pathByte(path)
	err = l.alone(at, func() error {
		if err := f(); err != nil {
			return err
		}
		if uses, err = l.file.ReadCounter(counterAt(at)); err != nil {
			return err
		}
		uses++
		return l.file.WriteCounter(counterAt(at), uses)
	})
	return uses, err
}

// Undo implements polyinst.Locker.
func (l *locker) Undo(path string, uses uint64, f func() error) error {
	at := pathByte(path)
	return l.alone(at, func() error {
		now, err := l.file.ReadCounter(counterAt(at))
		if err != nil || now != uses {
			return err
		}
		return f()
	})
}

// pathByte is where the lock of a path is, beyond those of users and records. Paths that share one share the counter, too.
func pathByte(path string) int64 { return 1<<41 + lockByte(path)%(1<<20) }

// counterAt is where in the lock file, which has holes everywhere else, the counter of a path is: one of a million, so
// that the file stays small. Paths that share one merely keep what could have been undone.
func counterAt(lock int64) int64 { return lock % (1 << 20) * 8 }

func (l *locker) alone(at int64, f func() error) error {
	if err := l.file.LockRange(at, true); err != nil {
		return err
	}
	return errors.Join(f(), l.file.UnlockRange(at))
}
