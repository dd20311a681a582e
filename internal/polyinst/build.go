package polyinst

import (
	"fmt"
	"slices"
	"strings"

	"gons/internal/config"
)

// Build decides what opening the session req does. It reads nothing but its arguments. An error names the line of the
// configuration; it means that the session must not be opened.
func Build(cfg *config.Config, req Request, facts Facts) (*Plan, error) {
	if err := checkUserName(req.User); err != nil {
		return nil, err
	}
	b := builder{cfg: cfg, req: req, facts: facts}
	b.plan = &Plan{User: req.User, Service: req.Service, Warnings: b.warnings()}
	if exemptByName(cfg, req) || facts.person(cfg.Exempt, req) {
		b.plan.Reason = "no namespace: exempt"
		return b.plan, nil
	}
	wanted, err := b.wanted()
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 && !cfg.Always && cfg.Home != config.HomeSlave {
		b.plan.Reason = "no namespace: no directory applies"
		return b.plan, nil
	}
	b.plan.Namespace = true
	b.plan.Reason = "a namespace of its own"
	if err := b.steps(wanted); err != nil {
		return nil, err
	}
	return b.plan, nil
}

// exemptByName reports whether the session is exempt whatever the name service says. Then it isn't asked at all: root
// must be able to log in while it is down.
func exemptByName(cfg *config.Config, req Request) bool {
	return slices.Contains(cfg.Exempt.Users, req.User) || slices.Contains(cfg.Exempt.Services, req.Service)
}

// person reports whether the session's user is named in s, by name, by another name of the same user id, or by a group.
func (f Facts) person(s config.Selector, req Request) bool {
	for _, name := range s.Users {
		if a, ok := f.Users[name]; name == req.User || ok && a.UID == req.UID {
			return true
		}
	}
	for _, name := range s.Groups {
		if f.Groups[name].Member {
			return true
		}
	}
	return false
}

type builder struct {
	cfg   *config.Config
	req   Request
	facts Facts
	plan  *Plan
}

// target is a directory that applies, with its path expanded.
type target struct {
	config.Directory
	path string
}

func (b *builder) wanted() ([]target, error) {
	var out []target
	for _, d := range b.cfg.Directories {
		if !b.applies(d) {
			continue
		}
		path, err := expandPath(d.Path, b.req)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Pos, err)
		}
		out = append(out, target{d, path})
	}
	return out, nil
}

func (b *builder) applies(d config.Directory) bool {
	only, except := d.Only, d.Except
	if len(only.Users)+len(only.Groups) > 0 && !b.facts.person(only, b.req) {
		return false
	}
	if len(only.Services) > 0 && !slices.Contains(only.Services, b.req.Service) {
		return false
	}
	return !b.facts.person(except, b.req) && !slices.Contains(except.Services, b.req.Service)
}

// homeSlot is the slot of the home's own copy; those of directories count from 0.
const homeSlot = -1

// steps orders the work: everything that can fail on what a directory holds comes before anything is attached, but for
// a directory that lies below another one, which can only be looked at once that is covered.
func (b *builder) steps(wanted []target) error {
	var pending []Attach
	if b.cfg.Home == config.HomeSlave {
		home, err := expandPath("$HOME", b.req)
		if err != nil {
			return fmt.Errorf("namespace.home: slave: %w", err)
		}
		b.add(PrepareHome{Slot: homeSlot, Path: home}) // before / leaves the group that the copy is to be a slave of
		pending = append(pending, Attach{Slot: homeSlot, Path: home, Hidden: b.hidden()})
	}
	if b.cfg.Propagation != config.PropagationUnchanged {
		b.add(Propagate{Propagation: b.cfg.Propagation})
	}
	for slot, t := range wanted {
		if slices.ContainsFunc(pending, func(a Attach) bool { return isBelow(t.path, a.Path) }) {
			b.attach(pending)
			pending = nil
		}
		if err := b.prepare(slot, t); err != nil {
			return fmt.Errorf("%s: %w", t.Pos, err)
		}
		pending = append(pending, Attach{Origin{t.Pos}, slot, t.path, b.hidden()})
	}
	b.attach(pending)
	return nil
}

func (b *builder) add(s Step) { b.plan.Steps = append(b.plan.Steps, s) }

func (b *builder) attach(pending []Attach) {
	for _, a := range pending {
		b.add(a)
	}
}

// hidden says whether / may still be in the host's peer group: there a mount that is attached as usual would appear on
// the host, over everybody's directory.
func (b *builder) hidden() bool {
	return b.cfg.Propagation == config.PropagationShared || b.cfg.Propagation == config.PropagationUnchanged
}

// isBelow reports whether path is dir or lies in it.
func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func (b *builder) prepare(slot int, t target) error {
	origin := Origin{t.Pos}
	if t.Create != nil {
		s, err := b.create(t)
		if err != nil {
			return err
		}
		b.add(s)
	}
	if t.Method == config.MethodTmpfs {
		b.add(PrepareTmpfs{origin, slot, t.path, b.req.UID, t.Options})
		return nil
	}
	parent, name, err := instancePath(t.Directory, b.req)
	if err != nil {
		return err
	}
	b.add(PrepareDirectory{
		Origin: origin, Slot: slot, Path: t.path, Parent: parent, Name: name,
		UID:   b.req.UID,
		Fresh: t.Method == config.MethodTmpdir, AnyParent: b.req.Options.IgnoreParentMode, Options: t.Options,
	})
	return nil
}

// create resolves the owner, group and mode of a directory that may have to be made (namespace.conf(5), create=).
func (b *builder) create(t target) (MakeDirectory, error) {
	c := t.Create
	s := MakeDirectory{Origin{t.Pos}, t.path, 0o777 &^ b.req.Umask, b.req.UID, b.req.GID}
	if c.Mode != nil {
		s.Mode = *c.Mode
	}
	if c.Owner != "" {
		a, ok := b.facts.Users[c.Owner]
		if !ok {
			return s, fmt.Errorf("create: no such user %q", c.Owner)
		}
		s.UID, s.GID = a.UID, a.GID
	}
	if c.Group != "" {
		g, ok := b.facts.Groups[c.Group]
		if !ok {
			return s, fmt.Errorf("create: no such group %q", c.Group)
		}
		s.GID = g.GID
	}
	return s, nil
}

// warnings are those of the configuration, and each listed name that doesn't exist: a slip there lets somebody out, or
// nobody in, without a word.
func (b *builder) warnings() []config.Warning {
	out := slices.Clone(b.cfg.Warnings)
	if exemptByName(b.cfg, b.req) {
		return out // nothing was looked up
	}
	out = append(out, b.unknown(b.cfg.Exempt, b.exemptPos())...)
	for _, d := range b.cfg.Directories {
		out = append(out, b.unknown(d.Only, d.Pos)...)
		out = append(out, b.unknown(d.Except, d.Pos)...)
	}
	return out
}

func (b *builder) exemptPos() config.Pos {
	if len(b.cfg.Files) == 0 {
		return config.Pos{}
	}
	return config.Pos{File: b.cfg.Files[0]}
}

func (b *builder) unknown(s config.Selector, pos config.Pos) []config.Warning {
	if slices.Contains(s.Users, b.req.User) {
		return nil // decided without look-ups, so nothing is known of the others
	}
	var out []config.Warning
	for _, name := range s.Users {
		if _, ok := b.facts.Users[name]; !ok {
			out = append(out, config.Warning{Pos: pos, Text: fmt.Sprintf("no such user %q", name)})
		}
	}
	for _, name := range s.Groups {
		if _, ok := b.facts.Groups[name]; !ok {
			out = append(out, config.Warning{Pos: pos, Text: fmt.Sprintf("no such group %q", name)})
		}
	}
	return out
}
