package polyinst

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"gons/internal/linux"
	"gons/internal/safepath"
)

const (
	// maxKept bounds what is kept of one directory: each entry is a mount in every session.
	maxKept = 64
	// maxLooked bounds the names that a pattern is compared with: everybody can fill /tmp.
	maxLooked = 10000
)

// beneath is a directory that is covered by now.
type beneath struct {
	dir *safepath.Dir
	// outside is as for covering.
	outside string
	// over is the root of what covers it, which is the covering's to close.
	over *linux.Handle
}

// keep shows entries of a covered directory in what covers it. Both may be full of what a hostile user made, and change
// at any moment; so an entry is opened once on each side, looked at, and mounted by its handle. What isn't as it must be
// is left out, with a notice where it was named: nobody is to be able to deny a login by what they put into /tmp.
func (x *executor) keep(s Keep) error {
	b := x.beneath[s.Slot]
	if b == nil {
		return fmt.Errorf("internal error: nothing covers %s", s.Path)
	}
	names, err := x.keptNames(s, b)
	if err != nil {
		return err
	}
	kept := 0
	for _, name := range names {
		if kept == maxKept {
			x.done.notice(s.Pos, "of %s, no more than %d entries are kept visible", b.dir.Resolved, maxKept)
			break
		}
		done, err := x.keepEntry(s, b, name)
		if err != nil {
			return fmt.Errorf("cannot keep %s visible: %w", childPath(b.dir, name), err)
		}
		if done {
			kept++
		}
	}
	return nil
}

// keptNames are the names to look at: those that were given, and those that a pattern stands for.
func (x *executor) keptNames(s Keep, b *beneath) ([]string, error) {
	var names, patterns []string
	for _, name := range s.Names {
		if isPattern(name) {
			patterns = append(patterns, name)
		} else if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(patterns) == 0 {
		return names, nil
	}
	found, err := x.namesIn(s, b)
	for _, name := range found {
		if matchesAny(patterns, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}

func isPattern(name string) bool { return strings.ContainsAny(name, "*?") }

// matchesAny compares as glob(7) does: a leading dot must be written.
func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return err == nil && ok && (name[0] != '.' || pattern[0] == '.')
	})
}

// namesIn lists a covered directory, as far as that is bounded.
func (x *executor) namesIn(s Keep, b *beneath) ([]string, error) {
	list, err := b.dir.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", b.dir.Resolved, err)
	}
	defer list.Close()
	names, err := list.Names(maxLooked)
	if err == nil && len(names) >= maxLooked {
		x.done.notice(s.Pos, "of %s, which holds too many entries, only the first %d were compared with the patterns to keep",
			b.dir.Resolved, len(names))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", b.dir.Resolved, err)
	}
	return names, nil
}

// keepEntry shows one entry; false where it is left out.
func (x *executor) keepEntry(s Keep, b *beneath, name string) (bool, error) {
	source, st, err := x.keepable(s, b, name)
	if source == nil || err != nil {
		return false, err
	}
	defer source.Close()
	place, err := x.keptPlace(s, b, name, st)
	if err != nil {
		return false, x.leftOut(s, b, name, fmt.Errorf("in what covers %s: %w", b.dir.Resolved, err))
	}
	defer place.Close()
	tree, err := x.keptTree(s, b, source)
	if err != nil {
		return false, err
	}
	if err = attachKept(s, b, tree, place); err != nil {
		tree.Close()
		return false, x.leftOut(s, b, name, err)
	}
	outside := ""
	if b.outside != "" {
		outside = joinPath(b.outside, name)
	}
	x.done.covered = append(x.done.covered, covering{childPath(b.dir, name), tree, true, outside, nil})
	return true, nil
}

// usersDoing are errors that the user of an instance can bring about: by removing, exchanging or filling something just now.
var usersDoing = []error{linux.ENOENT, linux.EEXIST, linux.ENOTDIR, linux.ELOOP, linux.EXDEV, linux.EMLINK, linux.ENOSPC, linux.EDQUOT}

// leftOut gives an error back, unless it is the user's doing: then it is a notice.
func (x *executor) leftOut(s Keep, b *beneath, name string, err error) error {
	is := func(errno error) bool { return errors.Is(err, errno) }
	if linux.FromCall(err) && !slices.ContainsFunc(usersDoing, is) {
		return err
	}
	x.done.notice(s.Pos, "cannot keep %s visible: %v", childPath(b.dir, name), err)
	return nil
}

// keepable opens what is to be kept; nil where there is nothing, or where it can't be trusted. What is mounted on its name
// can't: the server of a user's FUSE mount may say that root owns it, or not answer at all.
func (x *executor) keepable(s Keep, b *beneath, name string) (*linux.Handle, linux.Stat, error) {
	h, err := b.dir.OpenAt(name, linux.LookAt, true)
	if linux.Is(err, linux.ENOENT) {
		return nil, linux.Stat{}, nil
	}
	var st linux.Stat
	why := "it is a mount of its own"
	if !linux.Is(err, linux.EXDEV) {
		if err != nil {
			return nil, st, err
		}
		if st, err = h.Stat(); err == nil {
			why = notKeepable(st, s.UID)
		}
		if err == nil && why == "" {
			return h, st, nil
		}
		h.Close()
		if err != nil {
			return nil, st, err
		}
	}
	if slices.Contains(s.Names, name) { // what a pattern meets is somebody else's all the time
		x.done.notice(s.Pos, "%s isn't kept visible: %s", childPath(b.dir, name), why)
	}
	return nil, st, nil
}

// notKeepable says why an entry can't be kept; "" where it can. A regular file can't: it would go on to be the old one
// when it is replaced, and couldn't be replaced in the session.
func notKeepable(st linux.Stat, uid uint32) string {
	switch {
	case st.Type != linux.TypeDirectory && st.Type != linux.TypeSocket:
		return fmt.Sprintf("it is %s, neither a directory nor a socket", st.Type)
	case st.UID != 0 && st.UID != uid:
		return fmt.Sprintf("it is owned by user %d, who is neither root nor the session's user", st.UID)
	}
	return ""
}

// keptTree is a detached copy of an entry with all that is mounted below it.
func (x *executor) keptTree(s Keep, b *beneath, source *linux.Handle) (*linux.Handle, error) {
	attr, err := attributes(s.Options, b.dir)
	if err != nil {
		return nil, err
	}
	tree, err := linux.CloneTree(source, true)
	if err != nil || attr == 0 {
		return tree, err
	}
	if err := linux.SetTreeAttr(tree, attr); err != nil {
		tree.Close()
		return nil, fmt.Errorf("cannot set %s: %w", attr, err)
	}
	return tree, nil
}

func attachKept(s Keep, b *beneath, tree, place *linux.Handle) error {
	if s.Hidden {
		return attachHidden(tree, &safepath.Dir{Handle: place, Mount: b.over})
	}
	return linux.Attach(tree, place)
}

// keptPlace opens, or makes, what an entry is mounted on. It stays in an instance that lasts: another session of the user's
// may use it, and to remove it would take that one's mount away.
func (x *executor) keptPlace(s Keep, b *beneath, name string, like linux.Stat) (*linux.Handle, error) {
	h, err := b.over.OpenAt(name, linux.LookAt, true)
	if linux.Is(err, linux.ENOENT) {
		h, err = x.makeKeptPlace(b, name, like)
	}
	if err != nil {
		return nil, err
	}
	if err = checkKeptPlace(h, name, like.Type == linux.TypeDirectory, s.UID); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func checkKeptPlace(h *linux.Handle, name string, wantDir bool, uid uint32) error {
	st, err := h.Stat()
	isDir := st.Type == linux.TypeDirectory
	switch {
	case err != nil:
		return err
	case isDir != wantDir, !isDir && st.Type != linux.TypeRegular && st.Type != linux.TypeSocket:
		return fmt.Errorf("%s is %s there", name, st.Type)
	case st.UID != 0 && st.UID != uid: // who could take it away under a living session
		return fmt.Errorf("%s is owned by user %d there", name, st.UID)
	}
	return nil
}

// makeKeptPlace makes a directory like the one that is kept, or an empty file of root's for a socket. An undo removes it.
func (x *executor) makeKeptPlace(b *beneath, name string, like linux.Stat) (*linux.Handle, error) {
	if like.Type == linux.TypeDirectory {
		st, err := b.over.Stat()
		if err != nil {
			return nil, err
		}
		over := &safepath.Dir{Handle: b.over, Stat: st, Resolved: b.dir.Resolved}
		return x.makeEntry(over, name, entry{mode: like.Mode, uid: like.UID, gid: like.GID})
	}
	h, err := b.over.OpenAt(name, linux.CreateFile, true)
	if err != nil {
		return nil, err
	}
	st, err := h.Stat()
	if err == nil {
		err = x.done.journal.record(b.over, name, st, false)
	}
	if err != nil {
		b.over.Unlink(name)
		h.Close()
		return nil, err
	}
	return h, nil
}
