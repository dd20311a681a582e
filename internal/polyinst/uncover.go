package polyinst

import (
	"fmt"

	"gons/internal/linux"
)

// uncover takes an inherited instance away. pam_namespace unmounts whatever is on top, also a file system that the host
// has mounted there; here it must be the very instance. The namespace is the new one and its tree is nobody's master, so
// the outer session keeps what it has.
func (x *executor) uncover(s Uncover) error {
	top, err := x.env.Root.Open(s.Path)
	if linux.Is(err, linux.ENOENT) || linux.Is(err, linux.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer top.Close()
	if top.Stat.Dev != s.Dev || top.Stat.Ino != s.Ino || !top.IsMountRoot() { // a mount of the user's, or one of root's
		x.done.notice(s.Pos, "%s stays covered: another mount is on top of the outer session's instance", top.Resolved)
		return nil
	}
	if err := linux.DetachHere(top.Handle); err != nil {
		return fmt.Errorf("cannot uncover %s: %w", top.Resolved, err)
	}
	x.done.uncovered = append(x.done.uncovered, top.Resolved)
	return nil
}
