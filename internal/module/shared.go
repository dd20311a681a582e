package module

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/internal/session"
)

// This file is about sessions that go to a namespace which is there already: the one that a user's sessions share
// (namespace.scope: user), and the host's (exempt.action: host).

var errChroot = errors.New("the host is in a chroot, which entering another namespace would lead out of")

// openShared opens a session in the namespace that the user's sessions share, and makes that where it is the first.
func (w *worker) openShared(req request, plan *polyinst.Plan, store *session.Store) error {
	chrooted, err := inChroot()
	switch {
	case err != nil:
		return fmt.Errorf("cannot join the user's other sessions: %w", err)
	case chrooted && plan.Chrooted == config.ChrootedSession:
		return w.openOwn(req, plan, store)
	case chrooted:
		return fmt.Errorf("cannot join the user's other sessions: %w (chrooted: session gives it one of its own)", errChroot)
	}
	locker := store.Locker()
	if err := locker.BecomeMaker(req.session.UID); err != nil { // of two first sessions one waits for the other
		return fmt.Errorf("cannot lock the namespace of user %d: %w", req.session.UID, err)
	}
	shared, handle, err := store.FindShared(req.session.UID, session.Proc{})
	if err != nil {
		return err
	}
	member, err := newRecord(req, store)
	if err != nil {
		return err
	}
	if handle == nil {
		return w.openFirst(req, plan, store, member, locker)
	}
	defer handle.Close()
	if shared.Shared.Fingerprint != plan.Fingerprint {
		w.gate.logf(LogNotice, "the namespace of %s was made by another configuration, and is kept until the last session has ended", req.session.User)
	}
	member.Of = shared.ID
	return w.join(req, store, member, handle)
}

// openFirst makes the namespace: a copy of the host's, whichever session the caller is in.
func (w *worker) openFirst(req request, plan *polyinst.Plan, store *session.Store, member session.Record, locker polyinst.Locker) error {
	host, err := hostNamespace(store)
	if err != nil {
		return err
	}
	defer host.Close()
	shared := member
	if shared.ID, err = session.NewSharedID(member.UID); err != nil {
		return err
	}
	shared.HostNamespace = session.NamespaceOf(host)
	shared.Shared = &session.Shared{Fingerprint: plan.Fingerprint, Linger: time.Duration(plan.Linger)}
	member.Of = shared.ID
	if err := store.Put(member); err != nil {
		return err
	}
	err = w.openRecorded(req, plan, venue{store, shared, locker, func() (*namespace, error) { return w.gate.enterCopy(member.ID, host) }})
	if err != nil && !errors.Is(err, polyinst.ErrNotUndone) {
		store.Remove(member.ID)
	}
	return err
}

// join takes the host into a namespace that was made for an earlier session.
func (w *worker) join(req request, store *session.Store, member session.Record, to *linux.Handle) error {
	if err := store.Put(member); err != nil {
		return err
	}
	err := w.moveHost(req, store, member.ID, to)
	if err != nil {
		store.Remove(member.ID)
	}
	return err
}

// goHome takes the host back to the host's namespace. There is nothing to close then, and no record.
func (w *worker) goHome(req request, store *session.Store) error {
	chrooted, err := inChroot()
	if err == nil && chrooted {
		err = errChroot
	}
	if err != nil {
		return fmt.Errorf("cannot go back to the host's namespace: %w", err)
	}
	host, err := hostNamespace(store)
	if err != nil {
		return err
	}
	defer host.Close()
	if session.NamespaceOf(host) == store.Namespace() {
		w.gate.done(Success, nil) // it is there
		return nil
	}
	return w.moveHost(req, store, "", host)
}

// moveHost has the host enter a namespace, at the working directory that it has (directoryAt).
func (w *worker) moveHost(req request, store *session.Store, id string, to *linux.Handle) error {
	ns, err := w.gate.enter(id, to)
	if err != nil {
		return err
	}
	defer ns.close()
	if err := linux.EnterMountNamespace(ns.handle, ns.root); err != nil {
		return fmt.Errorf("cannot enter the namespace: %w", err)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := store.CheckIn(root); err != nil {
		return err
	}
	return w.gate.handOver(w.directoryAt(root, ns.cwd, req.session))
}

// lookingForDirectory is how long the way to a working directory may take: there may be a user's FUSE mount on it.
const lookingForDirectory = 2 * time.Second

// directoryAt is the directory of that name, or nil, which leaves the host in /, where setns(2) has put it. It is looked for
// as the session's user, without supplementary groups: whoever opens the session may have named a directory of their own as
// one is named in here that they have no way to, and that the host's working directory would give them.
func (w *worker) directoryAt(root *safepath.Root, path string, of polyinst.Request) *linux.Handle {
	if path == "" {
		return nil
	}
	type result struct {
		dir *linux.Handle
		err error
	}
	found := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		dir, err := openAs(root, path, of)
		found <- result{dir, err}
	}()
	r := result{err: errors.New("it takes too long")}
	select {
	case r = <-found:
	case <-time.After(lookingForDirectory):
	}
	if r.err != nil {
		w.gate.logf(LogDebug, "the working directory is / and not %s: %s", path, oneLine(r.err))
	}
	return r.dir
}

// openAs opens a directory that a user can go to.
func openAs(root *safepath.Root, path string, user polyinst.Request) (*linux.Handle, error) {
	if err := linux.AccessFilesAs(user.UID, user.GID); err != nil {
		return nil, err
	}
	dir, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Handle.OpenAt(".", linux.LookAtDirectory, false)
}

// inChroot reports whether the host's root isn't that of its namespace. The calling thread, which must be locked, goes
// there and comes back.
func inChroot() (bool, error) {
	ns, err := linux.OpenMountNamespace()
	if err != nil {
		return false, err
	}
	defer ns.Close()
	root, err := linux.OpenRoot()
	if err != nil {
		return false, err
	}
	defer root.Close()
	if err := linux.EnterMountNamespace(ns, nil); err != nil {
		return false, err
	}
	top, err := linux.OpenRoot()
	if err != nil {
		return false, err
	}
	defer top.Close()
	if err := linux.EnterMountNamespace(ns, root); err != nil {
		return false, err
	}
	is, err := top.Stat()
	if err != nil {
		return false, err
	}
	has, err := root.Stat()
	return !has.SameFile(is) || has.MountID != is.MountID, err
}

// hostNamespace is the namespace that gons boot was run in, or where it wasn't run, that of process 1.
func hostNamespace(store *session.Store) (*linux.Handle, error) {
	h, err := store.Host(session.Proc{})
	if err != nil {
		return nil, fmt.Errorf("cannot find the host's namespace: %w", err)
	}
	return h, nil
}
