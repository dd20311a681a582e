package session

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"gons/internal/linux"
)

// graftsName is the directory below RunDir that says what gons mount has put into sessions.
const graftsName = "grafts"

// Graft is a mount that root has put into the namespace of a session from outside.
type Graft struct {
	// ID is that of the record of the namespace: a session's, or one that sessions share.
	ID string
	// Source and Target are what was mounted where, and Dev and Ino the identity of its root.
	Source, Target Path
	Dev, Ino       uint64
	At             time.Time
	name           string
}

// Grafts returns what was put into all sessions, in no order.
func (s *Store) Grafts() ([]Graft, error) {
	shelf, err := s.grafts()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer shelf.Close()
	dir, err := shelf.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", shelf.Path(), err)
	}
	defer dir.Close()
	var out []Graft
	for {
		names, err := dir.Names(4096)
		if err != nil || len(names) == 0 {
			return out, err
		}
		for _, name := range names {
			if strings.HasSuffix(name, draftSuffix) {
				continue
			}
			g, err := shelf.graft(name)
			if err == nil {
				out = append(out, g)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return out, err
			}
		}
	}
}

func (s shelf) graft(name string) (g Graft, err error) {
	h, err := s.OpenAt(name, linux.ReadFile, false)
	if err != nil {
		return g, fmt.Errorf("cannot open %s/%s: %w", s.Path(), name, err)
	}
	defer h.Close()
	data, err := io.ReadAll(io.LimitReader(h, maxRecordSize))
	if err == nil {
		err = json.Unmarshal(data, &g)
	}
	if err != nil {
		return g, fmt.Errorf("cannot read %s/%s: %w", s.Path(), name, err)
	}
	g.name = name
	return g, nil
}

// PutGraft records a graft, which must be new, and returns it with its name.
func (s *Store) PutGraft(g Graft) (Graft, error) {
	b := make([]byte, 8)
	if err := linux.Random(b); err != nil {
		return g, err
	}
	g.name = g.ID + "." + hex.EncodeToString(b)
	data, err := json.Marshal(g)
	if err != nil {
		return g, err
	}
	if err := makeMissing(s.root, path.Join(RunDir, graftsName)); err != nil {
		return g, err
	}
	shelf, err := s.grafts()
	if err != nil {
		return g, err
	}
	defer shelf.Close()
	if err := shelf.replace(g.name, data); err != nil {
		return g, fmt.Errorf("cannot write %w", err)
	}
	return g, nil
}

// RemoveGraft removes the record of a graft. One that isn't there is no error.
func (s *Store) RemoveGraft(g Graft) error {
	shelf, err := s.grafts()
	if err != nil {
		return err
	}
	defer shelf.Close()
	if err := shelf.Unlink(g.name); err != nil && !linux.Is(err, linux.ENOENT) {
		return fmt.Errorf("cannot remove %s/%s: %w", shelf.Path(), g.name, err)
	}
	return nil
}

func (s *Store) grafts() (shelf, error) {
	dir, err := openTrusted(s.root, path.Join(RunDir, graftsName))
	if err != nil {
		return shelf{}, err
	}
	dir.Mount.Close()
	return shelf{dir.Handle}, nil
}

// removeGrafts removes what is recorded of namespaces that have no record any more: the mounts went with them.
func (s *Store) removeGrafts() error {
	grafts, err := s.Grafts()
	for _, g := range grafts {
		if _, get := s.Get(g.ID); errors.Is(get, fs.ErrNotExist) {
			err = errors.Join(err, s.RemoveGraft(g))
		}
	}
	return err
}
