package selinux

import (
	"fmt"
	"strings"
)

// DefaultContext returns the context that a user logs in with from the calling thread's own, as pam_namespace's option
// use_default_context has it: getseuserbyname(3), then get_default_context_with_level(3). inGroup answers whether the
// user is in a group; it is asked only where seusers names groups.
func (s *SELinux) DefaultContext(login string, inGroup func(name string) (bool, error)) (string, error) {
	c, err := s.defaultContext(login, inGroup)
	if err != nil {
		return "", fmt.Errorf("cannot find the default SELinux context of %s: %w", login, err)
	}
	return c.String(), nil
}

func (s *SELinux) defaultContext(login string, inGroup func(name string) (bool, error)) (Context, error) {
	e, err := s.seuserOf(login, inGroup)
	if err != nil {
		return Context{}, err
	}
	if strings.ContainsAny(e.user, "/:\x00") || e.user == "." || e.user == ".." { // it becomes a file's name
		return Context{}, fmt.Errorf("%q can't be an SELinux user", e.user)
	}
	current, err := s.CurrentContext()
	if err != nil {
		return Context{}, err
	}
	from, err := ParseContext(current)
	if err != nil {
		return Context{}, err
	}
	if e.level != "" {
		from.Range = e.level
	}
	for _, name := range []string{"contexts/users/" + e.user, "contexts/default_contexts"} {
		c, found, err := s.firstOffer(name, e.user, from)
		if found || err != nil {
			return c, err
		}
	}
	return s.failsafe(e.user)
}

// firstOffer returns the first context that a file offers and the policy knows.
func (s *SELinux) firstOffer(name, user string, from Context) (Context, bool, error) {
	text, _, err := s.policy.read(name, maxFile)
	if err != nil {
		return Context{}, false, err
	}
	for _, c := range offers(text, user, from) {
		if ok, err := s.valid(c); ok || err != nil {
			return c, ok, err
		}
	}
	return Context{}, false, nil
}

// offers returns what the first line for the role and type of from offers to an SELinux user, best first, with from's
// range (default_contexts(5)). What isn't ROLE:TYPE is passed over, a comment too.
func offers(text, user string, from Context) []Context {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		parts := strings.SplitN(words[0], ":", 3)
		if len(parts) < 2 || parts[0] != from.Role || parts[1] != from.Type {
			continue
		}
		var out []Context
		for _, word := range words[1:] {
			c, err := ParseContext(user + ":" + word)
			if err == nil {
				c.Range = from.Range
				out = append(out, c)
			}
		}
		return out
	}
	return nil
}

// failsafe returns the context for a user whom no file offers one (failsafe_context(5)).
func (s *SELinux) failsafe(user string) (Context, error) {
	const name = "contexts/failsafe_context"
	text, found, err := s.policy.read(name, maxFile)
	if err != nil {
		return Context{}, err
	}
	if !found {
		return Context{}, fmt.Errorf("the policy offers none, and %s/%s is missing", s.policy.dir, name)
	}
	first, _, _ := strings.Cut(text, "\n")
	c, err := ParseContext(user + ":" + strings.TrimSpace(first))
	if err != nil {
		return Context{}, fmt.Errorf("%s/%s: %w", s.policy.dir, name, err)
	}
	ok, err := s.valid(c)
	if err == nil && !ok {
		err = fmt.Errorf("the policy offers none, and doesn't know %s of %s/%s", c, s.policy.dir, name)
	}
	return c, err
}
