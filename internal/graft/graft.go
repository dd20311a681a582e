// Package graft puts mounts into live sessions from outside, and takes them away again: in all of those that are meant, or
// in none. Which sessions there are, and the way into one, belongs to package live; what is recorded, to session.
package graft

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"gons/internal/linux"
	"gons/internal/live"
	"gons/internal/mountinfo"
	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/internal/session"
)

// Scion is what is mounted.
type Scion struct {
	// Source is a directory, or a file, in the caller's namespace; Path is its name there, for the record.
	Source *linux.Handle
	Path   string
	// Recursive takes along what is mounted below it.
	Recursive bool
	// Attributes are added to those that its mounts have.
	Attributes linux.Attr
}

// site is a session that something is put into.
type site struct {
	place  *live.Place
	record session.Record
	tree   *linux.Handle
	graft  session.Graft
	done   bool
}

// Mount puts the scion on the path target of every session. Who owns a part of the way can't lead it astray: links of
// others than root aren't followed. What is mounted below the source later arrives, what is mounted in the session stays
// there. On an error it is in none of them.
func Mount(store *session.Store, sessions []live.Session, scion Scion, target string) (err error) {
	sites, err := open(sessions)
	defer func() {
		if err != nil {
			err = errors.Join(err, undo(store, sites))
		}
		for _, s := range sites {
			s.close()
		}
	}()
	for _, s := range sites {
		if err == nil {
			err = s.prepare(store, scion, target)
		}
	}
	for _, s := range sites {
		if err == nil {
			err = s.attach(target)
		}
	}
	return err
}

// open opens the namespaces of sessions, each once.
func open(sessions []live.Session) ([]*site, error) {
	var out []*site
	for _, s := range sessions {
		id := s.ID
		if s.Of != "" {
			id = s.Of
		}
		if slices.ContainsFunc(out, func(o *site) bool { return o.graft.ID == id }) {
			continue
		}
		place, err := live.Find(s, session.Proc{})
		if err != nil {
			return out, err
		}
		out = append(out, &site{place: place, record: s.Record, graft: session.Graft{ID: id}})
	}
	return out, nil
}

func (s *site) close() {
	s.place.Close()
	s.tree.Close()
}

// prepare readies the mount, and records it: who is killed from now on leaves no mount without a record.
func (s *site) prepare(store *session.Store, scion Scion, target string) (err error) {
	if s.tree, err = linux.CloneTree(scion.Source, scion.Recursive); err != nil {
		return fmt.Errorf("cannot bind %s: %w", scion.Path, err)
	}
	if scion.Attributes != 0 {
		if err := linux.SetTreeAttr(s.tree, scion.Attributes); err != nil {
			return fmt.Errorf("cannot set %s on the mount of %s: %w", scion.Attributes, scion.Path, err)
		}
	}
	if err := linux.SetPropagation(s.tree, linux.Slave, true); err != nil {
		return fmt.Errorf("cannot make the mount of %s a slave: %w", scion.Path, err)
	}
	st, err := s.tree.Stat()
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", scion.Path, err)
	}
	if err := s.place.Inside(func(root *safepath.Root) error { return check(root, target, st.Type) }); err != nil {
		return s.in(err)
	}
	s.graft, err = store.PutGraft(session.Graft{ID: s.graft.ID, Source: session.Path(scion.Path), Target: session.Path(target), Dev: st.Dev, Ino: st.Ino, At: time.Now()})
	return err
}

func (s *site) in(err error) error {
	return fmt.Errorf("session %s of %s: %w", s.graft.ID, s.record.User, err)
}

// check reports whether a target can be mounted on.
func check(root *safepath.Root, target string, t linux.Type) error {
	dir, err := openTarget(root, target, t)
	if err == nil {
		dir.Close()
	}
	return err
}

// openTarget opens a directory, or a file where that is to be mounted.
func openTarget(root *safepath.Root, target string, t linux.Type) (*safepath.Dir, error) {
	if t == linux.TypeDirectory {
		return root.Open(target)
	}
	dir, name, err := root.OpenParent(target)
	if err != nil {
		return nil, err
	}
	h, err := dir.OpenAt(name, linux.LookAt, false)
	dir.Handle.Close()
	if err != nil {
		dir.Mount.Close()
		return nil, fmt.Errorf("cannot open %s: %w", target, err)
	}
	st, err := h.Stat()
	if err == nil && (st.Type == linux.TypeDirectory || st.Type == linux.TypeSymlink) {
		err = fmt.Errorf("cannot mount a file on %s: it is %s", target, st.Type)
	}
	out := &safepath.Dir{Handle: h, Stat: st, Resolved: path.Join(dir.Resolved, name), Mount: dir.Mount}
	if err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

func (s *site) attach(target string) error {
	table, err := s.place.Mounts()
	if err != nil {
		return s.in(err)
	}
	st, err := s.tree.Stat()
	if err != nil {
		return s.in(err)
	}
	err = s.place.Inside(func(root *safepath.Root) error {
		dir, err := openTarget(root, target, st.Type)
		if err != nil {
			return err
		}
		defer dir.Close()
		attach := func() error { return linux.Attach(s.tree, dir.Handle) }
		if passesOn(table, dir) {
			attach = func() error { return polyinst.AttachHidden(s.tree, dir) }
		}
		if err := attach(); err != nil {
			return fmt.Errorf("cannot mount on %s: %w", target, err)
		}
		s.done = true
		return nil
	})
	if err != nil {
		return s.in(err)
	}
	return nil
}

// passesOn reports whether what is mounted on a directory would appear elsewhere, too.
func passesOn(table mountinfo.Table, on *safepath.Dir) bool {
	i := slices.IndexFunc(table, func(m mountinfo.Mount) bool { return m.ID == on.Stat.MountID })
	return i < 0 || table[i].Peers != 0
}

// undo takes away what was attached of a mount that came half way.
func undo(store *session.Store, sites []*site) error {
	var errs []error
	for _, s := range sites {
		if s.done {
			if err := s.place.Inside(func(*safepath.Root) error { return detach(s.tree) }); err != nil {
				errs = append(errs, s.in(err))
				continue // the record stays with the mount
			}
		}
		if s.graft.Target != "" {
			errs = append(errs, store.RemoveGraft(s.graft))
		}
	}
	return errors.Join(errs...)
}

// detach takes a mount away. It leaves its peer group first, so that nothing mounted in it is taken away elsewhere.
func detach(tree *linux.Handle) error {
	if err := linux.SetPropagation(tree, linux.Private, true); err != nil {
		return err
	}
	return linux.DetachTree(tree)
}

// ErrNone says that nothing was put there.
var ErrNone = errors.New("gons mount has put nothing there")

// Unmount takes away from every session what Mount has put on target. On an error it has gone from none of them, unless the error
// says otherwise.
func Unmount(store *session.Store, sessions []live.Session, target string) (err error) {
	grafts, err := store.Grafts()
	if err != nil {
		return err
	}
	sites, err := open(sessions)
	defer func() {
		for _, s := range sites {
			s.close()
		}
	}()
	for _, s := range sites {
		if err == nil {
			err = s.find(grafts, target)
		}
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range sites {
		if err := s.place.Inside(func(*safepath.Root) error { return detach(s.tree) }); err != nil {
			errs = append(errs, s.in(fmt.Errorf("cannot unmount %s: %w", target, err)))
			continue
		}
		errs = append(errs, store.RemoveGraft(s.graft))
	}
	return errors.Join(errs...)
}

// find opens the mount that the last graft on target is; something else may be mounted on top of it by now.
func (s *site) find(grafts []session.Graft, target string) error {
	ours := slices.DeleteFunc(slices.Clone(grafts), func(g session.Graft) bool { return g.ID != s.graft.ID || string(g.Target) != target })
	if len(ours) == 0 {
		return s.in(fmt.Errorf("cannot unmount %s: %w", target, ErrNone))
	}
	s.graft = slices.MaxFunc(ours, func(a, b session.Graft) int { return a.At.Compare(b.At) })
	err := s.place.Inside(func(root *safepath.Root) (err error) {
		s.tree, err = openTop(root, s.graft)
		return err
	})
	if err != nil {
		return s.in(err)
	}
	return nil
}

// openTop opens the graft, which must be on top.
func openTop(root *safepath.Root, g session.Graft) (*linux.Handle, error) {
	parent, name, err := root.OpenParent(string(g.Target))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	h, err := parent.OpenAt(name, linux.LookAt, false)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", g.Target, err)
	}
	st, err := h.Stat()
	if err == nil && (st.Dev != g.Dev || st.Ino != g.Ino || st.MountID == parent.Stat.MountID) {
		err = fmt.Errorf("cannot unmount %s: something else is mounted there, or it was unmounted", g.Target)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Clean is a target as it is recorded: absolute, with no slash at its end.
func Clean(target string) (string, error) {
	if !strings.HasPrefix(target, "/") || path.Clean(target) == "/" || target != path.Clean(target) && target != path.Clean(target)+"/" {
		return "", fmt.Errorf("%q is no place to mount on: an absolute path expected, without \".\" or \"..\"", target)
	}
	return path.Clean(target), nil
}
