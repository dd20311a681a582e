package live

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gons/internal/config"
	"gons/internal/mountinfo"
	"gons/internal/polyinst"
	"gons/internal/session"
)

// Difference is one thing in which a session isn't what a login would get now.
type Difference struct {
	// Path is the directory, "/" for the namespace itself.
	Path string
	// Text says what is otherwise.
	Text string
	// Why is the configuration's line, where there is one.
	Why config.Pos
}

// Observed is what is known of a session for Diff.
type Observed struct {
	Record session.Record
	Table  mountinfo.Table
	// Resolved are the plan's directories with no symbolic link; those that aren't there are missing.
	Resolved map[string]string
	// OnDisk are the identities of instances that the plan names and that are there, by path.
	OnDisk map[string]session.Instance
}

// Diff compares a session with the plan of a login of its user. It reads nothing but its arguments. What an instance holds,
// and what a script made of it, isn't compared.
func Diff(plan *polyinst.Plan, o Observed) []Difference {
	d := differ{o: o, found: Instances(o.Record, o.Table), prepared: map[int]polyinst.Step{}}
	if !plan.Namespace {
		d.add("/", config.Pos{}, "the session has a namespace, a login would get none: %s", strings.TrimPrefix(plan.Reason, "no namespace: "))
		return d.out
	}
	for _, s := range plan.Steps {
		switch s := s.(type) {
		case polyinst.Propagate:
			d.propagation(s)
		case polyinst.PrepareDirectory:
			d.prepared[s.Slot] = s
		case polyinst.PrepareTmpfs:
			d.prepared[s.Slot] = s
		case polyinst.PrepareHome:
			d.prepared[s.Slot] = s
		case polyinst.Attach:
			d.attach(s)
		}
	}
	for i, in := range d.found {
		if !slices.Contains(d.used, i) {
			d.add(in.Path, config.Pos{}, "it is covered, and wouldn't be at a login")
		}
	}
	return d.out
}

type differ struct {
	o        Observed
	found    []Instance
	used     []int // of found
	prepared map[int]polyinst.Step
	out      []Difference
}

func (d *differ) add(path string, why config.Pos, format string, args ...any) {
	d.out = append(d.out, Difference{path, fmt.Sprintf(format, args...), why})
}

// propagation looks at / alone: what is mounted below it may have come since, or have been changed by root.
func (d *differ) propagation(s polyinst.Propagate) {
	root, ok := d.o.Table.At("/")
	fits := map[config.Propagation]bool{
		config.PropagationSlave:   root.Peers == 0,
		config.PropagationPrivate: root.Peers == 0 && root.Master == 0,
		config.PropagationShared:  root.Peers != 0,
	}
	if ok && !fits[s.Propagation] {
		d.add("/", s.Why(), "it is %s, and would be made %s", root.Propagation(), s.Propagation)
	}
}

func (d *differ) attach(s polyinst.Attach) {
	path := s.Path
	if resolved, ok := d.o.Resolved[path]; ok {
		path = resolved
	}
	at := -1
	for i, in := range d.found {
		if at < 0 && in.Path == path && !slices.Contains(d.used, i) {
			at = i
		}
	}
	if at < 0 {
		d.add(s.Path, s.Why(), "it isn't covered")
		return
	}
	d.used = append(d.used, at)
	in := d.found[at]
	switch {
	case in.Kind == Missing:
		d.add(s.Path, s.Why(), "what covered it was unmounted")
		return
	case in.Hidden:
		d.add(s.Path, s.Why(), "something else is mounted on top of the instance")
	}
	switch p := d.prepared[s.Slot].(type) {
	case polyinst.PrepareDirectory:
		d.directory(p, in)
	case polyinst.PrepareTmpfs:
		d.tmpfs(p, in)
	}
}

func (d *differ) directory(p polyinst.PrepareDirectory, in Instance) {
	if in.Kind != Directory {
		d.add(p.Path, p.Why(), "it is covered by a %s, and would be by a directory", in.Kind)
		return
	}
	d.options(p.Path, p.Origin, p.Options, in)
	if p.Fresh || p.ByContext.Method != "" {
		return // named when it is made
	}
	want := strings.TrimSuffix(p.Parent, "/") + "/" + p.Name
	if onDisk, ok := d.o.OnDisk[want]; !ok {
		d.add(p.Path, p.Why(), "it is covered by %s, and would be by %s, which isn't there", in.Shows, want)
	} else if onDisk != in.Identity {
		d.add(p.Path, p.Why(), "it is covered by %s, and would be by %s", in.Shows, want)
	}
}

func (d *differ) tmpfs(p polyinst.PrepareTmpfs, in Instance) {
	if in.Kind != Tmpfs {
		d.add(p.Path, p.Why(), "it is covered by a %s, and would be by a tmpfs", in.Kind)
		return
	}
	d.options(p.Path, p.Origin, p.Options, in)
	have := map[string]string{}
	for _, m := range d.o.Table {
		if m.Point == in.Path && m.FileSystem == "tmpfs" {
			for _, option := range strings.Split(m.Super, ",") {
				key, value, _ := strings.Cut(option, "=")
				have[key] = value
			}
		}
	}
	for _, option := range p.Options.Data {
		key, value, _ := strings.Cut(option, "=")
		want, known := amount(value)
		got, told := amount(have[key])
		if (key == "size" || key == "nr_inodes") && known && told && want != got {
			d.add(p.Path, p.Why(), "its %s is %s, and would be %s", key, have[key], value)
		}
	}
}

// amount reads a number with one of tmpfs(5)'s suffixes. A share of memory is none that could be compared.
func amount(text string) (uint64, bool) {
	shift := 0
	if text != "" {
		if at := strings.IndexByte("kmg", text[len(text)-1]|0x20); at >= 0 {
			shift, text = 10*(at+1), text[:len(text)-1]
		}
	}
	n, err := strconv.ParseUint(text, 10, 34)
	return n << shift, err == nil
}

func (d *differ) options(path string, origin polyinst.Origin, want config.MountOptions, in Instance) {
	have := mountinfo.Mount{Options: in.Options}
	for _, o := range []struct {
		on   bool
		name string
	}{{want.NoSuid, "nosuid"}, {want.NoDev, "nodev"}, {want.NoExec, "noexec"}} {
		if o.on && !have.Has(o.name) {
			d.add(path, origin.Why(), "it is mounted without %s", o.name)
		}
	}
}
