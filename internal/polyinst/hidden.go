package polyinst

import (
	"gons/internal/linux"
	"gons/internal/safepath"
)

// AttachHidden attaches a tree to a mount that may share its events with another namespace, without that hearing of it
// (Linux 5.15 for a mount that does).
func AttachHidden(tree *linux.Handle, target *safepath.Dir) error { return attachHidden(tree, target) }
