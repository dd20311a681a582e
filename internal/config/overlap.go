package config

import "slices"

// warnHidden tells of two entries for one path where both may apply to a session: the later one's instance then hides
// the other's. Only the last of those before counts, which bounds the work and is where a slip is seen.
func (c *Config) warnHidden(before []Directory, d Directory) {
	for i := len(before) - 1; i >= 0; i-- {
		if old := before[i]; old.Path == d.Path {
			if !apart(old, d) && old.Method != MethodEnv && d.Method != MethodEnv {
				c.warn(d.Pos, "%s is also at %s; where both apply, the instance of this one hides the other's",
					quote(d.Path), old.Pos)
			}
			return
		}
	}
}

// apart reports whether no session is one of both directories': all that one is limited to, the other leaves out, or
// they are limited to different users or services. Who is in a group isn't known here.
func apart(a, b Directory) bool {
	return leavesOut(a.Except, b.Only) || leavesOut(b.Except, a.Only) || disjoint(a.Only, b.Only)
}

// leavesOut reports whether except has all the people, or all the services, of only.
func leavesOut(except, only Selector) bool {
	people := len(only.Users)+len(only.Groups) > 0
	return people && contains(except.Users, only.Users) && contains(except.Groups, only.Groups) ||
		len(only.Services) > 0 && contains(except.Services, only.Services)
}

// disjoint reports whether two selectors name users, or services, of which none is the same.
func disjoint(a, b Selector) bool {
	users := len(a.Groups)+len(b.Groups) == 0 && len(a.Users) > 0 && len(b.Users) > 0
	return users && !common(a.Users, b.Users) ||
		len(a.Services) > 0 && len(b.Services) > 0 && !common(a.Services, b.Services)
}

// contains reports whether all of some names are among names.
func contains(names, some []string) bool {
	set := setOf(names)
	return !slices.ContainsFunc(some, func(name string) bool { return !set[name] })
}

// common reports whether a name is in both lists.
func common(a, b []string) bool {
	set := setOf(a)
	return slices.ContainsFunc(b, func(name string) bool { return set[name] })
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}
