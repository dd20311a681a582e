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
	"gons/internal/selinux"
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
	if !plan.Namespace {
		w.gate.done(Success, nil)
		return nil
	}
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
	if err := killScripts(plan, store, req.session.UID); err != nil {
		return err
	}
	w.sweep(store, req.session.UID)
	return w.openRecorded(req, plan, store)
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

// openRecorded opens the session with a record of it: written before anything is made, and taken back when nothing is
// left of what was. The host has the last word: should it fail to go where the session is, all is undone.
func (w *worker) openRecorded(req request, plan *polyinst.Plan, store *session.Store) error {
	record, err := newRecord(req, store)
	if err != nil {
		return err
	}
	if err := store.Put(record); err != nil {
		return err
	}
	applied, err := w.openIn(req, plan, store, &record)
	if err == nil {
		if err = w.settle(store, record, applied); err == nil {
			return nil
		}
		if undo := applied.Undo(); undo != nil {
			err = fmt.Errorf("%w; %w: %v", err, polyinst.ErrNotUndone, undo)
		}
	}
	if !errors.Is(err, polyinst.ErrNotUndone) {
		store.Remove(record.ID)
	}
	return err
}

// settle makes the record final and hands the session over to the host.
func (w *worker) settle(store *session.Store, record session.Record, applied *opened) error {
	intended := record.Leftovers
	record.Leftovers, record.Scripts = nil, false
	for _, l := range applied.Leftovers() {
		record.Leftovers = append(record.Leftovers, session.NewLeftover(l))
	}
	for _, c := range applied.Covered() {
		record.Covered = append(record.Covered, session.Path(c.Path))
		record.Instances = append(record.Instances, session.Instance{Dev: c.Dev, Ino: c.Ino})
	}
	err := store.Put(record)
	if err == nil {
		for _, notice := range applied.Notices() { // now: the gate listens until it is handed the session
			w.gate.logf(LogNotice, "%s", notice)
		}
		w.gate.logf(LogDebug, "session %s is ready", record.ID)
		err = w.gate.handOver(applied.cwd)
	}
	if err != nil {
		record.Leftovers = intended // in case that not all can be undone
		store.Put(record)
		return err
	}
	applied.Close()
	return nil
}

func newRecord(req request, store *session.Store) (session.Record, error) {
	proc := session.Proc{}
	start, _ := proc.Start(req.hostPID)
	id, err := session.NewID(req.session.UID)
	return session.Record{
		ID: id, User: req.session.User, UID: req.session.UID, Service: req.session.Service,
		TTY: req.tty, RHost: req.rhost, Opened: time.Now().UTC().Truncate(time.Second),
		Leader: session.Process{PID: req.hostPID, Start: start}, Started: start, PIDNamespace: proc.PIDNamespace(),
		HostNamespace: store.Namespace(),
	}, err
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

// labels is a policy as polyinst wants it: no interface where there is none.
func labels(policy *selinux.SELinux) polyinst.Labels {
	if policy == nil {
		return nil
	}
	return policy
}

// openIn has the host enter a namespace, follows it there, and executes the plan.
func (w *worker) openIn(req request, plan *polyinst.Plan, store *session.Store, record *session.Record) (*opened, error) {
	ns, err := w.gate.unshare(record.ID)
	if err != nil {
		return nil, err
	}
	defer ns.close()
	record.Namespace = session.NamespaceOf(ns.handle)
	if _, record.Scripts = plan.Scripts(); record.Scripts { // in which what one of them leaves is found, should this worker be killed
		if err := store.Put(*record); err != nil {
			return nil, err
		}
	}
	if err := linux.EnterMountNamespace(ns.handle, ns.root); err != nil {
		return nil, fmt.Errorf("cannot enter the session's namespace: %w", err)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	policy, err := selinux.Open(root)
	if err != nil {
		return nil, err
	}
	defer policy.Close()
	applied, err := polyinst.Apply(plan, polyinst.Env{
		Root:      root,
		SessionID: record.ID,
		Locker:    store.Locker(),
		Labels:    labels(policy),
		Deadline:  req.deadline,
		Intend: func(l polyinst.Leftover) error {
			record.Leftovers = append(record.Leftovers, session.NewLeftover(l))
			return store.Put(*record)
		},
	})
	if err != nil {
		return nil, err
	}
	cwd, err := applied.WorkingDirectory(ns.cwd)
	if err != nil {
		err = fmt.Errorf("cannot find a working directory in place of %s: %w", ns.cwd, err)
		if undo := applied.Undo(); undo != nil {
			err = fmt.Errorf("%w; %w: %v", err, polyinst.ErrNotUndone, undo)
		}
		return nil, err
	}
	return &opened{applied, cwd}, nil
}
