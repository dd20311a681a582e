package doctor

import (
	"errors"
	"io/fs"

	"gons/internal/config"
	"gons/internal/live"
	"gons/internal/retention"
	"gons/internal/safepath"
	"gons/internal/session"
)

func (f *Facts) lookAtSessions(root *safepath.Root, cfg *config.Config, users retention.Users) {
	store, err := session.OpenExisting(root)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		f.RecordErrors = append(f.RecordErrors, err.Error())
		return
	}
	defer store.Close()
	all, failed := live.All(store, session.Proc{})
	for _, err := range failed {
		f.RecordErrors = append(f.RecordErrors, err.Error())
	}
	for _, s := range all {
		if s.State == live.Dead {
			f.Dead++
		} else {
			f.Open++
		}
	}
	if cfg == nil {
		return
	}
	more := sizeBounds.More()
	machine := &retention.Machine{Root: root, Store: store, Users: users}
	for _, p := range retention.Parents(cfg) {
		f.Instances = append(f.Instances, lookAtInstances(machine, root, p, more))
	}
}

func lookAtInstances(m *retention.Machine, root *safepath.Root, p retention.Parent, more func() bool) Instances {
	out := Instances{Parent: p.Path}
	found, err := m.Find(p)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	total := live.Size{}
	for _, one := range found {
		switch {
		case one.Kind == retention.Other, one.Kind == retention.OfUser && !one.Known:
			out.Strangers++
		case one.Kept == "":
			out.Count++
			add(&total, root, one.Path(), more)
		}
	}
	out.Size = total.String()
	return out
}

func add(total *live.Size, root *safepath.Root, path string, more func() bool) {
	dir, err := root.Open(path)
	if err != nil {
		total.AtLeast = true
		return
	}
	defer dir.Close()
	size, err := live.MeasureDirectory(dir.Handle, more)
	total.Bytes += size.Bytes
	total.AtLeast = total.AtLeast || size.AtLeast || err != nil
}
