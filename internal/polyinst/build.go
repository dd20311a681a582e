package polyinst

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gons/internal/config"
	"gons/internal/md5"
)

// Build decides what opening the session req does. It reads nothing but its arguments. An error names the line of the
// configuration; it means that the session must not be opened.
func Build(cfg *config.Config, req Request, facts Facts) (*Plan, error) {
	if err := checkUserName(req.User); err != nil {
		return nil, err
	}
	b := builder{cfg: cfg, req: req, facts: facts}
	b.options = cfg.Options.With(req.Options)
	b.plan = &Plan{User: req.User, Service: req.Service, Warnings: b.warnings()}
	if exemptByName(cfg, req) || facts.person(cfg.Exempt, req) {
		b.exempt()
		return b.plan, nil
	}
	if b.options.RequireSELinux && !facts.Machine.SELinux {
		return nil, errors.New("SELinux is off, and the configuration requires it (require_selinux)")
	}
	targets, err := b.wanted()
	if err != nil {
		return nil, err
	}
	inherited, err := b.inherited()
	if err != nil {
		return nil, err
	}
	if b.plan.Environment, err = b.environment(targets); err != nil {
		return nil, err
	}
	covers := func(t target) bool { return !isEnvironment(t.Directory) }
	if !slices.ContainsFunc(targets, covers) && len(inherited) == 0 && !cfg.Always && cfg.Home != config.HomeSlave {
		b.plan.Reason = "no namespace: no directory applies"
		if len(targets) > 0 {
			b.plan.Reason = "no namespace: no directory is covered"
		}
		for _, t := range targets {
			b.add(t.prepare)
		}
		return b.plan, nil
	}
	b.plan.Namespace, b.plan.Scope = true, config.ScopeSession
	b.plan.Reason = "a namespace of its own"
	if err := b.steps(inherited, targets); err != nil {
		return nil, err
	}
	if cfg.Scope == config.ScopeUser {
		b.share()
	}
	return b.plan, nil
}

// exempt says what becomes of an exempt session.
func (b *builder) exempt() {
	b.plan.Reason = "no namespace: exempt"
	through := b.cfg.HostServices
	if b.cfg.ExemptAction == config.ActionHost && (len(through) == 0 || slices.Contains(through, b.req.Service)) {
		b.plan.Host, b.plan.Reason = true, "back to the host's namespace: exempt"
	}
}

// share makes it a plan for all sessions of the user.
func (b *builder) share() {
	p := b.plan
	p.Scope, p.Linger, p.Chrooted = config.ScopeUser, b.cfg.Linger, b.cfg.Chrooted
	p.Fingerprint = fingerprint(p.Steps)
	p.Reason = "the namespace that all sessions of the user share, which the first one makes"
}

// fingerprint is the digest of what the steps come to, whichever session of the user they are for: where in a file they
// are written doesn't matter, nor the umask of the host that happens to be the first.
func fingerprint(steps []Step) string {
	var text strings.Builder
	for _, s := range steps {
		if m, ok := s.(MakeDirectory); ok {
			m.Mode = 0
			s = m
		}
		fmt.Fprintln(&text, strings.TrimSuffix(s.String(), Origin{s.Why()}.suffix()))
	}
	return md5.Hex(text.String())
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
	cfg     *config.Config
	req     Request
	facts   Facts
	options config.Options // of the configuration and of the PAM line
	plan    *Plan
}

// target is a directory that applies, ready but for the steps of others: with its path expanded, and with what it takes
// to make and to prepare it.
type target struct {
	config.Directory
	path    string
	parent  string // "" for a tmpfs
	make    []Step
	prepare Step
	keep    []Step
	init    []Step
}

// errNoContext isn't the configuration's fault, so that ignore_config_error must not open the session without the directory.
var errNoContext = errors.New("pam_selinux has set none; put it before, or use the options use_current_context or use_default_context")

// wanted returns what the session's user gets. With ignore_config_error, a directory that can't be had is left out.
func (b *builder) wanted() ([]target, error) {
	if b.options.Inherited == config.InheritedUnmountOnly {
		return nil, nil
	}
	var out []target
	for _, d := range b.cfg.Directories {
		if !b.facts.applies(d, b.req) {
			continue
		}
		t, err := b.target(len(out), d)
		if err == nil {
			out = append(out, t)
			continue
		}
		err = fmt.Errorf("%s: %w", d.Pos, err)
		if !b.options.SkipBad || errors.Is(err, errNoContext) {
			return nil, err
		}
		b.plan.Warnings = append(b.plan.Warnings, config.Warning{Pos: d.Pos, Text: fmt.Sprintf("left out: %v", errors.Unwrap(err))})
	}
	return out, nil
}

// applies reports whether a directory is one for the session's user and service.
func (f Facts) applies(d config.Directory, req Request) bool {
	only, except := d.Only, d.Except
	if len(only.Users)+len(only.Groups) > 0 && !f.person(only, req) {
		return false
	}
	if len(only.Services) > 0 && !slices.Contains(only.Services, req.Service) {
		return false
	}
	return !f.person(except, req) && !slices.Contains(except.Services, req.Service)
}

// homeSlot is the slot of the home's own copy; those of directories count from 0.
const homeSlot = -1

// steps orders the work: everything that can fail on what a directory holds comes before anything is attached. But what
// lies below a covered directory, an instance parent too, can only be looked at once that is covered; and a script may
// do anything that the next directory needs.
func (b *builder) steps(inherited []Step, targets []target) error {
	var pending []cover
	if b.cfg.Home == config.HomeSlave {
		home, err := expandPath("$HOME", b.req)
		if err != nil {
			return fmt.Errorf("namespace.home: slave: %w", err)
		}
		b.add(PrepareHome{Slot: homeSlot, Path: home}) // before / leaves the group that the copy is to be a slave of
		pending = append(pending, cover{Attach{Slot: homeSlot, Path: home, Hidden: b.hidden()}, nil})
	}
	if b.cfg.Propagation != config.PropagationUnchanged {
		b.add(Propagate{Propagation: b.cfg.Propagation})
	}
	b.add(inherited...)
	for slot, t := range targets {
		below := func(c cover) bool { return isBelow(t.path, c.Path) || t.parent != "" && isBelow(t.parent, c.Path) }
		if slices.ContainsFunc(pending, below) {
			b.attach(&pending)
		}
		b.add(t.make...)
		b.add(t.prepare)
		if isEnvironment(t.Directory) {
			continue
		}
		pending = append(pending, cover{Attach{Origin{t.Pos}, slot, t.path, b.hidden()}, t.keep})
		if len(t.init) > 0 {
			b.attach(&pending)
			b.add(t.init...)
		}
	}
	b.attach(&pending)
	return nil
}

func (b *builder) add(steps ...Step) { b.plan.Steps = append(b.plan.Steps, steps...) }

// cover is what covers a directory, and what stays visible of that.
type cover struct {
	Attach
	keep []Step
}

func (b *builder) attach(pending *[]cover) {
	for _, c := range *pending {
		b.add(c.Attach)
		b.add(c.keep...)
	}
	*pending = nil
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

func (b *builder) target(slot int, d config.Directory) (t target, err error) {
	t.Directory = d
	if isEnvironment(d) {
		step, path, err := b.ownDirectory(d)
		t.prepare, t.path, t.parent = step, path, step.Parent
		return t, err
	}
	if t.path, err = expandPath(d.Path, b.req); err != nil {
		return t, err
	}
	if d.Create != nil {
		step, err := b.create(t)
		if err != nil {
			return t, err
		}
		t.make = []Step{step}
	}
	init := b.facts.Machine.init(d)
	written := "tmpfs"
	if d.Method == config.MethodTmpfs {
		t.prepare = PrepareTmpfs{Origin{d.Pos}, slot, t.path, b.req.UID, init.Kind == config.InitBuiltin, b.home(t, init), expandOptions(d.Options, b.req)}
	} else {
		step, path, err := b.directory(slot, t, init)
		if err != nil {
			return t, err
		}
		t.prepare, t.parent, written = step, path.parent, path.written
	}
	if len(d.Keep) > 0 {
		t.keep = []Step{Keep{Origin{d.Pos}, slot, t.path, d.Keep, b.req.User, b.req.UID, d.Options, b.hidden()}}
	}
	if init.Kind == config.InitScript {
		t.init = []Step{RunInit{Origin{d.Pos}, slot, init.Script, t.path, written, b.req.User, b.req.Umask, init.IgnoreFailure}}
	}
	return t, nil
}

// directory is the step for an instance on disk.
func (b *builder) directory(slot int, t target, init config.Init) (PrepareDirectory, instancePath, error) {
	d, err := b.fallBack(t.Directory)
	if err != nil {
		return PrepareDirectory{}, instancePath{}, err
	}
	s := PrepareDirectory{
		Origin: Origin{d.Pos}, Slot: slot, Path: t.path, UID: b.req.UID, Shared: d.Shared,
		Fresh:     d.Method == config.MethodTmpdir,
		AnyParent: b.options.IgnoreParentMode || d.AnyParent, ParentMode: d.ParentMode,
		Restore: init.Kind == config.InitBuiltin, Home: b.home(t, init), Scripted: init.Kind == config.InitScript, Keeps: len(d.Keep) > 0,
		Options: d.Options,
	}
	name := freshSuffix
	switch d.Method {
	case config.MethodUser:
		name = InstanceName(difference(d.Method, b.req.User, "", d.Shared), b.options.GenHash)
	case config.MethodLevel, config.MethodContext:
		name = ""
		s.ByContext = ByContext{d.Method, b.facts.Machine.Context, b.req.User, d.Shared, b.options.GenHash}
	}
	path, err := newInstancePath(d, b.req, name)
	s.Parent, s.Name = path.parent, path.name
	if err == nil && s.Name == "" && s.ByContext.Method == "" {
		err = fmt.Errorf("%s names no instance: a shared one needs a name of its own", d.InstancePrefix)
	}
	return s, path, err
}

// fallBack is d with the method that it comes to where SELinux is off: user, as namespace.conf(5) says. One directory
// for all can't come to one for each.
func (b *builder) fallBack(d config.Directory) (config.Directory, error) {
	switch {
	case !byContext(d):
	case b.facts.Machine.SELinux && b.facts.Machine.Context == "":
		return d, fmt.Errorf("method %s needs the session's SELinux context, and %w", d.Method, errNoContext)
	case b.facts.Machine.SELinux:
	case d.Shared:
		return d, fmt.Errorf("method %s, shared, needs SELinux, which is off", d.Method)
	default:
		b.plan.Notices = append(b.plan.Notices, config.Warning{Pos: d.Pos, Text: fmt.Sprintf("SELinux is off: method user instead of %s", d.Method)})
		d.Method = config.MethodUser
	}
	return d, nil
}

// skeleton is what a new home is filled with (useradd(8)).
const skeleton = "/etc/skel"

// home says how a new instance is filled: only one that is the home itself.
func (b *builder) home(t target, init config.Init) Home {
	if init.Kind != config.InitBuiltin || t.path != b.req.Home {
		return Home{}
	}
	return Home{t.path, skeleton, b.facts.Machine.HomeMode, b.req.Umask, b.req.UID, b.req.GID}
}

// inherited are the steps that take away what covers directories for the requester.
func (b *builder) inherited() ([]Step, error) {
	if b.cfg.Scope == config.ScopeUser { // its namespaces are copies of the host's, in which nothing is inherited
		if b.options.Inherited == config.InheritedUnmountOnly {
			return nil, errors.New("unmnt_only contradicts namespace.scope: user, in whose namespaces nothing is inherited")
		}
		return nil, nil
	}
	var out []Step
	for _, c := range b.facts.Machine.Inherited {
		out = append(out, Uncover{Path: c.Path, Dev: c.Dev, Ino: c.Ino})
	}
	if len(out) > 0 && b.hidden() {
		return nil, fmt.Errorf("inherited instances can't be unmounted with propagation %s: the outer session would lose them", b.cfg.Propagation)
	}
	return out, nil
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
