package mountinfo

import (
	"fmt"
	"slices"
	"strings"
)

// Propagation says in a word, or two, how events pass: "private", "shared", "slave", "slave,shared" or "unbindable".
func (m Mount) Propagation() string {
	var words []string
	if m.Master != 0 {
		words = append(words, "slave")
	}
	if m.Peers != 0 {
		words = append(words, "shared")
	}
	switch {
	case m.Unbindable:
		return "unbindable"
	case len(words) == 0:
		return "private"
	}
	return strings.Join(words, ",")
}

// Has reports whether the mount has one of its options, as "nosuid".
func (m Mount) Has(option string) bool { return slices.Contains(strings.Split(m.Options, ","), option) }

// Shows says what the mount shows: "tmpfs", or of a directory of a file system "/dev/vda1[/tmp-inst/alice]".
func (m Mount) Shows() string {
	if m.Root == "/" || m.Root == "" {
		return m.Source
	}
	return fmt.Sprintf("%s[%s]", m.Source, m.Root)
}

// Node is a mount with those that are mounted on it.
type Node struct {
	Mount
	Mounts []Node
}

// maxDepth bounds a tree: each mount of a user's can lie on the one before.
const maxDepth = 200

// Tree orders the table from its root down; mounts on one mount are in the order of the table. A table without a root has
// no tree, and what lies deeper than 200 mounts isn't in it.
func (t Table) Tree() (Node, bool) {
	root, ok := t.Root()
	if !ok {
		return Node{}, false
	}
	children := map[uint64][]Mount{}
	for _, m := range t {
		if m.ID != root.ID && m.ID != m.Parent {
			children[m.Parent] = append(children[m.Parent], m)
		}
	}
	return grow(root, children, maxDepth), true
}

func grow(m Mount, children map[uint64][]Mount, depth int) Node {
	n := Node{Mount: m}
	if depth == 0 {
		return n
	}
	for _, c := range children[m.ID] {
		n.Mounts = append(n.Mounts, grow(c, children, depth-1))
	}
	return n
}
