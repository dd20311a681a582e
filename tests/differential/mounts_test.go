package differential_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// mount is a line of mountinfo, proc_pid_mountinfo(5).
type mount struct {
	device                  string
	id, parent, root, point string
	flags, kind, source     string
	super                   string
	shared, master          string // peer groups
}

// table is a mount table, bottom first where mounts lie on one another. Binds of a directory on itself are kept apart,
// as if they weren't there: pam_namespace makes them on the way to directories of users'.
type table struct {
	mounts    []mount
	selfBinds string
}

func mountTable(process string) table {
	data, err := os.ReadFile("/proc/" + process + "/mountinfo")
	if err != nil {
		return table{selfBinds: err.Error()}
	}
	var all table
	for _, line := range strings.Split(strings.TrimSpace(normal(string(data))), "\n") {
		all.mounts = append(all.mounts, parseMount(line))
	}
	return all.sorted()
}

// sorted is the table in order, without the binds of directories on themselves.
func (t table) sorted() (out table) {
	var binds []string
	for _, m := range t.mounts {
		up, _ := t.byID(m.parent)
		for t.isSelfBind(up) {
			up, _ = t.byID(up.parent)
		}
		if t.isSelfBind(m) {
			binds = append(binds, m.point)
		} else {
			m.parent = up.id
			out.mounts = append(out.mounts, m)
		}
	}
	slices.Sort(binds)
	label := out.label
	out.mounts = slices.SortedStableFunc(slices.Values(out.mounts), func(a, b mount) int { return strings.Compare(label(a), label(b)) })
	out.selfBinds = strings.Join(binds, " ")
	return out
}

// isSelfBind reports whether a mount shows what would be there without it.
func (t table) isSelfBind(m mount) bool {
	up, ok := t.byID(m.parent)
	return ok && m.device == up.device && m.root == path.Join(up.root, strings.TrimPrefix(m.point, up.point))
}

func parseMount(line string) mount {
	before, after, _ := strings.Cut(line, " - ")
	f, rest := strings.Fields(before), strings.SplitN(after, " ", 3)
	m := mount{device: f[2], id: f[0], parent: f[1], root: f[3], point: f[4], flags: f[5], kind: rest[0], source: rest[1], super: rest[2]}
	for _, group := range f[6:] {
		if number, ok := strings.CutPrefix(group, "shared:"); ok {
			m.shared = number
		}
		if number, ok := strings.CutPrefix(group, "master:"); ok {
			m.master = number
		}
	}
	return m
}

// label is the mount point, and how many mounts at this point are below, as /tmp#2.
func (t table) label(m mount) string {
	if depth := t.depth(m); depth > 0 {
		return fmt.Sprintf("%s#%d", m.point, depth)
	}
	return m.point
}

func (t table) depth(m mount) int {
	if up, ok := t.byID(m.parent); ok && up.point == m.point {
		return t.depth(up) + 1
	}
	return 0
}

func (t table) byID(id string) (mount, bool) {
	i := slices.IndexFunc(t.mounts, func(m mount) bool { return m.id == id })
	if i < 0 {
		return mount{}, false
	}
	return t.mounts[i], true
}

// line is a mount without its propagation and without numbers.
func (t table) line(m mount) string {
	on := ""
	if up, ok := t.byID(m.parent); ok {
		on = t.label(up)
	}
	return fmt.Sprintf("%s on %q: %s of %s %s %s %s", t.label(m), on, m.root, m.kind, m.source, m.flags, m.super)
}

func (t table) String() string {
	var out []string
	for _, m := range t.mounts {
		out = append(out, t.line(m))
	}
	return strings.Join(out, "\n")
}

// whole is the table with the propagation.
func (t table) whole() string {
	var out []string
	for _, m := range t.mounts {
		out = append(out, t.line(m)+" "+m.relation(t.groups()))
	}
	return strings.Join(out, "\n")
}

// groups are the peer groups that mounts of the table are in.
func (t table) groups() map[string]bool {
	out := map[string]bool{}
	for _, m := range t.mounts {
		if m.shared != "" {
			out[m.shared] = true
		}
	}
	return out
}

// relation tells what a mount shares with whom; host are the peer groups of the host's mounts.
func (m mount) relation(host map[string]bool) string {
	whose := func(group string) string {
		if host[group] {
			return "the host's"
		}
		return "its own"
	}
	var out []string
	if m.shared != "" {
		out = append(out, "peer of "+whose(m.shared))
	}
	if m.master != "" {
		out = append(out, "slave of "+whose(m.master))
	}
	if len(out) == 0 {
		return "private"
	}
	return strings.Join(out, ", ")
}

// propagation tells the relation of each mount that the host has too, and those that the session's own ones have.
func (t table) propagation(host table) string {
	groups, common, own := host.groups(), []string{}, map[string]bool{}
	lines := strings.Split(host.String(), "\n")
	for _, m := range t.mounts {
		if relation := m.relation(groups); slices.Contains(lines, t.line(m)) {
			common = append(common, t.label(m)+": "+relation)
		} else {
			own["the session's own: "+relation] = true
		}
	}
	return strings.Join(append(common, slices.Sorted(maps.Keys(own))...), "\n")
}
