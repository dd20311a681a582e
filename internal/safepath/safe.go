package safepath

import (
	"fmt"
	"strings"

	"gons/internal/linux"
)

// IsSafe reports whether nobody but root can exchange path's last component: every directory above it is root's and not
// writable by group or others unless it is sticky, and symbolic links on the way are root's. It is what init scripts
// get as $5 and $6 (linux-pam, commit 592d84e1), with the same result but where a link of root's leads through
// directories of a user, or / itself is a user's: pam_namespace looks at neither. What can't be reached isn't safe.
func (r *Root) IsSafe(path string) bool {
	if path != "" && strings.Trim(path, "/") == "" {
		return true // "/" has nothing above it
	}
	dir, _, err := r.OpenParent(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	return dir.Trusted && rootsAlone(dir.Stat)
}

// OpenTrusted opens a regular file for reading that only root can have written or put where it is, as Files with Strict
// does. A missing one is fs.ErrNotExist.
func (r *Root) OpenTrusted(path string) (*linux.Handle, error) {
	return Files{Root: r, Strict: true}.open(path, 0)
}

// OpenTrustedDirectory opens a directory for listing that only root can have put where it is, or anything in. A missing
// one is fs.ErrNotExist.
func (r *Root) OpenTrustedDirectory(path string) (*linux.Handle, error) {
	dir, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if !dir.Trusted || !rootsAlone(dir.Stat) {
		return nil, fmt.Errorf("cannot trust %s: others than root can write to it or the way to it", path)
	}
	h, err := dir.OpenAt(".", linux.ReadDirectory, false)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	return h.Named(path), nil
}
