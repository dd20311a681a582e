// Package mountinfo reads mount tables, as /proc shows them (proc_pid_mountinfo(5)), and answers questions about them. It
// opens no file and knows no policy: whose table it is, and what it should be like, belongs to its callers.
package mountinfo

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Mount is one line of a mount table (proc_pid_mountinfo(5)).
type Mount struct {
	ID, Parent uint64
	// Device is that of its files, "254:0".
	Device string
	// Root is the directory of its file system that it shows, and Point where it is mounted.
	Root, Point string
	// Options are the mount's own, as "rw,nosuid"; FileSystem's are in Super.
	Options string
	// Peers is its peer group, 0 where it isn't shared; Master the group it is a slave of, 0 where it is none.
	Peers, Master uint64
	// Unbindable mounts are private and can't be shared without being made bindable first.
	Unbindable bool
	// FileSystem is the type, Source what was mounted, and Super the options of the file system: "tmpfs", "tmpfs" and
	// "rw,size=1024k".
	FileSystem, Source, Super string
}

// Parse reads a mount table. A line that it doesn't understand is an error: a guess could make a mount shared that must
// not be.
func Parse(r io.Reader) ([]Mount, error) {
	var out []Mount
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		m, err := parseLine(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("mount table, line %d: %w", n, err)
		}
		out = append(out, m)
	}
	return out, lines.Err()
}

// parseLine reads "36 35 98:0 /root /point options [optional…] - type source options".
func parseLine(line string) (Mount, error) {
	fields := strings.Split(line, " ")
	if len(fields) < 7 {
		return Mount{}, fmt.Errorf("%q has too few fields", line)
	}
	id, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return Mount{}, err
	}
	parent, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return Mount{}, err
	}
	m := Mount{ID: id, Parent: parent, Device: fields[2], Root: unescape(fields[3]), Point: unescape(fields[4]), Options: fields[5]}
	for i, f := range fields[6:] {
		if f == "-" {
			m.describe(fields[6+i+1:])
			return m, nil
		}
		if err := m.optional(f); err != nil {
			return Mount{}, err
		}
	}
	return Mount{}, fmt.Errorf("%q has no separator", line)
}

// describe reads what follows the separator. It is for people to read, so that what is missing is no error.
func (m *Mount) describe(fields []string) {
	for i, to := range []*string{&m.FileSystem, &m.Source, &m.Super} {
		if i < len(fields) {
			*to = unescape(fields[i])
		}
	}
}

func (m *Mount) optional(field string) (err error) {
	tag, value, _ := strings.Cut(field, ":")
	switch tag {
	case "shared":
		m.Peers, err = strconv.ParseUint(value, 10, 64)
	case "master":
		m.Master, err = strconv.ParseUint(value, 10, 64)
	case "unbindable":
		m.Unbindable = true
	} // others, propagate_from among them, say nothing that matters here
	return err
}

// unescape undoes the kernel's \040 for space, tab, newline and backslash.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Table answers questions about a mount table.
type Table []Mount

// At returns the mount that a walk to path, which has no symbolic links, ends on. ok is false when path lies above the
// table's root, as in a chroot.
func (t Table) At(path string) (m Mount, ok bool) {
	m, ok = t.Root()
	if !ok {
		return m, false
	}
	prefixes := []string{"/"}
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			prefixes = append(prefixes, path[:i])
		}
	}
	if path != "/" {
		prefixes = append(prefixes, path)
	}
	for _, p := range prefixes {
		m = t.top(m, p)
	}
	return m, true
}

// Root is the lowest mount of /: the one whose parent isn't in the table, or is itself.
func (t Table) Root() (Mount, bool) {
	for _, m := range t {
		if m.Point == "/" && (m.Parent == m.ID || !t.has(m.Parent)) {
			return m, true
		}
	}
	return Mount{}, false
}

func (t Table) has(id uint64) bool {
	for _, m := range t {
		if m.ID == id {
			return true
		}
	}
	return false
}

// top climbs from m over everything that is stacked on it at point.
func (t Table) top(m Mount, point string) Mount {
	for range t { // a bound: mounts in a circle are no table of the kernel's, but this must end
		next := slices.IndexFunc(t, func(c Mount) bool { return c.Parent == m.ID && c.ID != m.ID && c.Point == point })
		if next < 0 {
			break
		}
		m = t[next]
	}
	return m
}

// Visible reports whether a walk to m's mount point ends on m: another mount may cover it.
func (t Table) Visible(m Mount) bool {
	at, ok := t.At(m.Point)
	return ok && at.ID == m.ID
}
