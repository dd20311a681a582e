// Package safepath resolves absolute paths to handles where a hostile user may own any part of them.
//
// A user who can write to a directory of the path, from inside or outside of the session's namespace, can exchange its
// entries between any two system calls (CVE-2025-6020). So a path is walked once, one component at a time, and what
// comes out is a handle; nobody looks the path up again. Symbolic links are followed only while nothing up to them, the
// link included, is in the hands of anyone but root.
package safepath

import (
	"errors"
	"fmt"
	"strings"

	"gons/internal/linux"
)

const (
	maxLinks = 40  // as the kernel (path_resolution(7))
	maxDepth = 250 // handles held during a walk; RLIMIT_NOFILE may be 1024
)

// Root is the directory that absolute paths start from: a host's root, in the namespace it was opened in.
type Root struct{ handle *linux.Handle }

// OpenRoot returns the calling thread's root.
func OpenRoot() (*Root, error) {
	h, err := linux.OpenRoot()
	if err != nil {
		return nil, fmt.Errorf("cannot open /: %w", err)
	}
	return &Root{h}, nil
}

// NewRoot takes over the handle of a directory.
func NewRoot(h *linux.Handle) *Root { return &Root{h} }

// Close closes the root's handle.
func (r *Root) Close() error { return r.handle.Close() }

// Dir is a directory that a walk ended at.
type Dir struct {
	// Handle is the directory, opened to look at (O_PATH), in the mount on top.
	*linux.Handle
	// Stat is what it was when the walk came by.
	Stat linux.Stat
	// Resolved is the path it was reached by, with no symbolic link.
	Resolved string
	// Trusted says that every directory above is root's, and not writable by others unless it is sticky: nobody can
	// rename or remove what root has put there. In a sticky directory another user may still have been first.
	Trusted bool
	// PlacedByRoot says that only root can have put the directory there: no directory above is writable by others.
	PlacedByRoot bool
	// Mount is the root of the mount that Handle is on, or nil when that lies above the Root.
	Mount *linux.Handle
}

// Close closes the handles of d.
func (d *Dir) Close() error {
	if d == nil {
		return nil
	}
	return errors.Join(d.Handle.Close(), d.Mount.Close())
}

// OnlyRoots reports whether nobody but root can change what is in d, or the way to it.
func (d *Dir) OnlyRoots() bool { return d.Trusted && d.Stat.UID == 0 && d.Stat.Mode&0o022 == 0 }

// IsMountRoot reports whether something is mounted at d.
func (d *Dir) IsMountRoot() bool {
	if d.Mount == nil {
		return false
	}
	root, err := d.Mount.Stat()
	return err == nil && root.SameFile(d.Stat) && root.MountID == d.Stat.MountID
}

// node is a directory on the way down. entriesTrusted says that what root has put in it is as root left it, entriesRoots
// that nobody else can put anything there.
type node struct {
	handle         *linux.Handle
	stat           linux.Stat
	path           string
	entriesTrusted bool
	entriesRoots   bool
}

// walk is the state of one resolution: the way from the root down, and what is still to go.
type walk struct {
	path  string // as asked for
	nodes []node
	todo  []string
	links int
}

// Open resolves an absolute path to a directory. "." and ".." are errors in path; in the target of a trusted symbolic
// link they are resolved. Anything but a directory is an error that says what it is and never blocks.
func (r *Root) Open(path string) (*Dir, error) {
	w, err := r.start(path)
	if err != nil {
		return nil, err
	}
	defer w.close()
	for len(w.todo) > 0 {
		if err := w.step(); err != nil {
			return nil, err
		}
	}
	return w.dir()
}

func (r *Root) start(path string) (*walk, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("cannot open %q: it is not an absolute path", path)
	}
	w := &walk{path: path}
	for _, name := range split(path) {
		if name == ".." || name == "." {
			return nil, fmt.Errorf("cannot open %s: %q in a path is not allowed", path, name)
		}
		w.todo = append(w.todo, name)
	}
	h, err := r.handle.Dup()
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	return w, w.push(h.Named("/"), "/", node{entriesTrusted: true, entriesRoots: true})
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

func (w *walk) top() *node { return &w.nodes[len(w.nodes)-1] }

func (w *walk) close() {
	for _, n := range w.nodes {
		n.handle.Close()
	}
}

// push adds a directory to the way, below parent.
func (w *walk) push(h *linux.Handle, path string, parent node) error {
	st, err := h.Stat()
	if err != nil {
		h.Close()
		return fmt.Errorf("cannot look at %s: %w", path, err)
	}
	writable := st.UID != 0 || st.Mode&0o022 != 0
	w.nodes = append(w.nodes, node{h, st, path, parent.entriesTrusted && rootsAlone(st), parent.entriesRoots && !writable})
	return nil
}

// rootsAlone reports whether only root can rename or remove what root has put in a directory. Group-writable counts as
// writable whatever the group; an ACL that grants writing shows in the group bits.
func rootsAlone(st linux.Stat) bool {
	const sticky = 0o1000
	return st.UID == 0 && (st.Mode&0o022 == 0 || st.Mode&sticky != 0)
}

func (w *walk) step() error {
	name := w.todo[0]
	w.todo = w.todo[1:]
	if name == ".." { // from a link's target
		if len(w.nodes) > 1 {
			w.top().handle.Close()
			w.nodes = w.nodes[:len(w.nodes)-1]
		}
		return nil
	}
	if len(w.nodes) > maxDepth {
		return fmt.Errorf("cannot open %s: more than %d directories deep", w.path, maxDepth)
	}
	at := w.top()
	path := strings.TrimSuffix(at.path, "/") + "/" + name
	h, err := at.handle.OpenAt(name, linux.LookAtDirectory, false)
	if err == nil {
		return w.push(h, path, *at)
	}
	if linux.Is(err, linux.ENOTDIR) || linux.Is(err, linux.ELOOP) {
		return w.other(at, name, path)
	}
	return fmt.Errorf("cannot open %s: %w", path, err)
}

// other follows a symbolic link that may be followed, and refuses all else that isn't a directory.
func (w *walk) other(at *node, name, path string) error {
	h, err := at.handle.OpenAt(name, linux.LookAt, false)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", path, err)
	}
	defer h.Close()
	st, err := h.Stat()
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", path, err)
	}
	if st.Type == linux.TypeDirectory { // it was exchanged since; whoever can do that gets an error, not a retry
		return fmt.Errorf("cannot open %s: it changed while it was opened", path)
	}
	if st.Type != linux.TypeSymlink {
		return &NotDirectoryError{Path: path, Type: st.Type}
	}
	if !at.entriesTrusted || st.UID != 0 {
		return fmt.Errorf("cannot follow the symbolic link %s: others than root can change it or the way to it", path)
	}
	return w.follow(h, path)
}

func (w *walk) follow(link *linux.Handle, path string) error {
	if w.links++; w.links > maxLinks {
		return fmt.Errorf("cannot open %s: more than %d symbolic links", w.path, maxLinks)
	}
	target, err := link.Readlink()
	if err != nil {
		return fmt.Errorf("cannot read the symbolic link %s: %w", path, err)
	}
	var names []string
	for _, name := range split(target) {
		if name != "." {
			names = append(names, name)
		}
	}
	w.todo = append(names, w.todo...)
	if strings.HasPrefix(target, "/") {
		for _, n := range w.nodes[1:] {
			n.handle.Close()
		}
		w.nodes = w.nodes[:1]
	}
	return nil
}

// dir turns the end of the way into the result, which keeps handles of its own.
func (w *walk) dir() (*Dir, error) {
	last := w.top()
	above := node{entriesTrusted: true, entriesRoots: true}
	if len(w.nodes) > 1 {
		above = w.nodes[len(w.nodes)-2]
	}
	d := &Dir{Stat: last.stat, Resolved: last.path, Trusted: above.entriesTrusted, PlacedByRoot: above.entriesRoots}
	var err error
	if d.Handle, err = last.handle.Dup(); err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", w.path, err)
	}
	if mount := w.mountRoot(); mount != nil {
		if d.Mount, err = mount.Dup(); err != nil {
			d.Close()
			return nil, fmt.Errorf("cannot open %s: %w", w.path, err)
		}
	}
	return d, nil
}

// mountRoot returns the first directory of the way that is on the last one's mount. When that is the Root itself, it
// may lie below the mount's root (a chroot); the kernel refuses such a handle where it matters.
func (w *walk) mountRoot() *linux.Handle {
	for _, n := range w.nodes {
		if n.stat.MountID == w.top().stat.MountID {
			return n.handle
		}
	}
	return nil
}

// OpenParent resolves the directory that holds path's last component, and returns both.
func (r *Root) OpenParent(path string) (*Dir, string, error) {
	path = strings.TrimRight(path, "/")
	i := strings.LastIndexByte(path, '/')
	if i < 0 || i == len(path)-1 {
		return nil, "", fmt.Errorf("cannot open the directory of %q: it is not an absolute path below /", path)
	}
	name := path[i+1:]
	if name == "." || name == ".." {
		return nil, "", fmt.Errorf("cannot open %s: %q in a path is not allowed", path, name)
	}
	d, err := r.Open("/" + path[:i])
	return d, name, err
}

// NotDirectoryError says that something else stands where a directory belongs.
type NotDirectoryError struct {
	Path string
	Type linux.Type
}

// Error names the path and what is there.
func (e *NotDirectoryError) Error() string {
	return fmt.Sprintf("cannot open %s: it is %s, not a directory", e.Path, e.Type)
}

// Is makes the error match ENOTDIR.
func (e *NotDirectoryError) Is(target error) bool { return target == error(linux.ENOTDIR) }
