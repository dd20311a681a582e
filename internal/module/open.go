package module

import (
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

// sweepBudget bounds what an open spends on what other sessions left: a user can leave millions of files.
const sweepBudget = 200 * time.Millisecond

// open opens one session, or explains why it needs no namespace.
func (w *worker) open(req request) error {
	for _, text := range req.warnings {
		w.gate.logf(LogWarning, "%s", text)
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
	if err := linux.ProbeMountAPI(); err != nil {
		return fmt.Errorf("cannot open a session: %w", err)
	}
	store, err := session.Open(root)
	if err != nil {
		return err
	}
	defer store.Close()
	w.sweep(store)
	return w.openRecorded(req, plan, store)
}

func (w *worker) plan(req request, root *safepath.Root) (*polyinst.Plan, error) {
	cfg, err := LoadConfig(safepath.Files{Root: root, Strict: true}, req.config)
	if err != nil {
		return nil, err
	}
	facts, err := polyinst.Gather(cfg, req.session, w.gate)
	if err != nil {
		return nil, err
	}
	return polyinst.Build(cfg, req.session, facts)
}

// LoadConfig reads the file that config= names, or the standard ones where file is "".
func LoadConfig(files config.Files, file string) (*config.Config, error) {
	if file != "" {
		return config.LoadFile(files, file)
	}
	return config.Load(files, config.Default)
}

func (w *worker) logPlan(plan *polyinst.Plan) {
	for _, warning := range plan.Warnings {
		w.gate.logf(LogWarning, "%s", warning)
	}
	if !w.gate.debug {
		return
	}
	for _, line := range strings.Split(strings.TrimSpace(plan.String()), "\n") {
		w.gate.logf(LogDebug, "plan: %s", line)
	}
}

// sweep removes what sessions left whose close had no privilege, or never came. It must not fail this login.
func (w *worker) sweep(store *session.Store) {
	results, err := store.Sweep(session.Proc{}, false, until(time.Now().Add(sweepBudget)))
	if err != nil {
		w.gate.logf(LogWarning, "cannot clean up after earlier sessions: %s", oneLine(err))
	}
	for _, r := range results {
		if r.Err != nil {
			w.gate.logf(LogDebug, "cannot clean up after an earlier session: %s", oneLine(r.Err))
		}
	}
}

func until(deadline time.Time) func() bool {
	return func() bool { return time.Now().Before(deadline) }
}

// openRecorded opens the session with a record of it: written before anything is made, taken back when nothing was.
func (w *worker) openRecorded(req request, plan *polyinst.Plan, store *session.Store) error {
	record, err := newRecord(req)
	if err != nil {
		return err
	}
	if err := store.Put(record); err != nil {
		return err
	}
	applied, cwd, err := w.openIn(req, plan, store, &record)
	if err == nil {
		defer applied.Close()
		defer cwd.Close()
		record.Covered = applied.Covered()
		record.Leftovers = trees(record.Leftovers)
		if err = store.Put(record); err != nil {
			applied.Undo()
		}
	}
	if err != nil {
		store.Remove(record.ID)
		return err
	}
	w.gate.logf(LogDebug, "session %s is open", record.ID)
	w.gate.done(Success, cwd)
	return nil
}

func newRecord(req request) (session.Record, error) {
	proc := session.Proc{}
	start, _ := proc.Start(req.hostPID)
	id, err := session.NewID()
	return session.Record{
		ID: id, User: req.session.User, UID: req.session.UID, Service: req.session.Service,
		TTY: req.tty, RHost: req.rhost, Opened: time.Now().UTC().Truncate(time.Second),
		Leader: session.Process{PID: req.hostPID, Start: start}, PIDNamespace: proc.PIDNamespace(),
	}, err
}

// openIn has the host enter a namespace, follows it there, and executes the plan.
func (w *worker) openIn(req request, plan *polyinst.Plan, store *session.Store, record *session.Record) (*polyinst.Applied, *linux.Handle, error) {
	ns, err := w.gate.unshare(record.ID)
	if err != nil {
		return nil, nil, err
	}
	defer ns.close()
	if st, err := ns.handle.Stat(); err == nil {
		record.Namespace = st.Ino
	}
	runtime.LockOSThread() // and never unlocked: the thread is in another namespace from here on
	if err := linux.EnterMountNamespace(ns.handle, ns.root); err != nil {
		return nil, nil, fmt.Errorf("cannot enter the session's namespace: %w", err)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	applied, err := polyinst.Apply(plan, polyinst.Env{
		Root:      root,
		SessionID: record.ID,
		Locker:    store.Locker(),
		Intend: func(l polyinst.Leftover) error {
			record.Leftovers = append(record.Leftovers, l)
			return store.Put(*record)
		},
	})
	if err != nil {
		return nil, nil, err
	}
	cwd, err := applied.WorkingDirectory(ns.cwd)
	if err != nil {
		applied.Undo()
		return nil, nil, fmt.Errorf("cannot find a working directory in place of %s: %w", ns.cwd, err)
	}
	return applied, cwd, nil
}

// trees are what the end of the session has to remove; drafts have got their names by now.
func trees(all []polyinst.Leftover) []polyinst.Leftover {
	var out []polyinst.Leftover
	for _, l := range all {
		if l.Tree {
			out = append(out, l)
		}
	}
	return out
}
