package live

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"gons/internal/linux"
	"gons/internal/mountinfo"
)

// OwnMounts is the mount table of the calling thread.
func OwnMounts() (mountinfo.Table, error) {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot read the mount table: %w", err)
	}
	defer f.Close()
	return mountinfo.Parse(io.LimitReader(f, maxTable))
}

// MountedIn returns the names of the entries of a directory, a path in its file system, that are mounted anywhere, or
// something below them: in the namespace of some process. It holds no more than these, since a user can have any number of
// mounts. A process that can't be looked at is an error: it could have anything mounted.
func MountedIn(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	names, seen := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if err := addMounted(pid, dir, names, seen); err != nil && !ended(err) {
			return nil, err
		}
	}
	return names, nil
}

func ended(err error) bool {
	return errors.Is(err, os.ErrNotExist) || linux.Is(err, linux.ESRCH) || linux.Is(err, linux.EINVAL) // EINVAL: a zombie's table
}

func addMounted(pid int, dir string, names, seen map[string]bool) error {
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil || seen[ns] {
		return err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	mounts, err := mountinfo.Parse(io.LimitReader(f, maxTable))
	if err != nil {
		return err
	}
	seen[ns] = true
	for _, m := range mounts {
		if below, ok := strings.CutPrefix(m.Root, strings.TrimSuffix(dir, "/")+"/"); ok {
			name, _, _ := strings.Cut(below, "/")
			names[strings.Clone(name)] = true // not all of the table with it
		}
	}
	return nil
}
