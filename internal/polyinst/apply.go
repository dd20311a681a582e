package polyinst

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/safepath"
)

// Env is what Apply works with. All of it belongs to the new namespace, which the calling thread must be in.
type Env struct {
	// Root is the host's root directory, as it is in the new namespace.
	Root *safepath.Root
	// SessionID makes the names of unfinished directories unique.
	SessionID string
	// Locker keeps two sessions of a user from making one instance at the same time.
	Locker Locker
	// Intend is told of everything that is about to be made and that the session's end, or a crash, must remove.
	Intend func(Leftover) error
	// Labels are SELinux's; nil where that is off.
	Labels Labels
	// Deadline is when a script is killed.
	Deadline time.Time
}

// Labels is what a session needs of SELinux.
type Labels interface {
	// Member returns the context that the policy's type_member rules give a directory for a session
	// (security_compute_member(3)).
	Member(session, directory string) (string, error)
	// FileContext returns the context that the policy has for a file at path (selabel_lookup(3)); false for none.
	FileContext(path string, t linux.Type) (string, bool, error)
	// CreateAs labels what the calling thread makes from now on; "" for what the policy gives (setfscreatecon(3)).
	CreateAs(label string) error
	// CustomizableTypes are those that restorecon(8) leaves alone.
	CustomizableTypes() ([]string, error)
}

// Locker locks what a user's sessions share and may have to undo: their instances. Who makes one is the user's maker
// until the session is open or undone; the user's other sessions use only what is finished, so that an undo takes away
// nothing that another session stands on. There is no lock across users: a user whose session hangs (a FUSE server that
// doesn't answer) would hold up everybody. What users share, the directories that create makes and shared instances, is counted
// instead; of a shared instance one session is the maker for as long as it is made and its script runs, and no longer.
type Locker interface {
	// WhileNobodyMakes runs f while no session of the user is the maker; what f opens then won't be undone any more.
	WhileNobodyMakes(uid uint32, f func() error) error
	// BecomeMaker returns once this session is the user's only maker.
	BecomeMaker(uid uint32) error
	// StopMaking says that this session isn't the maker any more, where it was.
	StopMaking(uid uint32) error
	// Use runs f, which opens or makes what the path names, while no other session does so. It returns how often that was
	// done by now.
	Use(path string, f func() error) (uses uint64, err error)
	// Undo runs f, which removes what the path names, unless somebody has used it since there were that many uses.
	Undo(path string, uses uint64, f func() error) error
}

// Leftover is something on disk that a session leaves behind when it doesn't end as it should.
type Leftover struct {
	// Parent is the directory that holds it, by path and by identity: a path may lead elsewhere later.
	Parent    string
	ParentDev uint64
	ParentIno uint64
	// Name is the entry in Parent.
	Name string
	// Tree says that all below it goes too; otherwise it is removed only while it is empty.
	Tree bool
	// Dev and Ino are the entry's own identity, which a Tree must still have; 0 before that is known.
	Dev, Ino uint64
}

// Journal is what Apply has made that outlives the namespace, in order. Mounts aren't in it: leaving the namespace
// undoes them.
type Journal struct{ made []madeDirectory }

// madeDirectory is a directory that was made, or an empty file.
type madeDirectory struct {
	parent *linux.Handle
	name   string
	stat   linux.Stat
	tree   bool                            // all that is in it is this session's, and goes with it
	draft  string                          // the name that it was made by; "" where that is name
	undo   func(remove func() error) error // decides whether it is removed; nil for always
}

// undo removes what was made, the last first. What has something in it by now, or is another directory by now, stays.
func (j *Journal) undo() error {
	var errs []error
	for i := len(j.made) - 1; i >= 0; i-- {
		remove := j.made[i].remove
		if undo := j.made[i].undo; undo != nil {
			errs = append(errs, undo(remove))
		} else {
			errs = append(errs, remove())
		}
	}
	return errors.Join(errs...)
}

// close gives up the handles and thereby the possibility to undo.
func (j *Journal) close() {
	for _, m := range j.made {
		m.parent.Close()
	}
	j.made = nil
}

func (m madeDirectory) remove() error {
	h, err := m.parent.OpenAt(m.name, linux.LookAt, false)
	if linux.Is(err, linux.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot undo: %s/%s: %w", m.parent.Path(), m.name, err)
	}
	defer h.Close()
	st, err := h.Stat()
	if err != nil || !st.SameFile(m.stat) {
		return err
	}
	if m.tree {
		return m.removeTree()
	}
	if m.stat.Type != linux.TypeDirectory { // an empty file that was made to be covered; its user may have removed it
		if err = m.parent.Unlink(m.name); linux.Is(err, linux.ENOENT) {
			return nil
		}
		return err
	}
	err = m.parent.Rmdir(m.name)
	if linux.Is(err, linux.ENOTEMPTY) || linux.Is(err, linux.ENOENT) {
		return nil
	}
	return err
}

// removeTree takes the directory's name away first: who is killed before all is gone leaves something that the record
// knows as unfinished, and that nobody takes for an instance.
func (m madeDirectory) removeTree() error {
	name := m.name
	if m.draft != "" {
		if err := m.parent.RenameOver(m.name, m.draft); err != nil {
			return fmt.Errorf("cannot undo: %s/%s: %w", m.parent.Path(), m.name, err)
		}
		name = m.draft
	}
	return safepath.RemoveTree(m.parent, name, m.stat.SameFile, func() bool { return true })
}

// last is what was recorded last.
func (j *Journal) last() *madeDirectory { return &j.made[len(j.made)-1] }

func (j *Journal) record(parent *linux.Handle, name string, st linux.Stat, tree bool) error {
	h, err := parent.Dup()
	if err == nil {
		j.made = append(j.made, madeDirectory{parent: h, name: name, stat: st, tree: tree})
	}
	return err
}

// Applied is the result of executing a plan.
type Applied struct {
	journal   *Journal
	covered   []covering
	uncovered []string
	fresh     []Leftover
	notices   []string
	unlabeled bool // that a label couldn't be restored is among them, once for all files of a home
}

// Notices are what an administrator should know of a session that was opened all the same.
func (a *Applied) Notices() []string { return a.notices }

func (a *Applied) notice(pos config.Pos, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if pos.File != "" {
		text = pos.String() + ": " + text
	}
	a.notices = append(a.notices, text)
}

// Leftovers are what the end of the session has to remove: each session's own directories.
func (a *Applied) Leftovers() []Leftover { return a.fresh }

// ErrNotUndone says that something is left on disk of a plan that failed.
var ErrNotUndone = errors.New("not all could be undone")

// covering is a directory as it is now, after something was attached to it.
type covering struct {
	path string // with no symbolic link
	tree *linux.Handle
	same bool // what is in it is what was there before (a bind of the directory on itself)
	// outside is the path of tree where nothing is covered; "" for a tmpfs, which has none.
	outside string
	// mount is the root of the mount that tree is attached to; nil for what is kept, which goes with what it is in.
	mount *linux.Handle
}

// kept reports whether it is an entry of a covered directory that stays visible.
func (c covering) kept() bool { return c.mount == nil }

func (c covering) close() {
	c.tree.Close()
	c.mount.Close()
}

// uncover takes the tree away again. Its parent leaves its peer group first: an unmount would be passed on, and take
// away what the host has at the same place.
func (c covering) uncover() error {
	if c.kept() {
		return nil
	}
	if err := linux.SetPropagation(c.mount, linux.Private, false); err != nil {
		return err
	}
	if err := linux.SetPropagation(c.tree, linux.Private, true); err != nil { // what is mounted in it has peers there, too
		return err
	}
	return linux.DetachHere(c.tree)
}

// Close closes the handles.
func (a *Applied) Close() {
	a.journal.close()
	for _, c := range a.covered {
		c.close()
	}
}

// Undo removes from disk what was made, for which it uncovers in the namespace what was covered, and closes everything.
// The namespace is of no more use then.
func (a *Applied) Undo() error {
	var errs []error
	for _, c := range slices.Backward(a.covered) { // what was made may lie below what was covered later
		errs = append(errs, c.uncover())
	}
	errs = append(errs, a.journal.undo())
	a.Close()
	return errors.Join(errs...)
}

// Covered returns the directories that were covered, in order and with no symbolic link, and what covers them. An
// identity that can't be told is 0.
func (a *Applied) Covered() []Covering {
	var out []Covering
	for _, c := range a.covered {
		if c.kept() {
			continue
		}
		st, _ := c.tree.Stat()
		out = append(out, Covering{c.path, st.Dev, st.Ino})
	}
	return out
}

// WorkingDirectory returns where a process has to go whose working directory is cwd, or nil when it can stay: a process
// below a covered directory would go on looking at what is hidden from it. cwd is "" when it has no name. The handle is
// the caller's to close.
func (a *Applied) WorkingDirectory(cwd string) (*linux.Handle, error) {
	var best *covering
	for i, c := range a.covered {
		if isBelow(cwd, c.path) { // the last one covers those before it
			best = &a.covered[i]
		}
	}
	if cwd == "" && len(a.covered)+len(a.uncovered) > 0 { // it has no name (any more), and may look at what is hidden or gone
		root, err := linux.OpenRoot()
		return root, err
	}
	if best == nil && slices.ContainsFunc(a.uncovered, func(path string) bool { return isBelow(cwd, path) }) {
		return linux.OpenRoot() // it looks at an instance that was taken away
	}
	if best == nil {
		return nil, nil
	}
	if rest := strings.TrimPrefix(cwd[len(best.path):], "/"); best.same && rest != "" {
		if dir, err := safepath.NewRoot(best.tree).Open("/" + rest); err == nil {
			h := dir.Handle
			dir.Mount.Close()
			return h, nil
		}
	}
	return best.tree.Dup()
}

// Apply executes plan on the calling thread's namespace: a new one, or the host's where the plan wants none. On an error nothing is left on disk, and the namespace must be
// given up: mounts may be attached in it already.
func Apply(plan *Plan, env Env) (*Applied, error) {
	x := &executor{env: env, done: &Applied{journal: &Journal{}}, slots: map[int]*slot{}, instances: map[int]*instance{}, beneath: map[int]*beneath{}}
	defer x.close()
	for _, s := range plan.Steps {
		if err := x.step(s); err != nil {
			if pos := s.Why(); pos.File != "" {
				err = fmt.Errorf("%s: %w", pos, err)
			}
			if undo := x.done.Undo(); undo != nil {
				err = fmt.Errorf("%w; %w: %v", err, ErrNotUndone, undo)
			}
			return nil, err
		}
	}
	return x.done, nil
}

// executor is one run of Apply.
type executor struct {
	env   Env
	done  *Applied
	slots map[int]*slot
	// instances are those that a script is to be run for.
	instances map[int]*instance
	// beneath are the directories that are covered by now.
	beneath map[int]*beneath
}

// slot is an instance that is ready to be attached.
type slot struct {
	target *safepath.Dir
	tree   *linux.Handle
	same   bool // a copy of the target itself
	uid    uint32
	// outside is as for covering.
	outside string
}

func (x *executor) close() {
	for _, s := range x.slots {
		s.target.Close()
		s.tree.Close()
	}
	for _, i := range x.instances {
		i.close()
	}
	for _, b := range x.beneath {
		b.dir.Handle.Close()
	}
}

func (x *executor) step(s Step) error {
	switch s := s.(type) {
	case Propagate:
		return x.propagate(s)
	case PrepareHome:
		return x.prepareHome(s)
	case Uncover:
		return x.uncover(s)
	case MakeDirectory:
		return x.makeDirectory(s)
	case PrepareDirectory:
		return x.prepareDirectory(s)
	case PrepareTmpfs:
		return x.prepareTmpfs(s)
	case Attach:
		return x.attach(s)
	case OwnDirectory:
		return x.ownDirectory(s)
	case Keep:
		return x.keep(s)
	case RunInit:
		return x.runInit(s)
	}
	return fmt.Errorf("internal error: no way to execute %T", s)
}

func (x *executor) propagate(s Propagate) error {
	p, ok := map[config.Propagation]linux.Propagation{
		config.PropagationSlave:   linux.Slave,
		config.PropagationPrivate: linux.Private,
		config.PropagationShared:  linux.Shared,
	}[s.Propagation]
	if !ok {
		return fmt.Errorf("internal error: propagation %q", s.Propagation)
	}
	root, err := x.env.Root.Open("/")
	if err != nil {
		return err
	}
	defer root.Close()
	err = linux.SetPropagation(root.Handle, p, true)
	if linux.Is(err, linux.EINVAL) {
		return fmt.Errorf("cannot make / recursively %s: %w (in a chroot, its directory must be a mount point)", s.Propagation, err)
	}
	if err != nil {
		return fmt.Errorf("cannot make / recursively %s: %w", s.Propagation, err)
	}
	return nil
}

// prepareHome readies a recursive slave copy of the home. That happens while its mount is still in the host's peer
// group: only a member of the group can become its slave.
func (x *executor) prepareHome(s PrepareHome) error {
	home, err := x.env.Root.Open(s.Path)
	if err != nil {
		return err
	}
	tree, err := linux.CloneTree(home.Handle, true)
	if err == nil {
		if err = linux.SetPropagation(tree, linux.Slave, true); err == nil {
			x.slots[s.Slot] = &slot{home, tree, true, 0, x.outside(home.Resolved)}
			return nil
		}
		tree.Close()
	}
	home.Close()
	return fmt.Errorf("cannot make a slave copy of %s: %w", s.Path, err)
}

func (x *executor) attach(s Attach) error {
	slot := x.slots[s.Slot]
	if slot == nil {
		return fmt.Errorf("internal error: nothing was prepared for %s", s.Path)
	}
	delete(x.slots, s.Slot)
	target, err := x.currentTarget(s.Path, slot)
	if err != nil {
		slot.tree.Close()
		return err
	}
	x.beneath[s.Slot] = &beneath{target, x.outside(target.Resolved), slot.tree}
	attach := linux.Attach
	if s.Hidden {
		attach = func(tree, _ *linux.Handle) error { return attachHidden(tree, target) }
	}
	covering := covering{target.Resolved, slot.tree, slot.same, slot.outside, target.Mount}
	if err := attach(slot.tree, target.Handle); err != nil {
		covering.uncover() // it may have come half way; where it hasn't, there is nothing to take away
		covering.close()
		return fmt.Errorf("cannot cover %s: %w", target.Resolved, err)
	}
	x.done.covered = append(x.done.covered, covering)
	return nil
}

// outside is the path of what the session sees at path, where nothing is covered: there it is found again once the
// session is over. "" for what lies in a tmpfs, and is gone by then.
func (x *executor) outside(path string) string {
	for _, c := range slices.Backward(x.done.covered) {
		switch {
		case !isBelow(path, c.path):
		case c.outside == "":
			return ""
		default:
			return c.outside + path[len(c.path):]
		}
	}
	return path
}

// currentTarget returns the directory that a slot was prepared for, as it is now: by another name, through a symbolic
// link of root's (/var/tmp to /tmp), it may lie in what was covered since, and what was opened before that is hidden.
func (x *executor) currentTarget(path string, s *slot) (*safepath.Dir, error) {
	covered := func(c covering) bool { return isBelow(s.target.Resolved, c.path) }
	if !slices.ContainsFunc(x.done.covered, covered) {
		return s.target, nil
	}
	s.target.Close()
	return x.openTarget(path, s.uid)
}

// attachHidden attaches a tree to a mount that may share its events with the host, without the host hearing of it. The
// mount leaves its peer group for as long as that takes; a copy keeps the membership for it (MOVE_MOUNT_SET_GROUP,
// Linux 5.15). A mount that is made on the host between the two calls doesn't arrive in this session: the price of
// propagation: shared and unchanged.
func attachHidden(tree *linux.Handle, target *safepath.Dir) error {
	if err := linux.ProbeJoinGroup(); err != nil {
		return err
	}
	keep, err := linux.CloneTree(target.Mount, false)
	if err != nil {
		return fmt.Errorf("cannot copy the mount it is on: %w", err)
	}
	defer keep.Close()
	if err := linux.SetPropagation(target.Mount, linux.Private, false); err != nil {
		return fmt.Errorf("cannot take the mount it is on out of its peer group: %w", err)
	}
	if err := linux.Attach(tree, target.Handle); err != nil {
		return err
	}
	err = linux.JoinGroup(keep, target.Mount)
	if err != nil && !linux.Is(err, linux.EINVAL) { // EINVAL: it was private all along, so there is no group to join
		return fmt.Errorf("cannot put the mount it is on back into its peer group: %w", err)
	}
	return nil
}

// randomSuffix returns six characters of mkdtemp(3)'s alphabet.
func randomSuffix() (string, error) {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	out := make([]byte, 0, len(freshSuffix))
	for buf := make([]byte, 16); ; {
		if err := linux.Random(buf); err != nil {
			return "", err
		}
		for _, b := range buf {
			if int(b) < 256/len(alphabet)*len(alphabet) { // or some characters would be likelier
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
			if len(out) == len(freshSuffix) {
				return string(out), nil
			}
		}
	}
}
