package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"gons/internal/config"
	"gons/internal/live"
	"gons/internal/module"
	"gons/internal/retention"
	"gons/internal/safepath"
	"gons/internal/session"
)

// cleanedInstance is an entry of an instance parent as clean shows it.
type cleanedInstance struct {
	Path string         `json:"path"`
	Kind retention.Kind `json:"kind"`
	User string         `json:"user,omitempty"`
	// UnchangedHours is its age, in whole hours.
	UnchangedHours int64 `json:"unchanged_hours"`
	age            time.Duration
	Size           live.Size `json:"size"`
	Removed        bool      `json:"removed"`
	// Kept is why it isn't removed whatever its age.
	Kept string `json:"kept,omitempty"`
	// remarkable is what an administrator should hear of every time: it would be removed, but can't be.
	remarkable bool
}

// cleanInstances removes old instances: those unchanged for limit or, where that is 0, for as long as the configuration says.
// A machine without a configuration has none.
func cleanInstances(root *safepath.Root, f cleanFlags, limit time.Duration) ([]cleanedInstance, error) {
	out := []cleanedInstance{}
	cfg, err := module.LoadConfig(safepath.Files{Root: root, Strict: true}, f.config, config.Reading{})
	if errors.Is(err, fs.ErrNotExist) && f.config == "" {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	store, err := session.Open(root)
	if err != nil {
		return out, err
	}
	defer store.Close()
	m := &retention.Machine{Root: root, Store: store, Users: knownUser, RemovedUsers: f.removedUsers}
	var failed []error
	for _, parent := range retention.Parents(cfg) {
		found, err := m.Find(parent)
		failed = append(failed, err)
		for _, one := range found {
			done, err := cleanInstance(m, one, limit, f.dryRun)
			failed = append(failed, err)
			out = append(out, done)
		}
	}
	return out, errors.Join(failed...)
}

func cleanInstance(m *retention.Machine, one retention.Found, limit time.Duration, dry bool) (cleanedInstance, error) {
	r := retention.Result{Found: one}
	if limit == 0 {
		limit = one.Retention
	}
	if one.Kind == retention.Aside {
		limit = max(limit, time.Hour) // nobody's any more, but maybe another gons clean's
	}
	var err error
	if one.Kept == "" && limit > 0 {
		r, err = m.Clean(one, limit, time.Now(), dry)
	}
	return cleanedInstance{
		one.Path(), one.Kind, one.User, int64(r.Age / time.Hour), r.Age, r.Size, r.Removed, r.Kept, r.Kept != "" && one.Kept == "",
	}, err
}

// knownUser implements retention.Users.
func knownUser(name string) (uid uint32, known bool, err error) {
	a, known, err := localNames{}.LookupUser(name)
	return a.UID, known, err
}

// age writes a time in the unit that people would use.
func age(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
