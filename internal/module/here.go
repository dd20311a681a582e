package module

import (
	"errors"
	"fmt"

	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/internal/session"
)

// openHere opens a session that gets no namespace, in the host's own: a directory and some variables, or nothing at all.
func (w *worker) openHere(req request, plan *polyinst.Plan, root *safepath.Root) error {
	if len(plan.Environment) == 0 {
		w.gate.done(Success, nil)
		return nil
	}
	if len(plan.Steps) == 0 {
		return w.gate.handOver(nil)
	}
	store, err := session.Open(root)
	if err != nil {
		return err
	}
	defer store.Close()
	w.sweep(store, req.session.UID)
	record, err := newRecord(req, store)
	if err != nil {
		return err
	}
	v := venue{store: store, record: record, locker: store.Locker()}
	if err := store.Put(record); err != nil {
		return err
	}
	err = w.applyHere(req, plan, &v, root)
	if errors.Is(err, polyinst.ErrNotUndone) {
		return errors.Join(err, store.Put(v.record))
	}
	if err != nil {
		store.Remove(record.ID)
	}
	return err
}

// applyHere executes the plan and hands the session over. What it makes lasts, so that its end has nothing to do, and needs no
// record: that goes before the host has the session, when it can still be refused.
func (w *worker) applyHere(req request, plan *polyinst.Plan, v *venue, root *safepath.Root) error {
	applied, err := Apply(plan, root, &v.record, v.store, v.locker, req.deadline)
	if err != nil {
		return err
	}
	for _, notice := range applied.Notices() {
		w.gate.logf(LogNotice, "%s", notice)
	}
	if err = v.store.Remove(v.record.ID); err == nil {
		err = w.gate.handOver(nil)
	}
	if err == nil {
		applied.Close()
		return nil
	}
	if undo := applied.Undo(); undo != nil {
		err = fmt.Errorf("%w; %w: %v", err, polyinst.ErrNotUndone, undo)
	}
	return err
}
