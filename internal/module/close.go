package module

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"

	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/internal/session"
)

// close ends sessions. The gate kills the worker at its deadline; the record is kept then, and the next open or gons
// clean goes on.
func (w *worker) close(req request) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	store, err := session.OpenExisting(root)
	if errors.Is(err, fs.ErrNotExist) { // then there is no record, so somebody has cleaned up
		w.gate.done(Success, nil)
		return nil
	}
	if err != nil {
		return err
	}
	defer store.Close()
	var failed []error
	for _, id := range slices.Backward(req.sessions) { // of two sessions in one stack, the later one covers the earlier
		if err := w.endSession(store, id, req.hostPID); err != nil {
			failed = append(failed, err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	w.gate.done(Success, nil)
	return nil
}

// endSession ends one session, and the namespace that it shared with others where it was the last.
func (w *worker) endSession(store *session.Store, id string, host int) error {
	record, err := store.Get(id)
	if err != nil || record.Of == "" {
		return end(store, id)
	}
	locker := store.Locker()
	if err := locker.BecomeMaker(record.UID); err != nil {
		return fmt.Errorf("cannot lock the namespace of user %d: %w", record.UID, err)
	}
	defer locker.StopMaking(record.UID)
	start, _ := session.Proc{}.Start(host)
	over, err := store.Leave(record, session.Process{PID: host, Start: start}, session.Proc{})
	if over == "" {
		return err
	}
	if err != nil {
		w.gate.logf(LogWarning, "%s", oneLine(err))
	}
	return end(store, over)
}

// end ends one session. Inside it, what is to be removed may be out of reach (its parent is covered) or in use (a mount
// of the user's, or of a second session of the same stack, is on top of it); then it tries again with nothing covered.
func end(store *session.Store, id string) error {
	always := func() bool { return true }
	record, readErr := store.Get(id)
	if readErr == nil {
		session.KillScripts(record, session.Proc{}) // of an open that came to nothing
		if err := store.Unpin(record, session.Proc{}); err != nil {
			return err
		}
	}
	err := store.End(id, always)
	if readErr == nil && (errors.Is(err, session.ErrElsewhere) || errors.Is(err, linux.EBUSY)) {
		runtime.LockOSThread() // and never unlocked: the thread goes to another namespace
		if uncover := store.Uncover(record.Covered); uncover != nil {
			err = fmt.Errorf("%w; %w", err, uncover)
		} else {
			err = store.End(id, always)
		}
	}
	if err != nil && !errors.Is(err, session.ErrBusy) {
		return fmt.Errorf("cannot end session %s of %s: %w", id, record.User, err)
	}
	return nil
}
