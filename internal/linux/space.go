package linux

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Extent is what a file takes, and when it was last touched.
type Extent struct {
	Stat
	// Bytes is what it takes on disk.
	Bytes uint64
	// Changed is the later of its last modification and its last change of status; a user can set the first, not the second.
	Changed time.Time
}

// Extent returns what h takes.
func (h *Handle) Extent() (Extent, error) {
	st, err := h.Stat()
	if err != nil {
		return Extent{}, err
	}
	var more unix.Statx_t
	err = call("statx", func() error {
		return unix.Statx(h.Fd(), "", unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT, unix.STATX_BLOCKS|unix.STATX_MTIME|unix.STATX_CTIME, &more)
	})
	runtime.KeepAlive(h)
	changed, modified := timeOf(more.Ctime), timeOf(more.Mtime)
	if modified.After(changed) {
		changed = modified
	}
	return Extent{st, more.Blocks * 512, changed}, err
}

func timeOf(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// Space is what a file system has room for, in bytes. Size is 0 for one without a limit.
type Space struct{ Used, Size uint64 }

// Space returns what the file system that holds h has room for, and whether that is a tmpfs.
func (h *Handle) Space() (s Space, tmpfs bool, err error) {
	var st unix.Statfs_t
	err = call("fstatfs", func() error { return unix.Fstatfs(h.Fd(), &st) })
	runtime.KeepAlive(h)
	block := uint64(st.Bsize)
	return Space{(st.Blocks - st.Bfree) * block, st.Blocks * block}, err == nil && int64(st.Type) == unix.TMPFS_MAGIC, err
}

// DeviceName writes a Stat's Dev as mount tables have it, "254:0".
func DeviceName(dev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)) }
