// Package polyinst decides what a session's namespace looks like, and makes it so.
//
// The deciding half is pure: Build turns a Config, a Request and Facts into a Plan, a list of steps that can be printed
// and compared. The same Build serves the module and gons plan. The doing half (apply.go and what it calls) executes a
// Plan on handles and returns a Journal that can undo what outlives the namespace. What is done about namespaces
// themselves, session records and PAM belongs to packages module and session; the host at boot to sharedtree.
package polyinst

import (
	"errors"
	"fmt"
	"slices"

	"gons/internal/config"
)

// Request is one session to be opened: what PAM says about it.
type Request struct {
	// User is PAM_USER, verbatim: instance names are made of it.
	User string
	// Service is PAM_SERVICE, "sshd".
	Service string
	// UID, GID and Home are the user's in the name service.
	UID, GID uint32
	Home     string
	// Requester is who asks for the session (PAM_RUSER), "" where PAM names nobody; then it is the user that the host
	// runs for, RequesterUID.
	Requester    string
	RequesterUID uint32
	// Umask is the host's, for directories made with a default mode.
	Umask uint32
	// Options are the module's, from the PAM line; those of the configuration come before them.
	Options config.Options
}

// Account is what the name service knows of a user.
type Account struct {
	UID, GID uint32
	// Name is that of the entry, which need not be the one that was asked for.
	Name, Home string
}

// Group is what the name service knows of a group, and whether the session's user is in it.
type Group struct {
	GID    uint32
	Member bool
}

// Facts are what a Plan depends on beside Config and Request. A name that is in neither map doesn't exist.
type Facts struct {
	Users  map[string]Account
	Groups map[string]Group
	// Requester is who asks for the session; zero where that doesn't matter.
	Requester Account
	Machine   MachineFacts
}

// MachineFacts are what a Plan depends on of the machine. What doesn't matter to a configuration isn't looked at.
type MachineFacts struct {
	// SELinux says whether it is on, and Context is the session's context then; "" where none is set.
	SELinux bool
	Context string
	// Standard is what InitStandard comes to: InitNone, InitBuiltin, or InitScript with a path.
	Standard config.Init
	// HomeMode is the mode of a new home (login.defs(5), UMASK).
	HomeMode uint32
	// Inherited are the instances that cover directories in the namespace the session is opened from, the last first.
	Inherited []Covering
}

// Covering is a directory that an instance covers, and the instance's identity.
type Covering struct {
	Path     string
	Dev, Ino uint64
}

// NameService looks names up. ok is false for a name that doesn't exist.
type NameService interface {
	LookupUser(name string) (a Account, ok bool, err error)
	LookupUID(uid uint32) (a Account, ok bool, err error)
	LookupGroup(name string) (g Group, ok bool, err error)
}

// Machine looks at the machine.
type Machine interface {
	// SELinux returns whether it is on and, where that is asked for, a session's context: "" where none is set.
	SELinux(user string, names NameService, want bool, source config.ContextSource) (on bool, context string, err error)
	// StandardInit returns what the host's namespace.init comes to.
	StandardInit() (config.Init, error)
	// HomeMode returns the mode of a new home.
	HomeMode() (uint32, error)
	// Inherited returns the instances that cover directories in this process's namespace by the records of sessions, the
	// last first.
	Inherited() ([]Covering, error)
	// Covers returns what covers the directory path, where that is the entry name of parent.
	Covers(path, parent, name string) (c Covering, ok bool)
	// Remains returns what covers the directory path, where one can see that it is a session's that has been closed, and
	// has no record any more: a tmpfs of gons' own, or a directory that was removed.
	Remains(path string) (c Covering, ok bool)
}

// ErrUserUnknown says that the requester isn't known to the name service.
var ErrUserUnknown = errors.New("no such user")

// Gather finds out what a Plan for req can depend on, and nothing else. Each name is looked up once: with a directory
// server every look-up is a query in the way of a login. A list that names the session's user literally is decided
// without one.
func Gather(cfg *config.Config, req Request, names NameService, machine Machine) (Facts, error) {
	g := gatherer{names, req, Facts{Users: map[string]Account{}, Groups: map[string]Group{}}, map[string]bool{}}
	if exemptByName(cfg, req) {
		return g.facts, nil
	}
	if err := g.requester(cfg); err != nil {
		return g.facts, err
	}
	if err := g.lists(cfg); err != nil {
		return g.facts, err
	}
	return g.facts, g.machine(cfg, machine)
}

type gatherer struct {
	names NameService
	req   Request
	facts Facts
	asked map[string]bool // "user:NAME" and "group:NAME", found or not
}

// requester looks up who asks. pam_namespace always does, and fails where there is no such user.
func (g *gatherer) requester(cfg *config.Config) error {
	if !cfg.Legacy && !uncovers(cfg.Options.With(g.req.Options)) {
		return nil
	}
	who := fmt.Sprintf("%q, who asks for the session (PAM_RUSER)", g.req.Requester)
	a, ok, err := Account{}, false, error(nil)
	if g.req.Requester != "" {
		a, ok, err = g.names.LookupUser(g.req.Requester)
	} else {
		who = fmt.Sprintf("%d, who the host runs for", g.req.RequesterUID)
		a, ok, err = g.names.LookupUID(g.req.RequesterUID)
	}
	if err == nil && !ok {
		err = ErrUserUnknown
	}
	if err != nil {
		return fmt.Errorf("cannot look up user %s: %w", who, err)
	}
	g.facts.Requester = a
	return nil
}

func uncovers(o config.Options) bool {
	return o.Inherited == config.InheritedUnmount || o.Inherited == config.InheritedUnmountOnly
}

// lists looks up the names in the configuration.
func (g *gatherer) lists(cfg *config.Config) error {
	err := g.selector(cfg.Exempt)
	for i := range cfg.Directories {
		d := &cfg.Directories[i]
		for _, s := range []config.Selector{d.Only, d.Except} {
			if err == nil {
				err = g.selector(s)
			}
		}
		if err == nil && d.Create != nil {
			err = g.create(*d.Create)
		}
	}
	return err
}

// machine looks at what the user's directories make depend on it. A broken script, or policy, is no matter for those who get
// none, root among them.
func (g *gatherer) machine(cfg *config.Config, m Machine) (err error) {
	f, o := &g.facts.Machine, cfg.Options.With(g.req.Options)
	if g.facts.person(cfg.Exempt, g.req) {
		return nil
	}
	has := func(is func(config.Directory) bool) bool {
		return slices.ContainsFunc(cfg.Directories, func(d config.Directory) bool { return g.facts.applies(d, g.req) && is(d) })
	}
	labelled := has(byContext)
	if labelled || o.RequireSELinux {
		if f.SELinux, f.Context, err = m.SELinux(g.req.User, g.names, labelled, o.Context); err != nil {
			return err
		}
	}
	if has(func(d config.Directory) bool { return d.Init.Kind == config.InitStandard }) {
		if f.Standard, err = m.StandardInit(); err != nil {
			return err
		}
	}
	if has(func(d config.Directory) bool { return f.init(d).Kind == config.InitBuiltin && isHome(d, g.req) }) {
		if f.HomeMode, err = m.HomeMode(); err != nil {
			return err
		}
	}
	if uncovers(o) && cfg.Scope != config.ScopeUser {
		f.Inherited, err = g.inherited(cfg, m)
	}
	return err
}

// inherited is what covers directories for the requester: what the records tell, and what can be seen of it, as for an
// instance of pam_namespace's, or of a session that was closed and whose processes (tmux, nohup) live on. What lies in
// another one comes first.
func (g *gatherer) inherited(cfg *config.Config, m Machine) ([]Covering, error) {
	out, err := m.Inherited()
	if err != nil {
		return nil, err
	}
	who := g.facts.Requester
	req := Request{User: who.Name, UID: who.UID, GID: who.GID, Home: who.Home}
	for _, d := range slices.Backward(cfg.Directories) {
		if c, ok := g.covers(d, req, cfg, m); ok && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out, nil
}

// covers is what covers a directory for who asks, as far as the file system tells.
func (g *gatherer) covers(d config.Directory, who Request, cfg *config.Config, m Machine) (Covering, bool) {
	path, err := expandPath(d.Path, who)
	switch {
	case err != nil || checkUserName(who.User) != nil:
		return Covering{}, false
	case d.Method == config.MethodTmpfs || d.Method == config.MethodTmpdir:
		return m.Remains(path)
	case d.Method != config.MethodUser || d.Shared:
		return Covering{}, false
	}
	at, err := newInstancePath(d, who, InstanceName(who.User, cfg.Options.With(g.req.Options).GenHash))
	if err != nil {
		return Covering{}, false
	}
	return m.Covers(path, at.parent, at.name)
}

// byContext reports whether the instances of d are named by an SELinux context.
func byContext(d config.Directory) bool {
	return d.Method == config.MethodLevel || d.Method == config.MethodContext
}

// isHome reports whether d is the user's home itself, and not something in it.
func isHome(d config.Directory, req Request) bool { return Expand(d.Path, req) == req.Home }

// init is a directory's Init with InitStandard resolved.
func (f MachineFacts) init(d config.Directory) config.Init {
	if d.Init.Kind != config.InitStandard {
		return d.Init
	}
	standard := f.Standard
	standard.IgnoreFailure = d.Init.IgnoreFailure
	return standard
}

func (g *gatherer) selector(s config.Selector) error {
	for _, u := range s.Users {
		if u == g.req.User {
			return nil
		}
	}
	for _, u := range s.Users { // another name of the same user id counts, as it does for pam_namespace
		if err := g.user(u); err != nil {
			return err
		}
	}
	for _, name := range s.Groups {
		if err := g.group(name); err != nil {
			return err
		}
	}
	return nil
}

func (g *gatherer) create(c config.Create) error {
	if c.Owner != "" {
		if err := g.user(c.Owner); err != nil {
			return err
		}
	}
	if c.Group != "" {
		return g.group(c.Group)
	}
	return nil
}

func (g *gatherer) user(name string) error {
	if g.asked["user:"+name] {
		return nil
	}
	g.asked["user:"+name] = true
	a, ok, err := g.names.LookupUser(name)
	if ok {
		g.facts.Users[name] = a
	}
	return err
}

func (g *gatherer) group(name string) error {
	if g.asked["group:"+name] {
		return nil
	}
	g.asked["group:"+name] = true
	a, ok, err := g.names.LookupGroup(name)
	if ok {
		g.facts.Groups[name] = a
	}
	return err
}
