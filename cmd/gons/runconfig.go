package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"gons/internal/linux"
	"gons/internal/module"
	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/internal/session"
)

// runService is what the configuration knows gons run --config by, where it tells services apart.
const runService = "gons"

// configureTime is how long making the directories may take, as in a login.
const configureTime = 30 * time.Second

// configure makes the directories of a configuration for the user who runs the command, as a login of theirs through
// the service "gons" would, with a record like a session's: gons clean removes what the command leaves. The calling thread
// is in a new namespace then, so it must be locked.
func configure(file string, uid uint32) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	who, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return err
	}
	if file, err = absolute(file); err != nil {
		return err
	}
	plan, err := makePlan(root, planFlags{user: who.Username, service: runService, config: file})
	if err != nil || !plan.Namespace {
		return err
	}
	store, err := session.Open(root)
	if err != nil {
		return err
	}
	defer store.Close()
	record, err := store.NewRecord(who.Username, uid, runService, os.Getpid())
	if err != nil {
		return err
	}
	if err := store.Put(record); err != nil {
		return err
	}
	return recorded(plan, store, record)
}

// recorded executes the plan in a new namespace, and leaves a record of what it made there or, where it fails, of what couldn't
// be undone.
func recorded(plan *polyinst.Plan, store *session.Store, record session.Record) error {
	cwd, _ := os.Getwd()
	applied, err := applyInNew(plan, store, &record)
	if err != nil {
		if !errors.Is(err, polyinst.ErrNotUndone) {
			store.Remove(record.ID)
		}
		return err
	}
	defer applied.Close()
	record.Finish(applied)
	if err := store.Put(record); err != nil {
		return err
	}
	dir, err := applied.WorkingDirectory(cwd)
	if err != nil || dir == nil {
		return err
	}
	defer dir.Close()
	return dir.Enter()
}

func applyInNew(plan *polyinst.Plan, store *session.Store, record *session.Record) (*polyinst.Applied, error) {
	if err := linux.UnshareMounts(); err != nil {
		return nil, err
	}
	ns, err := linux.OpenThreadNamespace()
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	record.Namespace = session.NamespaceOf(ns)
	root, err := safepath.OpenRoot()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	applied, err := module.Apply(plan, root, record, store, store.Locker(), time.Now().Add(configureTime))
	if err != nil {
		return nil, fmt.Errorf("cannot make the directories of the configuration: %w", err)
	}
	return applied, nil
}
