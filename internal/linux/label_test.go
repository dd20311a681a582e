package linux

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// open opens a path for a test as a handle.
func open(t *testing.T, path string, flags int) *Handle {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := NewHandle(fd, path)
	t.Cleanup(func() { h.Close() })
	return h
}

// Labels are extended attributes that root can set with SELinux off too, on a real file system.
func TestLabel(t *testing.T) {
	const label = "system_u:object_r:user_tmp_t:s0-s0:c5"
	dir := t.TempDir()
	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		h    *Handle
	}{
		{"a directory to look at", open(t, dir, LookAtDirectory)},
		{"a directory to read", open(t, dir, ReadDirectory)},
		{"a file to read", open(t, file, ReadFile)},
	} {
		t.Run(c.what, func(t *testing.T) {
			unix.Removexattr(c.h.Path(), labelName)
			if _, err := c.h.Label(); !Is(err, ENODATA) {
				t.Errorf("without a label: %v; want ENODATA", err)
			}
			if err := c.h.SetLabel(label); err != nil {
				t.Fatal(err)
			}
			if got, err := c.h.Label(); got != label || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, label)
			}
			if err := c.h.SetLabel("other"); err != nil {
				t.Fatal(err)
			}
			if got, _ := open(t, c.h.Path(), unix.O_RDONLY).Label(); got != "other" {
				t.Errorf("the file has %q", got)
			}
		})
	}
}

func TestLabelErrors(t *testing.T) {
	if err := open(t, "/proc/self/environ", ReadFile).SetLabel("x"); !Is(err, EOPNOTSUPP) {
		t.Errorf("on proc: %v; want EOPNOTSUPP", err)
	}
	var none *Handle
	if _, err := none.Label(); !Is(err, EBADF) {
		t.Errorf("no handle: %v; want EBADF", err)
	}
	if is, _, err := open(t, "/proc", LookAtDirectory).SELinuxFS(); is || err != nil {
		t.Errorf("/proc is selinuxfs: %v, %v", is, err)
	}
}
