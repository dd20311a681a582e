package polyinst

import (
	"fmt"
	"strings"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/internal/selinux"
)

// instance is a directory that a session sees in place of another one.
type instance struct {
	handle *linux.Handle // nil for a tmpfs
	name   string        // in its parent; "" for a tmpfs
	// isNew says that this session has made it, or that whoever did never got to the end of its script.
	isNew bool
	// unfinished takes away the mark that says so; nil where there is none.
	unfinished *mark
	// shared says that all users have it.
	shared bool
}

func (i *instance) close() {
	i.handle.Close()
	i.unfinished.close()
}

// instance opens or makes the instance. Another session's undo may remove an instance parent, which it made and which
// is empty, at any moment before something is in it; then it is made once more.
func (x *executor) instance(s PrepareDirectory, target *safepath.Dir) (*instance, error) {
	label, err := x.labelFor(s, target)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		found, err := x.instanceOnce(s, target.Stat, label)
		if err == nil || !linux.Is(err, linux.ENOENT) || tries == 3 {
			return found, err
		}
	}
}

func (x *executor) instanceOnce(s PrepareDirectory, like linux.Stat, label string) (*instance, error) {
	parent, err := x.instanceParent(s)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	made := entry{mode: like.Mode, uid: like.UID, gid: like.GID, label: label, home: s.Home, scripted: s.Scripted, keeps: s.Keeps}
	if s.Restore {
		made.restore = s.Path
	}
	name := s.Name
	if s.ByContext.Method != "" {
		name += InstanceName(difference(s.ByContext.Method, s.ByContext.User, label, s.ByContext.Shared), s.ByContext.GenHash)
	}
	if s.Fresh {
		return x.makeFresh(parent, name, made)
	}
	found, err := x.openOrMake(s, parent, name, made)
	if err == nil {
		if err = checkInstance(found.handle, s, like.UID); err != nil {
			found.close()
		}
	}
	return found, err
}

// sharedMaker stands for all users as the maker of instances that they share: no user has that id (setresuid(2)).
const sharedMaker = 1<<32 - 1

// openOrMake opens an instance or makes it, as the only maker among those who use it.
func (x *executor) openOrMake(s PrepareDirectory, parent *safepath.Dir, name string, e entry) (*instance, error) {
	maker := s.UID
	o := opener{x, parent, name, s.Scripted, s.Shared}
	if s.Shared {
		maker = sharedMaker
	}
	var found *instance
	err := x.env.Locker.WhileNobodyMakes(maker, func() (err error) {
		found, err = o.use(o.open)
		return err
	})
	if err == nil && !found.isNew || err != nil && !linux.Is(err, linux.ENOENT) {
		return found, err
	}
	found.discard()
	if err := x.env.Locker.BecomeMaker(maker); err != nil {
		return nil, fmt.Errorf("cannot lock the instances of user %d: %w", s.UID, err)
	}
	found, err = o.use(func() (*instance, error) {
		found, err := o.open()
		if linux.Is(err, linux.ENOENT) {
			return o.make(e)
		}
		return found, err
	})
	if err == nil && s.Shared && !(s.Scripted && found.isNew) {
		err = x.env.Locker.StopMaking(sharedMaker)
	}
	return found, err
}

// finish lets others have an instance. Where its script has ended by itself, the instance isn't new any more; one that was
// killed, or never ran, is for the next session to run.
func (x *executor) finish(i *instance, ended bool) error {
	if ended {
		if err := i.unfinished.remove(); err != nil {
			return err
		}
	}
	if !i.shared {
		return nil
	}
	return x.env.Locker.StopMaking(sharedMaker)
}

func (i *instance) discard() {
	if i != nil {
		i.close()
	}
}

// opener opens or makes one instance.
type opener struct {
	x        *executor
	parent   *safepath.Dir
	name     string
	scripted bool
	shared   bool
}

// use runs f, which opens or makes the instance. One that users share is counted, as what create makes is: its maker is
// that no longer once it is finished, since what else is in the maker's plan may hang at its user's will.
func (o opener) use(f func() (*instance, error)) (found *instance, err error) {
	if !o.shared {
		return f()
	}
	key := fmt.Sprintf("instance:%d:%d/%s", o.parent.Stat.Dev, o.parent.Stat.Ino, o.name) // one parent may have several paths
	made := len(o.x.done.journal.made)
	uses, err := o.x.env.Locker.Use(key, func() (err error) {
		found, err = f()
		return err
	})
	if err != nil {
		found.discard()
		return nil, err
	}
	found.shared = true
	for i := range o.x.done.journal.made[made:] {
		entry := &o.x.done.journal.made[made+i]
		if entry.name == o.name {
			entry.undo = func(remove func() error) error { return o.x.env.Locker.Undo(key, uses, remove) }
		}
	}
	return found, nil
}

func (o opener) open() (*instance, error) {
	h, err := o.parent.OpenAt(o.name, linux.LookAt, false)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", childPath(o.parent, o.name), err)
	}
	found := &instance{handle: h.Named(childPath(o.parent, o.name)), name: o.name}
	if !o.scripted {
		return found, nil
	}
	if found.unfinished, err = openMark(o.parent, o.name); err != nil {
		found.close()
		return nil, err
	}
	found.isNew = found.unfinished != nil
	return found, nil
}

func (o opener) make(e entry) (*instance, error) {
	made := &instance{name: o.name, isNew: true}
	var err error
	if o.scripted {
		if made.unfinished, err = o.x.makeMark(o.parent, o.name); err != nil {
			return nil, err
		}
	}
	if made.handle, err = o.x.makeEntry(o.parent, o.name, e); err != nil {
		made.unfinished.close()
		return nil, err
	}
	return made, nil
}

// checkInstance judges an instance that may have been there before. It is used as it is, since root may have made it
// otherwise on purpose, but never when it is a third person's.
func checkInstance(h *linux.Handle, s PrepareDirectory, coveredOwner uint32) error {
	st, err := h.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("cannot look at instance %s: %w", h.Path(), err)
	case st.Type != linux.TypeDirectory:
		return fmt.Errorf("cannot use instance %s: it is %s, not a directory", h.Path(), st.Type)
	case st.UID != coveredOwner && st.UID != s.UID && st.UID != 0:
		return fmt.Errorf("cannot use instance %s: it is owned by user %d, who is neither the session's user nor the owner of %s",
			h.Path(), st.UID, s.Path)
	}
	return nil
}

// instanceParent opens the directory that holds instances, makes it where it is missing, and checks that nobody but
// root can see into it or put anything there.
func (x *executor) instanceParent(s PrepareDirectory) (*safepath.Dir, error) {
	parent, err := x.env.Root.Open(s.Parent)
	if linux.Is(err, linux.ENOENT) {
		parent, err = x.makeInstanceParent(s)
	}
	if err != nil {
		return nil, err
	}
	if s.AnyParent {
		return parent, nil
	}
	if err := CheckInstanceParent(parent.Stat, s.ParentMode); err != nil {
		parent.Close()
		return nil, fmt.Errorf("cannot trust instance parent %s: %w", s.Parent, err)
	}
	return parent, nil
}

// CheckInstanceParent returns what is wrong with an instance parent, or nil: it must be root's, and its mode the one that
// is expected, 000 in namespace.conf(5), but for the bits beyond rwx.
func CheckInstanceParent(st linux.Stat, mode uint32) error {
	if st.UID != 0 {
		return fmt.Errorf("it is owned by user %d, expected root", st.UID)
	}
	if st.Mode&0o777 != mode {
		return fmt.Errorf("its mode is %04o, expected %04o", st.Mode, mode)
	}
	return nil
}

func (x *executor) makeInstanceParent(s PrepareDirectory) (*safepath.Dir, error) {
	above, name, err := x.env.Root.OpenParent(s.Parent)
	if err != nil {
		return nil, err
	}
	defer above.Close()
	if err := x.intend(above, name, false); err != nil { // empty ones are removed after a crash; others put up with that
		return nil, err
	}
	h, err := x.makeEntry(above, name, entry{mode: s.ParentMode})
	if err != nil && !linux.Is(err, linux.EEXIST) {
		return nil, err
	}
	h.Close()
	return x.env.Root.Open(s.Parent)
}

// labelFor returns the SELinux context of an instance that covers target: its name is made of it, too. "" without
// SELinux.
func (x *executor) labelFor(s PrepareDirectory, target *safepath.Dir) (string, error) {
	if x.env.Labels == nil {
		return "", nil
	}
	covered, err := target.Label()
	if err != nil {
		return "", fmt.Errorf("cannot read the label of %s: %w", target.Resolved, err)
	}
	label, err := x.context(s.ByContext, covered)
	if err != nil {
		return "", fmt.Errorf("cannot find the context of an instance for %s: %w", target.Resolved, err)
	}
	return label, nil
}

// context is what an instance of a directory with the label covered gets (pam_namespace(8)).
func (x *executor) context(b ByContext, covered string) (string, error) {
	switch b.Method {
	case config.MethodLevel:
		return selinux.Level(covered, b.Session)
	case config.MethodContext:
		return x.env.Labels.Member(b.Session, covered)
	}
	return covered, nil
}

// restore does what restorecon(8) does: it gives a file the type that the policy has for path. namespace.init goes on
// where it fails, and so does this: a policy need not let the host do that.
func (x *executor) restore(h *linux.Handle, path string, t linux.Type) {
	if x.env.Labels == nil {
		return
	}
	if err := x.relabel(h, path, t); err != nil && !x.done.unlabeled {
		x.done.unlabeled = true
		x.done.notice(config.Pos{}, "cannot restore the label of %s, and maybe of others: %v", path, err)
	}
}

func (x *executor) relabel(h *linux.Handle, path string, t linux.Type) error {
	have, err := h.Label()
	if err != nil {
		return err
	}
	want, ok, err := x.env.Labels.FileContext(path, t)
	if err != nil || !ok {
		return err
	}
	customizable, err := x.env.Labels.CustomizableTypes()
	if err != nil {
		return err
	}
	if label := selinux.Restored(have, want, customizable); label != have {
		return h.SetLabel(label)
	}
	return nil
}

// writtenAs is an instance's path as pam_namespace tells it to a script.
func (i *instance) writtenAs(written string) string {
	if i.name == "" {
		return written
	}
	return written[:strings.LastIndexByte(written, '/')+1] + i.name
}
