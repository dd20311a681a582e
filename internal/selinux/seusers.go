package selinux

import (
	"fmt"
	"strings"
)

// seuser is a line of seusers(5): the SELinux user and range of a login name, a %group or __default__.
type seuser struct {
	login, user, level string
}

// parseSEUser reads one line; false where it is empty or a comment.
func parseSEUser(line string) (seuser, bool, error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return seuser{}, false, nil
	}
	parts := strings.SplitN(line, ":", 3)
	if len(parts) < 2 {
		return seuser{}, false, fmt.Errorf("%.200q must be LOGIN:SEUSER or LOGIN:SEUSER:RANGE", line)
	}
	e := seuser{login: parts[0], user: firstWord(parts[1])}
	if len(parts) == 3 {
		e.level = firstWord(parts[2])
	}
	if e.login == "" || e.user == "" || len(parts) == 3 && e.level == "" {
		return seuser{}, false, fmt.Errorf("%.200q has an empty field", line)
	}
	return e, true, nil
}

func firstWord(s string) string {
	if words := strings.Fields(s); len(words) > 0 {
		return words[0]
	}
	return ""
}

// chooseSEUser returns the entry for a login name: its own, else that of the first of its groups, else __default__
// (getseuserbyname(3)). A line that can't be read is an error, where libselinux skips it: it may have been this user's.
func chooseSEUser(text, login string, inGroup func(name string) (bool, error)) (seuser, bool, error) {
	var group, fallback *seuser
	number := 0
	for line := range strings.Lines(text) {
		number++
		e, ok, err := parseSEUser(line)
		if err != nil {
			return seuser{}, false, fmt.Errorf("line %d: %w", number, err)
		}
		switch {
		case !ok:
		case e.login == login:
			return e, true, nil
		case e.login[0] == '%' && group == nil:
			member, err := inGroup(e.login[1:])
			if err != nil {
				return seuser{}, false, fmt.Errorf("line %d: %w", number, err)
			}
			if member {
				group = &e
			}
		case e.login == "__default__" && fallback == nil:
			fallback = &e
		}
	}
	if group == nil {
		group = fallback
	}
	if group == nil {
		return seuser{}, false, nil
	}
	return *group, true, nil
}

// seuserOf returns the SELinux user and range of a login name. One that seusers has no entry for is its own SELinux user,
// with no range.
func (s *SELinux) seuserOf(login string, inGroup func(name string) (bool, error)) (seuser, error) {
	text, _, err := s.policy.read("seusers", maxFile)
	if err != nil {
		return seuser{}, err
	}
	e, found, err := chooseSEUser(text, login, inGroup)
	if err != nil {
		return seuser{}, fmt.Errorf("%s/seusers: %w", s.policy.dir, err)
	}
	if !found {
		if s.policy.usersRequired {
			return seuser{}, fmt.Errorf("%s/seusers has no entry for %s and %s requires one (REQUIRESEUSERS)", s.policy.dir, login, configFile)
		}
		e = seuser{login: login, user: login}
	}
	levels, err := s.multiLevel()
	if !levels {
		e.level = ""
	}
	return e, err
}
