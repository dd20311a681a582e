package doctor

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"gons/internal/pamstack"
)

const (
	gons      = "pam_gons.so"
	namespace = "pam_namespace.so"
)

// logins are the services by which people, and their jobs, come in. One that has no line for the module is told of where
// another has one: its sessions see what the others don't.
var logins = []string{
	"sshd", "login", "su", "su-l", "cron", "crond", "atd", "systemd-user", "gdm-password", "gdm-autologin", "gdm-fingerprint", "lightdm",
	"lightdm-autologin", "sddm", "sddm-autologin", "xdm", "xrdp-sesman", "cockpit", "remote", "vsftpd",
}

// pam says which services have the module, and whether it is at a good place there.
func (r *report) pam(f Facts) {
	with := 0
	for _, s := range f.Stacks {
		for _, p := range s.Problems {
			r.add(Warning, "pam", s.Service, p, "")
		}
		if len(s.Find(gons)) > 0 {
			with++
		}
	}
	if with == 0 {
		r.add(Problem, "pam", "", "no service has a line for pam_gons.so: no session is private", "see /usr/share/doc/gons/examples/pam.d")
	}
	for _, s := range f.Stacks {
		if len(s.Find(gons)) > 0 {
			r.stack(s, f)
		} else {
			r.without(s, with > 0)
		}
	}
	if f.SSHD && !f.UsePAM {
		r.add(Problem, "pam", "/etc/ssh/sshd_config", "sshd doesn't use PAM: its sessions aren't private", "set `UsePAM yes`, and systemctl reload ssh")
	}
}

// without looks at a stack that has no line for the module.
func (r *report) without(s pamstack.Stack, others bool) {
	switch {
	case len(s.Find(namespace)) > 0:
		r.add(Warning, "pam", s.Service, "it has pam_namespace.so, and not pam_gons.so",
			edit(s.Rules[s.Find(namespace)[0]].File, "s/pam_namespace.so/pam_gons.so/"))
	case others && slices.Contains(logins, s.Service):
		r.add(Warning, "pam", s.Service, "it has no line for pam_gons.so: its sessions see the host's directories",
			edit(s.File, "$a session required pam_gons.so"))
	}
}

// stack looks at one that has the module.
func (r *report) stack(s pamstack.Stack, f Facts) {
	before := len(*r)
	at := s.Find(gons)
	rule := s.Rules[at[0]]
	if len(at) > 1 {
		second := s.Rules[at[1]]
		r.add(Problem, "pam", s.Service, fmt.Sprintf("pam_gons.so is there twice, %s and %s: the second opens a session within the first",
			rule.Where(), second.Where()), remove(own(s, rule, second)))
	}
	if other := s.Find(namespace); len(other) > 0 {
		second := s.Rules[other[0]]
		r.add(Problem, "pam", s.Service, fmt.Sprintf("pam_namespace.so, %s, is there, too: both cover the same directories", second.Where()), remove(second))
	}
	if other := s.Find("pam_tmpdir.so"); len(other) > 0 {
		r.add(Warning, "pam", s.Service, fmt.Sprintf("pam_tmpdir.so, %s, sets TMPDIR to /tmp/user/UID, which a private /tmp has no need of",
			s.Rules[other[0]].Where()), "pam-auth-update --remove tmpdir")
	}
	r.order(s, at[0], f)
	r.control(s, rule)
	if len(*r) == before {
		r.add(OK, "pam", s.Service, fmt.Sprintf("pam_gons.so, %s", rule.Where()), "")
	}
}

func (r *report) control(s pamstack.Stack, rule pamstack.Rule) {
	if rule.Control == "optional" {
		r.add(Warning, "pam", s.Service, fmt.Sprintf("pam_gons.so, %s, is optional: where it fails, the session opens and nothing in it is private", rule.Where()),
			edit(rule.File, fmt.Sprintf(`%d{/pam_gons\.so/s/optional/required/}`, rule.Line)))
	}
}

// own is the one of two rules that stands in the service's own file, and not in one that others include, too: su-l includes
// su. Of two such it is the second.
func own(s pamstack.Stack, first, second pamstack.Rule) pamstack.Rule {
	if path.Base(first.File) == s.Service && path.Base(second.File) != s.Service {
		return first
	}
	return second
}

// remove takes a line away that still is that module's: an earlier fix may have moved it.
func remove(rule pamstack.Rule) string {
	return edit(rule.File, fmt.Sprintf(`%d{/%s/d}`, rule.Line, strings.ReplaceAll(rule.Name(), ".", `\.`)))
}

// neighbour is a module that has to come before pam_gons.so, and why.
type neighbour struct {
	module, why string
	applies     func(pamstack.Rule, Facts) bool
}

// level says how bad it is when it comes after.
func (n neighbour) level(f Facts) Level {
	if n.why == lateMount && !f.Private {
		return Warning
	}
	return Problem
}

const lateMount = "a /run/user/UID that is mounted after it may not arrive in the session"

var earlier = []neighbour{
	{"pam_systemd.so", lateMount, always},
	{"pam_elogind.so", lateMount, always},
	{"pam_selinux.so", "it sets the context that instances are made for", func(r pamstack.Rule, f Facts) bool {
		return f.ByContext && !slices.Contains(r.Args, "close")
	}},
	{"pam_mkhomedir.so", "a directory depends on $HOME, which it makes", home},
	{"pam_oddjob_mkhomedir.so", "a directory depends on $HOME, which it makes", home},
	{"pam_mount.so", "a directory depends on $HOME, which it mounts", home},
	{"pam_ecryptfs.so", "a directory depends on $HOME, which it mounts", home},
	{"pam_fscrypt.so", "a directory depends on $HOME, which it unlocks", home},
}

func always(pamstack.Rule, Facts) bool   { return true }
func home(_ pamstack.Rule, f Facts) bool { return f.Home }

// order looks for what has to come before the module, and comes after it.
func (r *report) order(s pamstack.Stack, at int, f Facts) {
	for _, e := range earlier {
		for _, i := range s.Find(e.module) {
			if rule := s.Rules[i]; i > at && e.applies(rule, f) {
				r.add(e.level(f), "pam", s.Service, fmt.Sprintf("%s, %s, comes after pam_gons.so: %s", e.module, rule.Where(), e.why),
					"make pam_gons.so the last session line of "+s.Rules[at].File)
			}
		}
	}
}
