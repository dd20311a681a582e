package live

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"gons/internal/linux"
	"gons/internal/mountinfo"
	"gons/internal/safepath"
	"gons/internal/session"
)

// maxTable bounds what is read of a mount table: a user's namespace may have 100,000 mounts (fs.mount-max).
const maxTable = 64 << 20

// Place is a mount namespace that was found, and the process it was found by.
type Place struct {
	// Namespace is a handle of it.
	Namespace *linux.Handle
	// Target is nil where the namespace was found by a file.
	Target *linux.Target
	// dir is that of the process below its own in /proc, or of one of its threads, "task/17/".
	dir string
}

// Close closes the handles.
func (p *Place) Close() error { return errors.Join(p.Namespace.Close(), p.Target.Close()) }

// ErrNoProcess says that a session has no process by which its namespace could be found.
var ErrNoProcess = errors.New("no process of the session's was found")

// Find opens the namespace of a session. The leader may have ended, or be one whose other thread opened the session; then
// any process in the namespace will do. A process counts only while it is held and its namespace is the record's.
func Find(s Session, p session.Processes) (*Place, error) {
	if s.Namespace.Inode == 0 {
		return nil, fmt.Errorf("cannot enter session %s: it has no namespace yet", s.ID)
	}
	if s.Process.PID != 0 {
		if place, err := at(s.Process, s.Record, p); err == nil {
			return place, nil
		}
	}
	other, ok := p.InNamespace(s.Namespace, s.Started)
	if !ok || other.PID == 0 {
		return nil, fmt.Errorf("cannot find the namespace of session %s: %w", s.ID, ErrNoProcess)
	}
	place, err := at(other, s.Record, p)
	if err != nil {
		return nil, fmt.Errorf("cannot find the namespace of session %s: %w", s.ID, err)
	}
	return place, nil
}

// at opens the namespace of a process that must be in the session's. It may be another process by now, so it is held
// first and judged then; on a kernel that numbers namespaces for good, the number alone would do.
func at(process session.Process, r session.Record, p session.Processes) (*Place, error) {
	place, err := OfProcess(process.PID)
	if err != nil {
		return nil, err
	}
	start, ok := p.Start(process.PID)
	switch {
	case !ok || start != process.Start || !place.Target.Lives():
		err = fmt.Errorf("process %d is another one by now", process.PID)
	case !same(session.NamespaceOf(place.Namespace), r.Namespace) && !place.goToThread(r.Namespace):
		err = fmt.Errorf("process %d is in another namespace", process.PID)
	}
	if err != nil {
		place.Close()
		return nil, err
	}
	return place, nil
}

// goToThread moves the place to the thread of its process that is in the namespace, and reports whether there is one: of a
// host with several, only the thread that opened the session is.
func (p *Place) goToThread(ns session.Namespace) bool {
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.Target.PID()))
	for _, t := range threads {
		dir := "task/" + t.Name() + "/"
		h, err := p.Target.Open(dir + "ns/mnt")
		if err != nil {
			continue
		}
		if same(session.NamespaceOf(h), ns) {
			p.Namespace.Close()
			p.Namespace, p.dir = h, dir
			return true
		}
		h.Close()
	}
	return false
}

func same(a, b session.Namespace) bool {
	return a.Inode == b.Inode && (a.ID == b.ID || a.ID == 0 || b.ID == 0)
}

// OfProcess opens the mount namespace of a process.
func OfProcess(pid int) (*Place, error) {
	target, err := linux.OpenTarget(pid)
	if err != nil {
		return nil, fmt.Errorf("cannot find process %d: %w", pid, err)
	}
	ns, err := target.Open("ns/mnt")
	if err != nil {
		target.Close()
		return nil, err
	}
	return &Place{Namespace: ns, Target: target}, nil
}

// OfFile opens the mount namespace that a file is, as gons run --persist and unshare --mount=FILE make them.
func OfFile(path string) (*Place, error) {
	ns, err := linux.OpenNamespaceFile(path)
	if linux.Is(err, linux.EINVAL) {
		return nil, fmt.Errorf("cannot enter %s: it is no namespace", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	kind, err := ns.NamespaceKind()
	if err == nil && kind != "mount" {
		err = fmt.Errorf("cannot enter %s: it is a %s namespace, not a mount namespace", path, kind)
	}
	if err != nil {
		ns.Close()
		return nil, err
	}
	return &Place{Namespace: ns}, nil
}

// Mounts returns the mount table of the place, as its process sees it.
func (p *Place) Mounts() (mountinfo.Table, error) {
	h, err := p.Target.Open(p.dir + "mountinfo")
	if err != nil {
		return nil, err
	}
	defer h.Close()
	mounts, err := mountinfo.Parse(io.LimitReader(h, maxTable))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", h.Path(), err)
	}
	return mounts, nil
}

// Inside runs f on a thread of its own in the namespace, with its root there. The thread is given up afterwards.
func (p *Place) Inside(f func(root *safepath.Root) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the runtime ends the thread with the goroutine
		done <- p.inside(f)
	}()
	return <-done
}

func (p *Place) inside(f func(root *safepath.Root) error) error {
	if err := linux.EnterMountNamespace(p.Namespace, nil); err != nil {
		return fmt.Errorf("cannot enter the namespace: %w", err)
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root)
}

// Owner returns the effective user id of the place's process.
func (p *Place) Owner() (uint32, error) {
	h, err := p.Target.Open("status")
	if err != nil {
		return 0, err
	}
	defer h.Close()
	const effective = 2 // "Uid:", the real one, the effective one (proc_pid_status(5))
	data, err := io.ReadAll(io.LimitReader(h, 64<<10))
	for _, line := range strings.Split(string(data), "\n") {
		if fields := strings.Fields(line); len(fields) > effective && fields[0] == "Uid:" {
			uid, err := strconv.ParseUint(fields[effective], 10, 32)
			return uint32(uid), err
		}
	}
	return 0, errors.Join(fmt.Errorf("cannot read %s: no line with user ids", h.Path()), err)
}
