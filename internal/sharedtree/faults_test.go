//go:build faults

package sharedtree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/mountinfo"
	"gons/internal/safepath"
	"gons/tests/fault/kernel"
)

// boot is what gons boot does to the host.
func boot(w Wanted) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	facts, err := Gather(root, w)
	if err != nil {
		return err
	}
	plan := Build(w, facts)
	var failed []error
	for _, c := range plan.Changes {
		if err := Apply(root, c); err != nil {
			failed = append(failed, fmt.Errorf("cannot %s: %w", c, err))
		}
	}
	if len(plan.Problems) > 0 {
		failed = append(failed, errors.New(strings.Join(plan.Problems, "; ")))
	}
	return errors.Join(failed...)
}

// onHost runs f in a mount namespace of its own, in which everything is private and /mnt is empty but for a directory to
// make private and one that is to become an instance parent.
func onHost(t testing.TB, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNS)
		for _, step := range []func() error{
			func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
			func() error { return unix.Mount("test", "/mnt", "tmpfs", 0, "mode=0755") },
			func() error { return os.Mkdir("/mnt/tmp", 0o700) },
			func() error { return os.Mkdir("/mnt/fix", 0o750) },
			func() error { return os.Chown("/mnt/fix", 2001, 2001) },
		} {
			if err == nil {
				err = step()
			}
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

var wanted = Wanted{Private: []string{"/mnt/tmp"}, Parents: []Parent{{Path: "/mnt/a/inst"}, {Path: "/mnt/fix"}}}

// host is what the calling thread's host is like: the propagation of / and of the private directory, and the parents.
func host(t testing.TB) string {
	t.Helper()
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer f.Close()
	mounts, err := mountinfo.Parse(f)
	if err != nil {
		t.Error(err)
	}
	root, _ := mountinfo.Table(mounts).At("/")
	private, _ := mountinfo.Table(mounts).At("/mnt/tmp")
	out := fmt.Sprintf("/ shared: %t, /mnt/tmp a mount: %t, shared: %t", root.Peers != 0, private.Point == "/mnt/tmp", private.Peers != 0)
	err = filepath.WalkDir("/mnt", func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if path != "/mnt" && path != "/mnt/tmp" && err == nil {
			err = unix.Lstat(path, &st)
			out += fmt.Sprintf(", %s %o of %d:%d", path, st.Mode&0o7777, st.Uid, st.Gid)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

const (
	booted = "/ shared: true, /mnt/tmp a mount: true, shared: false, /mnt/a 755 of 0:0, /mnt/a/inst 0 of 0:0, /mnt/fix 0 of 0:0"
	fixed  = "/mnt/fix 0 of 0:0"
	kept   = "/mnt/fix 750 of 2001:2001"
)

// Each system call of a boot fails in turn: it says so, a directory that is to be taken over is, or is as it was, and the
// next boot does the rest.
func TestFaultsWhileBooting(t *testing.T) {
	var calls []string
	onHost(t, func() {
		calls = kernel.Run(kernel.Healthy, nil, func() { check(t, boot(wanted)) })
		if got := host(t); got != booted {
			t.Errorf("after a healthy boot: %s", got)
		}
	})
	for n, call := range calls {
		errnos, known := kernel.Try(call, n)
		if !known {
			t.Errorf("no errors are known of %s", call)
		}
		for _, errno := range errnos {
			t.Run(fmt.Sprintf("%d %s %s", n+1, call, unix.ErrnoName(errno)), func(t *testing.T) {
				onHost(t, func() { bootFails(t, n+1, errno) })
			})
		}
		onHost(t, func() {
			kernel.Run(kernel.From(n+1), nil, func() { boot(wanted) })
			bootAgain(t)
		})
	}
}

func bootFails(t *testing.T, n int, errno unix.Errno) {
	t.Helper()
	var err error
	kernel.Run(kernel.Once(n, errno), nil, func() { err = boot(wanted) })
	got := host(t)
	if err == nil && got != booted {
		t.Errorf("it says nothing, and the host is\n%s\nexpected\n%s", got, booted)
	}
	if err != nil && (!strings.Contains(err.Error(), errno.Error()) && !strings.Contains(err.Error(), "can't be ") ||
		!strings.Contains(err.Error(), "/")) {
		t.Errorf("the error doesn't say of what, or why: %v", err)
	}
	if !strings.Contains(got, fixed) && !strings.Contains(got, kept) {
		t.Errorf("a directory that couldn't be taken over: %s", got)
	}
	bootAgain(t)
}

func bootAgain(t *testing.T) {
	t.Helper()
	check(t, boot(wanted))
	if got := host(t); got != booted {
		t.Errorf("after the next boot the host is\n%s\nexpected\n%s", got, booted)
	}
}
