package session

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gons/internal/linux"
)

// Processes is what is known of the machine's processes.
type Processes interface {
	// Start returns when a process was started, in clock ticks since boot; 0 where that can't be told. ok is false when
	// there is no such process.
	Start(pid int) (ticks uint64, ok bool)
	// InNamespace returns a process in the mount namespace that was started at since or later, when there is one.
	InNamespace(ns Namespace, since uint64) (p Process, ok bool)
	// InNamespaceBut is InNamespace for any process but some and their children.
	InNamespaceBut(ns Namespace, closed []Process) (p Process, ok bool)
	// Open opens the mount namespace, when the process, or one of its threads, is in it.
	Open(p Process, ns Namespace) (*linux.Handle, bool)
	// Kill kills a process if it is in the mount namespace.
	Kill(pid int, ns Namespace) error
	// PIDNamespace returns the inode number of the caller's pid namespace; 0 when it isn't known.
	PIDNamespace() uint64
}

// killing is how long processes that were killed may take to end. One that waits for a dead server takes longer.
const killing = 300 * time.Millisecond

// KillScripts kills what scripts have left running of a session that was never opened, whose host or worker was killed: a
// later session of the user runs the script again, and what is left of the first run would go on, as root, in a
// directory that is the user's by then. Before Linux 6.11 only one that is pinned can't have become another's.
func KillScripts(r Record, p Processes) {
	if r.Namespace.ID == 0 && !r.Pinned {
		return
	}
	if !r.Scripts || r.PIDNamespace == 0 || r.PIDNamespace != p.PIDNamespace() {
		return
	}
	for until := time.Now().Add(killing); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		found, ok := p.InNamespace(r.Namespace, r.Started)
		if !ok || found.PID == 0 || found.PID == r.Leader.PID || p.Kill(found.PID, r.Namespace) != nil {
			return
		}
	}
}

// Alive reports whether anything is left of a session's processes, or is in a namespace that sessions share. found is a process to look at the next time. Where
// it can't be told, the session counts as alive: removing what somebody uses is worse than keeping it.
func (s *Store) Alive(r Record, p Processes) (alive bool, found Process) {
	if r.PIDNamespace == 0 || r.PIDNamespace != p.PIDNamespace() {
		return true, r.Leader
	}
	if r.IsShared() {
		return s.sharedAlive(r, p)
	}
	if lives(r.Leader, p) {
		return true, r.Leader
	}
	if r.Namespace.Inode == 0 {
		return false, Process{}
	}
	other, ok := p.InNamespace(r.Namespace, r.Started)
	return ok, other
}

// Proc is Processes from /proc.
type Proc struct{}

// Start reads /proc/PID/stat. A zombie that nobody has waited for yet is no process any more; a process whose first
// thread has ended while others live is shown as one, too, and counts.
func (Proc) Start(pid int) (uint64, bool) {
	stat, err := readStat(pid)
	if err != nil {
		return 0, !endedProcess(err)
	}
	return stat.start, stat.alive
}

// stat is some of what /proc/PID/stat says (proc_pid_stat(5)).
type stat struct {
	parent int
	start  uint64 // in clock ticks since boot
	alive  bool
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	const state, parent, threads, start = 0, 4 - 3, 20 - 3, 22 - 3 // counted from after the name, which may hold spaces and parentheses
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) <= start {
		return stat{}, nil
	}
	var s stat
	if n, err := strconv.Atoi(fields[threads]); fields[state] == "X" || fields[state] == "Z" && err == nil && n <= 1 {
		return s, nil
	}
	s.parent, _ = strconv.Atoi(fields[parent])
	s.start, err = strconv.ParseUint(fields[start], 10, 64)
	s.alive = err == nil
	return s, nil
}

// endedProcess reports whether a file below /proc couldn't be read because its process has ended. Other errors, as that too
// many files are open, prove nothing.
func endedProcess(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || linux.Is(err, linux.ESRCH)
}

// InNamespace looks through all processes. One that can't be looked at (root without CAP_SYS_PTRACE, no memory) could be in
// the namespace, so it counts as one that is, without a name, unless it is older.
func (p Proc) InNamespace(ns Namespace, since uint64) (Process, bool) {
	return p.search(ns, since, func(int) bool { return false })
}

// InNamespaceBut implements Processes.
func (p Proc) InNamespaceBut(ns Namespace, closed []Process) (Process, bool) {
	return p.search(ns, 0, func(pid int) bool {
		s, err := readStat(pid)
		is := func(c Process) bool { return c.PID == pid && c.Start == s.start || c.PID == s.parent }
		return err == nil && slices.ContainsFunc(closed, is)
	})
}

func (p Proc) search(ns Namespace, since uint64, skip func(pid int) bool) (Process, bool) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Process{}, true
	}
	unknown := false
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		have, err := namespaceInode(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if (err == nil && have == ns.Inode && isNamespace(pid, ns) || p.headless(pid, err) && threadIn(pid, ns)) && !skip(pid) {
			start, _ := p.Start(pid)
			return Process{pid, start}, true
		}
		if err != nil && !endedProcess(err) {
			start, ok := p.Start(pid)
			unknown = unknown || ok && (start >= since || start == 0)
		}
	}
	return Process{}, unknown
}

// headless reports whether a process lives whose first thread has ended, so that it seems to be in no namespace.
func (p Proc) headless(pid int, err error) bool {
	if err == nil || !endedProcess(err) {
		return false
	}
	_, alive := p.Start(pid)
	return alive
}

func threadIn(pid int, ns Namespace) bool {
	h, ok := openOfThread(pid, ns)
	if ok {
		h.Close()
	}
	return ok
}

// maxThreads bounds the threads of a host that are looked at.
const maxThreads = 4096

// Open implements Processes. The process is looked at last: when it is the one then, it was the one all along.
func (p Proc) Open(of Process, ns Namespace) (*linux.Handle, bool) {
	h, ok := openIfNamespace(fmt.Sprintf("/proc/%d/ns/mnt", of.PID), ns)
	if !ok {
		h, ok = openOfThread(of.PID, ns)
	}
	if !ok {
		return nil, false
	}
	if start, alive := p.Start(of.PID); !alive || start != of.Start || start == 0 {
		h.Close()
		return nil, false
	}
	return h, true
}

// openOfThread is for hosts with threads, of which only the one that opened the session is in its namespace.
func openOfThread(pid int, ns Namespace) (*linux.Handle, bool) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(dir)
	if err != nil || len(threads) > maxThreads {
		return nil, false
	}
	for _, t := range threads {
		if h, ok := openIfNamespace(dir+"/"+t.Name()+"/ns/mnt", ns); ok {
			return h, true
		}
	}
	return nil, false
}

func openIfNamespace(path string, ns Namespace) (*linux.Handle, bool) {
	h, err := linux.OpenNamespace(path)
	if err != nil {
		return nil, false
	}
	if NamespaceOf(h) == ns {
		return h, true
	}
	h.Close()
	return nil, false
}

// Kill implements Processes.
func (Proc) Kill(pid int, ns Namespace) error {
	return linux.KillIf(pid, func() bool {
		have, err := namespaceInode(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		return err == nil && have == ns.Inode && isNamespace(pid, ns)
	})
}

// isNamespace reports whether the namespace of a process is the one and not a later one with the same inode number.
// Where that can't be told, it counts as the one.
func isNamespace(pid int, ns Namespace) bool {
	if ns.ID == 0 {
		return true
	}
	h, err := linux.OpenNamespaceOf(pid)
	if err != nil {
		return !linux.Is(err, linux.ENOENT)
	}
	defer h.Close()
	id, err := h.NamespaceID()
	return err != nil || id == ns.ID
}

// PIDNamespace reads /proc/self/ns/pid.
func (Proc) PIDNamespace() uint64 {
	inode, _ := namespaceInode("/proc/self/ns/pid")
	return inode
}

// namespaceInode reads the number from a link like "mnt:[4026531841]".
func namespaceInode(path string) (uint64, error) {
	link, err := os.Readlink(path)
	if err != nil {
		return 0, err
	}
	_, number, _ := strings.Cut(strings.TrimSuffix(link, "]"), "[")
	return strconv.ParseUint(number, 10, 64)
}
