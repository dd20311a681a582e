// Package sharedtree prepares the host at boot: / recursively shared, so that mounts made on the host reach every
// session; the polyinstantiated directories private mounts of their own; instance parents that only root can look into.
//
// As in polyinst, deciding is pure: Build turns the mount table and facts into a list of changes, which is what
// gons boot --dry-run prints; apply.go makes them. What a session's own namespace looks like belongs to polyinst.
package sharedtree

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/mountinfo"
	"gons/internal/polyinst"
)

// Wanted is what the host should be like.
type Wanted struct {
	// Private are directories that should be private mounts of their own.
	Private []string
	// Parents are instance parents.
	Parents []Parent
}

// Parent is an instance parent.
type Parent struct {
	Path string
	// Mode is what it should have, and is made with; 000 but for parent_mode.
	Mode uint32
	// Any says that it is fine with whatever owner and mode it has.
	Any bool
}

// Want derives Wanted from a configuration. Directories and parents that depend on the user can't be prepared at boot
// and are left out. A configuration without directories, or none (nil), wants what the classic recipe does: /tmp private.
func Want(cfg *config.Config) Wanted {
	if cfg == nil || len(cfg.Directories) == 0 {
		return Wanted{Private: []string{"/tmp"}}
	}
	var w Wanted
	for _, d := range cfg.Directories {
		if static(d.Path) && d.Method != config.MethodEnv {
			w.Private = appendNew(w.Private, path.Clean(d.Path))
		}
		prefix := d.InstancePrefix
		if i := strings.LastIndexByte(prefix, '/'); i > 0 && static(prefix[:i]) {
			w.Parents = addParent(w.Parents, Parent{path.Clean(prefix[:i]), d.ParentMode, d.AnyParent})
		}
	}
	return w
}

// addParent adds a parent. Of two directories that share one, the more demanding decides.
func addParent(list []Parent, p Parent) []Parent {
	i := slices.IndexFunc(list, func(have Parent) bool { return have.Path == p.Path })
	if i < 0 {
		return append(list, p)
	}
	switch have := &list[i]; {
	case p.Any:
	case have.Any:
		*have = p
	default:
		have.Mode &= p.Mode
	}
	return list
}

func static(path string) bool { return strings.HasPrefix(path, "/") && !strings.Contains(path, "$") }

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// ParentFact is what stands where an instance parent belongs.
type ParentFact struct {
	Missing bool
	Stat    linux.Stat
	Empty   bool
}

// Facts are what the changes depend on beside Wanted.
type Facts struct {
	Mounts []mountinfo.Mount
	// Resolved are the paths of Wanted.Private that exist, with no symbolic links.
	Resolved map[string]string
	Parents  map[string]ParentFact
}

// Change is one thing that is done to the host. Its String says it in words.
type Change interface{ String() string }

// ShareTree makes / and all below it shared, each mount a peer group of its own.
type ShareTree struct{}

// String says it in words.
func (ShareTree) String() string { return "make / and every mount below it shared" }

// Share makes one mount shared.
type Share struct{ Mount mountinfo.Mount }

// String says it in words.
func (c Share) String() string { return "make the mount on " + c.Mount.Point + " shared" }

// BindPrivate makes a directory a mount of its own, by binding it on itself, and private.
type BindPrivate struct{ Path string }

// String says it in words.
func (c BindPrivate) String() string { return "bind " + c.Path + " on itself and make it private" }

// MakePrivate makes an existing mount private.
type MakePrivate struct{ Mount mountinfo.Mount }

// String says it in words.
func (c MakePrivate) String() string { return "make the mount on " + c.Mount.Point + " private" }

// MakeParent makes an instance parent.
type MakeParent struct {
	Path string
	Mode uint32
}

// String says it in words.
func (c MakeParent) String() string {
	return fmt.Sprintf("make the instance parent %s, root's, mode %03o", c.Path, c.Mode)
}

// FixParent gives an empty directory that is to be an instance parent to root, and its mode.
type FixParent struct {
	Path string
	Mode uint32
	Stat linux.Stat
}

// String says it in words.
func (c FixParent) String() string {
	return fmt.Sprintf("make the instance parent %s root's, mode %03o (it is user %d's, mode %04o)", c.Path, c.Mode, c.Stat.UID, c.Stat.Mode)
}

// Plan is what has to change on a host, and what can't be changed.
type Plan struct {
	Changes []Change
	// Problems are in the way of Wanted, and need an administrator.
	Problems []string
}

// Build decides what has to change. A host that is as wanted needs no changes.
func Build(w Wanted, f Facts) Plan {
	var p Plan
	private := privatePaths(w, f, &p)
	p.Changes = append(p.Changes, share(mountinfo.Table(f.Mounts), private)...)
	for _, path := range private {
		p.Changes = append(p.Changes, makePrivate(mountinfo.Table(f.Mounts), path)...)
	}
	for _, want := range w.Parents {
		parent(want, f.Parents[want.Path], &p)
	}
	return p
}

func privatePaths(w Wanted, f Facts, p *Plan) []string {
	var out []string
	for _, path := range w.Private {
		resolved, ok := f.Resolved[path]
		if !ok {
			p.Problems = append(p.Problems, fmt.Sprintf("%s can't be made private: it isn't there, or no directory", path))
			continue
		}
		out = appendNew(out, resolved)
	}
	return out
}

// share lists the mounts that have to become shared: all but the private directories and what is mounted below them.
// One recursive change where nothing stands in its way; else one by one, so that a mount that is private on purpose is
// never shared, not even for a moment.
func share(t mountinfo.Table, private []string) []Change {
	var single []Change
	excluded, shared := 0, 0
	for _, m := range t {
		switch {
		case slices.ContainsFunc(private, func(p string) bool { return isBelow(m.Point, p) }):
			excluded++
		case m.Peers != 0:
			shared++
		case t.Visible(m) && !m.Unbindable:
			single = append(single, Share{m})
		}
	}
	if len(single) > 1 && excluded == 0 && shared == 0 {
		return []Change{ShareTree{}}
	}
	return single
}

func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func makePrivate(t mountinfo.Table, path string) []Change {
	m, ok := t.At(path)
	switch {
	case !ok || m.Point != path:
		return []Change{BindPrivate{path}}
	case m.Peers != 0 || m.Master != 0:
		return []Change{MakePrivate{m}}
	}
	return nil
}

func parent(want Parent, f ParentFact, p *Plan) {
	path := want.Path
	switch {
	case want.Any && f.Missing: // it may be the file system of somebody who comes later, as LXCFS's
	case f.Missing:
		p.Changes = append(p.Changes, MakeParent{path, want.Mode})
	case f.Stat.Type != linux.TypeDirectory:
		p.Problems = append(p.Problems, fmt.Sprintf("%s can't be an instance parent: it is %s", path, f.Stat.Type))
	case want.Any || polyinst.CheckInstanceParent(f.Stat, want.Mode) == nil:
	case f.Stat.UID != 0 && !f.Empty:
		// What is in it was made by that user, who could have prepared an instance for somebody else.
		p.Problems = append(p.Problems, fmt.Sprintf("%s can't be an instance parent: it is user %d's and not empty; look at it and remove it",
			path, f.Stat.UID))
	case f.Stat.UID == 0 && f.Stat.Mode&0o1022 != 0: // for everybody to write to: it has another use, with a prefix for instances
		p.Problems = append(p.Problems, fmt.Sprintf("%s can't be an instance parent: its mode is %04o, so others use it", path, f.Stat.Mode))
	case !f.Empty: // it may be in use for something else
		p.Problems = append(p.Problems, fmt.Sprintf("%s can't be an instance parent: its mode is %04o and it is not empty; "+
			"if it holds nothing but instances, chmod %o it", path, f.Stat.Mode, want.Mode))
	default:
		p.Changes = append(p.Changes, FixParent{path, want.Mode, f.Stat})
	}
}
