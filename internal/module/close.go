package module

import (
	"errors"
	"fmt"
	"runtime"

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
	store, err := session.Open(root)
	if err != nil {
		return err
	}
	defer store.Close()
	var failed []error
	for _, id := range req.sessions {
		if err := end(store, id); err != nil {
			failed = append(failed, fmt.Errorf("cannot end session %s of %s: %w", id, req.session.User, err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	w.gate.done(Success, nil)
	return nil
}

func end(store *session.Store, id string) error {
	always := func() bool { return true }
	record, readErr := store.Get(id)
	err := store.End(id, always)
	if !errors.Is(err, session.ErrElsewhere) || readErr != nil {
		return err
	}
	runtime.LockOSThread() // and never unlocked: the thread goes to another namespace
	if uncover := store.Uncover(record.Covered); uncover != nil {
		return fmt.Errorf("%w; %w", err, uncover)
	}
	return store.End(id, always)
}
