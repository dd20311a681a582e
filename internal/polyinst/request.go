// Package polyinst decides what a session's namespace looks like, and makes it so.
//
// The deciding half is pure: Build turns a Config, a Request and Facts into a Plan, a list of steps that can be printed
// and compared. The same Build serves the module and gons plan. The doing half (apply.go and what it calls) executes a
// Plan on handles and returns a Journal that can undo what outlives the namespace. What is done about namespaces
// themselves, session records and PAM belongs to packages module and session; the host at boot to sharedtree.
package polyinst

import "gons/internal/config"

// Request is one session to be opened: what PAM says about it.
type Request struct {
	// User is PAM_USER, verbatim: instance names are made of it.
	User string
	// Service is PAM_SERVICE, "sshd".
	Service string
	// UID, GID and Home are the user's in the name service.
	UID, GID uint32
	Home     string
	// Umask is the host's, for directories made with a default mode.
	Umask uint32
	// Options are the module's, from the PAM line.
	Options Options
}

// Options are the module's options that change a plan (pam_namespace(8) has the same).
type Options struct {
	// GenHash makes every instance name an MD5 sum.
	GenHash bool
	// IgnoreParentMode skips the check that an instance parent is root's with mode 000.
	IgnoreParentMode bool
}

// Account is what the name service knows of a user.
type Account struct{ UID, GID uint32 }

// Group is what the name service knows of a group, and whether the session's user is in it.
type Group struct {
	GID    uint32
	Member bool
}

// Facts are what a Plan depends on beside Config and Request. A name that is in neither map doesn't exist.
type Facts struct {
	Users  map[string]Account
	Groups map[string]Group
}

// NameService looks names up. ok is false for a name that doesn't exist.
type NameService interface {
	LookupUser(name string) (a Account, ok bool, err error)
	LookupGroup(name string) (g Group, ok bool, err error)
}

// Gather looks up the names that a Plan for req can depend on, each once, and no others: with a directory server every
// look-up is a query in the way of a login. A list that names the session's user literally is decided without one.
func Gather(cfg *config.Config, req Request, names NameService) (Facts, error) {
	g := gatherer{names, req, Facts{map[string]Account{}, map[string]Group{}}, map[string]bool{}}
	if exemptByName(cfg, req) {
		return g.facts, nil
	}
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
	return g.facts, err
}

type gatherer struct {
	names NameService
	req   Request
	facts Facts
	asked map[string]bool // "user:NAME" and "group:NAME", found or not
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
