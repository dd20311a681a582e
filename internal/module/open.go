package module

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/internal/session"
)

// sweepBudget is when an open stops to remove what the user's earlier sessions left, which may be millions of files.
const sweepBudget = 200 * time.Millisecond

// open opens one session, or explains why it needs no namespace.
func (w *worker) open(req request) error {
	for _, text := range req.line.Warnings {
		w.gate.logf(LogWarning, "%s", text)
	}
	for _, text := range req.line.Notes {
		w.gate.logf(LogDebug, "%s", text)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	plan, err := w.plan(req, root)
	if linux.Is(err, linux.ENOSYS) { // of openat2, which reading the configuration needs too
		return fmt.Errorf("%w: %w", err, linux.ErrNoMountAPI)
	}
	if err != nil {
		return err
	}
	w.logPlan(plan)
	if err := w.gate.environment(plan.Environment); err != nil {
		return err
	}
	if !plan.Namespace && !plan.Host {
		return w.openHere(req, plan, root)
	}
	return w.openElsewhere(req, plan, root)
}

// openElsewhere opens a session for which the host leaves its namespace.
func (w *worker) openElsewhere(req request, plan *polyinst.Plan, root *safepath.Root) error {
	runtime.LockOSThread() // and never unlocked: the thread goes to another namespace
	if err := rehearse(); err != nil {
		return fmt.Errorf("cannot open a session: there would be no way back for the host (that needs CAP_SYS_ADMIN and "+
			"CAP_SYS_CHROOT): %w", err)
	}
	if err := linux.ProbeMountAPI(); err != nil {
		return fmt.Errorf("cannot open a session: %w", err)
	}
	store, err := session.Open(root)
	if err != nil {
		return err
	}
	defer store.Close()
	if plan.Host {
		return w.goHome(req, store)
	}
	if err := killScripts(plan, store, req.session.UID); err != nil {
		return err
	}
	w.sweep(store, req.session.UID)
	if plan.Scope == config.ScopeUser {
		return w.openShared(req, plan, store)
	}
	return w.openOwn(req, plan, store)
}

func (w *worker) plan(req request, root *safepath.Root) (*polyinst.Plan, error) {
	cfg, err := LoadConfig(safepath.Files{Root: root, Strict: true}, req.line.Config, req.line.Reading)
	if err != nil {
		return nil, err
	}
	facts, err := polyinst.Gather(cfg, req.session, w.gate, Machine{root})
	if err != nil {
		return nil, err
	}
	return polyinst.Build(cfg, req.session, facts)
}

// LoadConfig reads the file that config= names, or the standard ones where file is "".
func LoadConfig(files config.Files, file string, how config.Reading) (*config.Config, error) {
	if file != "" {
		return config.LoadFile(files, file, how)
	}
	return config.Load(files, config.Default, how)
}

func (w *worker) logPlan(plan *polyinst.Plan) {
	for _, warning := range plan.Warnings {
		w.gate.logf(LogWarning, "%s", warning)
	}
	for _, notice := range plan.Notices {
		w.gate.logf(LogInfo, "%s", notice)
	}
	if !w.gate.debug {
		return
	}
	for _, line := range strings.Split(strings.TrimSpace(plan.String()), "\n") {
		w.gate.logf(LogDebug, "plan: %s", line)
	}
}

// sweep removes what the user's own sessions left whose close had no privilege, or never came. It must not fail this
// login. What other users left is gons clean's: removing it can take long, or hang, at their will.
func (w *worker) sweep(store *session.Store, uid uint32) {
	results, err := store.SweepUser(uid, session.Proc{}, until(time.Now().Add(sweepBudget)))
	if err != nil {
		w.gate.logf(LogWarning, "cannot clean up after earlier sessions: %s", oneLine(err))
	}
	for _, r := range results {
		if r.Err != nil {
			w.gate.logf(LogDebug, "cannot clean up after an earlier session: %s", oneLine(r.Err))
		}
	}
}

// killScripts kills what scripts of killed sessions have left running, before this one runs the same for the same instance.
func killScripts(plan *polyinst.Plan, store *session.Store, uid uint32) error {
	switch shared, scripts := plan.Scripts(); {
	case shared:
		return store.KillScripts(session.Proc{})
	case scripts:
		return store.KillScriptsOf(uid, session.Proc{})
	}
	return nil
}

func until(deadline time.Time) func() bool {
	return func() bool { return time.Now().Before(deadline) }
}

// openOwn opens a session in a namespace of its own.
func (w *worker) openOwn(req request, plan *polyinst.Plan, store *session.Store) error {
	record, err := newRecord(req, store)
	if err != nil {
		return err
	}
	return w.openRecorded(req, plan, venue{store, record, store.Locker(), func() (*namespace, error) { return w.gate.unshare(record.ID) }})
}

// venue is where a plan is executed: with which record and locks, and how the host comes to the new namespace.
type venue struct {
	store  *session.Store
	record session.Record
	locker polyinst.Locker
	enter  func() (*namespace, error)
}

// openRecorded executes the plan with a record of it: written before anything is made, and taken back when nothing is
// left of what was. The host has the last word: should it fail to go where the session is, all is undone.
func (w *worker) openRecorded(req request, plan *polyinst.Plan, v venue) error {
	if err := v.store.Put(v.record); err != nil {
		return err
	}
	applied, err := w.openIn(req, plan, &v)
	if err == nil {
		if err = w.settle(v.store, v.record, applied); err == nil {
			return nil
		}
		if undo := applied.Undo(); undo != nil {
			err = fmt.Errorf("%w; %w: %v", err, polyinst.ErrNotUndone, undo)
		}
	}
	if !errors.Is(err, polyinst.ErrNotUndone) && v.store.Unpin(v.record, session.Proc{}) == nil {
		v.store.Remove(v.record.ID)
	}
	return err
}

// settle makes the record final and hands the session over to the host.
func (w *worker) settle(store *session.Store, record session.Record, applied *opened) error {
	intended := record.Leftovers
	record.Finish(applied.Applied)
	if record.Shared != nil {
		record.Shared.Ready = true
	}
	err := releaseScripts(store, &record)
	if err == nil {
		err = store.Put(record)
	}
	if err == nil {
		for _, notice := range applied.Notices() { // now: the gate listens until it is handed the session
			w.gate.logf(LogNotice, "%s", notice)
		}
		w.gate.logf(LogDebug, "session %s is ready", record.ID)
		err = w.gate.handOver(applied.cwd)
	}
	if err != nil {
		record.Leftovers = intended // in case that not all can be undone
		if record.Shared != nil {
			record.Shared.Ready = false
		}
		store.Put(record)
		return err
	}
	applied.Close()
	return nil
}

// releaseScripts lets a session's own namespace go that was pinned for its scripts.
func releaseScripts(store *session.Store, record *session.Record) error {
	if record.Shared != nil {
		return nil
	}
	err := store.Unpin(*record, session.Proc{})
	record.Pinned = record.Pinned && err != nil
	return err
}

func newRecord(req request, store *session.Store) (session.Record, error) {
	record, err := store.NewRecord(req.session.User, req.session.UID, req.session.Service, req.hostPID)
	record.TTY, record.RHost = req.tty, req.rhost
	return record, err
}

// note records the namespace where others have to find it: to join it, or to kill what a script leaves in it should this
// worker be killed. Before Linux 6.11 it is pinned for that, or its number could be another's by then.
func (v *venue) note(ns *namespace) error {
	shared := v.record.Shared != nil
	if v.record.Namespace.ID == 0 && (shared || v.record.Scripts) {
		if err := v.store.Pin(&v.record, ns.handle, session.Proc{}); err == nil || shared {
			return err
		}
		v.record.Pinned = false // as in a chroot, whose records are its own: nothing is killed then
	}
	if !v.record.Scripts {
		return nil
	}
	return v.store.Put(v.record)
}

// opened is an executed plan, and where the host has to go then.
type opened struct {
	*polyinst.Applied
	cwd *linux.Handle
}

// rehearse goes from the host's namespace to the host's namespace: what unshare(2) lets the host leave, only setns(2)
// and chroot(2) lead back to, and a capability bounding set or a seccomp filter may have forbidden those.
func rehearse() error {
	ns, err := linux.OpenMountNamespace()
	if err != nil {
		return err
	}
	defer ns.Close()
	root, err := linux.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	return linux.EnterMountNamespace(ns, root)
}

// openIn has the host enter a namespace, follows it there, and executes the plan.
func (w *worker) openIn(req request, plan *polyinst.Plan, v *venue) (*opened, error) {
	ns, err := v.enter()
	if err != nil {
		return nil, err
	}
	defer ns.close()
	v.record.Namespace = session.NamespaceOf(ns.handle)
	_, v.record.Scripts = plan.Scripts()
	if err := v.note(ns); err != nil {
		return nil, err
	}
	if err := linux.EnterMountNamespace(ns.handle, ns.root); err != nil {
		return nil, fmt.Errorf("cannot enter the session's namespace: %w", err)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	applied, err := Apply(plan, root, &v.record, v.store, v.locker, req.deadline)
	if err != nil {
		return nil, err
	}
	cwd, err := applied.WorkingDirectory(ns.cwd)
	if err == nil && cwd == nil && v.record.Shared != nil { // setns(2) has put the host in /
		cwd = w.directoryAt(root, ns.cwd, req.session)
	}
	if err != nil {
		err = fmt.Errorf("cannot find a working directory in place of %s: %w", ns.cwd, err)
		if undo := applied.Undo(); undo != nil {
			err = fmt.Errorf("%w; %w: %v", err, polyinst.ErrNotUndone, undo)
		}
		return nil, err
	}
	return &opened{applied, cwd}, nil
}
