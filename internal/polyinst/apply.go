package polyinst

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

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
	// Locker keeps two sessions of one user from making one instance at the same time.
	Locker Locker
	// Intend is told of everything that is about to be made and that the session's end, or a crash, must remove.
	Intend func(Leftover) error
}

// Locker is a lock per user. Exclusive holds until the session is open or undone.
type Locker interface {
	// WhileNobodyMakes runs f while no session of the user is in the middle of making an instance: what f opens then was
	// finished by a session that won't undo it any more.
	WhileNobodyMakes(f func() error) error
	// BecomeMaker returns once this session is the only one that may make an instance.
	BecomeMaker() error
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
}

// Journal is what Apply has made that outlives the namespace, in order. Mounts aren't in it: leaving the namespace
// undoes them.
type Journal struct{ made []madeDirectory }

type madeDirectory struct {
	parent *linux.Handle
	name   string
	stat   linux.Stat
}

// Undo removes what was made, the last first. What has something in it by now, or is another directory by now, stays.
func (j *Journal) Undo() error {
	var errs []error
	for i := len(j.made) - 1; i >= 0; i-- {
		errs = append(errs, j.made[i].remove())
	}
	j.Close()
	return errors.Join(errs...)
}

// Close gives up the handles and thereby the possibility to undo.
func (j *Journal) Close() {
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
	err = m.parent.Rmdir(m.name)
	if linux.Is(err, linux.ENOTEMPTY) || linux.Is(err, linux.ENOENT) {
		return nil
	}
	return err
}

func (j *Journal) record(parent *linux.Handle, name string, st linux.Stat) error {
	h, err := parent.Dup()
	if err == nil {
		j.made = append(j.made, madeDirectory{h, name, st})
	}
	return err
}

// Applied is the result of executing a plan.
type Applied struct {
	Journal *Journal
	covered []covering
}

// covering is a directory as it is now, after something was attached to it.
type covering struct {
	path string // with no symbolic link
	tree *linux.Handle
	same bool // what is in it is what was there before (a bind of the directory on itself)
}

// Close closes the handles.
func (a *Applied) Close() {
	a.Journal.Close()
	for _, c := range a.covered {
		c.tree.Close()
	}
}

// Covered returns the directories that were covered, in order and with no symbolic link.
func (a *Applied) Covered() []string {
	var out []string
	for _, c := range a.covered {
		out = append(out, c.path)
	}
	return out
}

// WorkingDirectory returns where a process has to go whose working directory is cwd, or nil when it can stay: a process
// below a covered directory would go on looking at what is hidden from it. The handle is the caller's to close.
func (a *Applied) WorkingDirectory(cwd string) (*linux.Handle, error) {
	var best *covering
	for i, c := range a.covered {
		if isBelow(cwd, c.path) && (best == nil || len(c.path) >= len(best.path)) {
			best = &a.covered[i]
		}
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

// Apply executes plan on the calling thread's namespace. On an error nothing is left on disk, and the namespace must be
// given up: mounts may be attached in it already.
func Apply(plan *Plan, env Env) (*Applied, error) {
	x := &executor{env: env, done: &Applied{Journal: &Journal{}}, slots: map[int]*slot{}}
	defer x.close()
	for _, s := range plan.Steps {
		if err := x.step(s); err != nil {
			if pos := s.Why(); pos.File != "" {
				err = fmt.Errorf("%s: %w", pos, err)
			}
			if undo := x.done.Journal.Undo(); undo != nil {
				err = fmt.Errorf("%w; %v", err, undo)
			}
			x.done.Close()
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
}

// slot is an instance that is ready to be attached.
type slot struct {
	target *safepath.Dir
	tree   *linux.Handle
}

func (x *executor) close() {
	for _, s := range x.slots {
		s.target.Close()
		s.tree.Close()
	}
}

func (x *executor) step(s Step) error {
	switch s := s.(type) {
	case Propagate:
		return x.propagate(s)
	case SlaveHome:
		return x.slaveHome(s)
	case MakeDirectory:
		return x.makeDirectory(s)
	case PrepareDirectory:
		return x.prepareDirectory(s)
	case PrepareTmpfs:
		return x.prepareTmpfs(s)
	case Attach:
		return x.attach(s)
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

func (x *executor) slaveHome(s SlaveHome) error {
	home, err := x.env.Root.Open(s.Path)
	if err != nil {
		return err
	}
	defer home.Close()
	tree, err := linux.CloneTree(home.Handle, true)
	if err != nil {
		return fmt.Errorf("cannot bind %s: %w", s.Path, err)
	}
	// Before it is attached, and before its parent leaves the peer group: only a member of the group can be its slave.
	if err := linux.SetPropagation(tree, linux.Slave, true); err != nil {
		tree.Close()
		return fmt.Errorf("cannot make %s a slave: %w", s.Path, err)
	}
	x.done.covered = append(x.done.covered, covering{home.Resolved, tree, true})
	return attachTree(tree, home, s.Hidden)
}

func (x *executor) attach(s Attach) error {
	slot := x.slots[s.Slot]
	if slot == nil {
		return fmt.Errorf("internal error: nothing was prepared for %s", s.Path)
	}
	delete(x.slots, s.Slot)
	defer slot.target.Close()
	x.done.covered = append(x.done.covered, covering{slot.target.Resolved, slot.tree, false})
	return attachTree(slot.tree, slot.target, s.Hidden)
}

func attachTree(tree *linux.Handle, target *safepath.Dir, hidden bool) error {
	attach := linux.Attach
	if hidden {
		attach = func(tree, _ *linux.Handle) error { return attachHidden(tree, target) }
	}
	if err := attach(tree, target.Handle); err != nil {
		return fmt.Errorf("cannot cover %s: %w", target.Resolved, err)
	}
	return nil
}

// attachHidden attaches a tree to a mount that may share its events with the host, without the host hearing of it. The
// mount leaves its peer group for as long as that takes; a copy keeps the membership for it (MOVE_MOUNT_SET_GROUP,
// Linux 5.15). A mount that is made on the host between the two calls doesn't arrive in this session: the price of
// propagation: shared and unchanged.
func attachHidden(tree *linux.Handle, target *safepath.Dir) error {
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
	if err := linux.JoinGroup(keep, target.Mount); err != nil {
		return fmt.Errorf("cannot put the mount it is on back into its peer group (needs Linux 5.15): %w", err)
	}
	return nil
}

// randomSuffix returns six characters of mkdtemp(3)'s alphabet.
func randomSuffix() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	out := make([]byte, 0, len(freshSuffix))
	for buf := make([]byte, 1); len(out) < len(freshSuffix); {
		rand.Read(buf)
		if int(buf[0]) < 256/len(alphabet)*len(alphabet) {
			out = append(out, alphabet[int(buf[0])%len(alphabet)])
		}
	}
	return string(out)
}
