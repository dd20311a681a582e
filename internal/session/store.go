package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"path"
	"slices"

	"gons/internal/linux"
	"gons/internal/polyinst"
	"gons/internal/safepath"
)

// RunDir is where records and locks are: a directory of root's that is empty after a boot.
const RunDir = "/run/gons"

const (
	sessionsName  = "sessions"
	lockName      = "lock"
	maxRecordSize = 1 << 20
)

// Store is the directory of session records.
type Store struct {
	root     *safepath.Root
	sessions *linux.Handle
	lock     *linux.Handle
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
	return &Store{root, sessions.Handle, lock}, nil
}

func openTrusted(root *safepath.Root, dir string) (*safepath.Dir, error) {
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	if !d.Trusted || d.Stat.UID != 0 || d.Stat.Mode&0o022 != 0 {
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
	if err := parent.Mkdir(name, 0o700); err != nil && !linux.Is(err, linux.EEXIST) {
		return fmt.Errorf("cannot make %s: %w", dir, err)
	}
	return nil
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
	if err != nil {
		return err
	}
	draft := r.ID + ".new"
	if err := s.write(draft, data); err != nil {
		s.sessions.Unlink(draft)
		return fmt.Errorf("cannot write the session record %s/%s: %w", s.sessions.Path(), draft, err)
	}
	if err := s.sessions.RenameOver(draft, r.ID); err != nil {
		s.sessions.Unlink(draft)
		return fmt.Errorf("cannot write the session record %s/%s: %w", s.sessions.Path(), r.ID, err)
	}
	return nil
}

func (s *Store) write(name string, data []byte) error {
	h, err := s.sessions.OpenAt(name, linux.CreateFile, false)
	if linux.Is(err, linux.EEXIST) { // of a worker that was killed here; the id is ours alone
		if err = s.sessions.Unlink(name); err == nil {
			h, err = s.sessions.OpenAt(name, linux.CreateFile, false)
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
	data, err := io.ReadAll(io.LimitReader(h, maxRecordSize))
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

// List returns the ids of all records, sorted.
func (s *Store) List() ([]string, error) {
	dir, err := s.sessions.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", s.sessions.Path(), err)
	}
	defer dir.Close()
	var ids []string
	for {
		names, err := dir.Names(4096)
		if err != nil {
			return nil, fmt.Errorf("cannot list %s: %w", s.sessions.Path(), err)
		}
		if len(names) == 0 {
			slices.Sort(ids)
			return ids, nil
		}
		for _, name := range names {
			if checkID(name) == nil {
				ids = append(ids, name)
			}
		}
	}
}

// Locker returns the locks of one session; they go with the store, or with the process.
func (s *Store) Locker() polyinst.Locker { return &locker{s.lock, map[string]bool{}} }

// locker locks one byte of the lock file for each key: no file per key is left behind, and the kernel drops a lock with
// its holder. Two keys that share a byte wait for each other, which is slow and does no harm.
type locker struct {
	file *linux.Handle
	made map[string]bool
}

// LockByte is where in the lock file the lock of a key is.
func LockByte(key string) int64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return int64(h.Sum64() & (1<<40 - 1))
}

// WhileNobodyMakes implements polyinst.Locker.
func (l *locker) WhileNobodyMakes(key string, f func() error) error {
	if l.made[key] {
		return f()
	}
	if err := l.file.LockRange(LockByte(key), false); err != nil {
		return err
	}
	return errors.Join(f(), l.file.UnlockRange(LockByte(key)))
}

// BecomeMaker implements polyinst.Locker.
func (l *locker) BecomeMaker(key string) error {
	if l.made[key] {
		return nil
	}
	err := l.file.LockRange(LockByte(key), true)
	l.made[key] = err == nil
	return err
}
