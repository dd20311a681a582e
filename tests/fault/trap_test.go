package fault_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// part is who makes a call, and when.
type part string

const (
	opening part = "gate, opening"
	opener  part = "worker, opening"
	cleaner part = "worker, cleaning up" // after an opener that failed
	closing part = "gate, closing"
	closer  part = "worker, closing"
)

// point is a moment of a run: before a part's n-th call, from 1, of that name. Counted by name, it is the same one in the
// next run, though a Go program doesn't map memory equally often each time.
type point struct {
	part part
	call string
	n    int
}

func (p point) String() string { return fmt.Sprintf("%s, %s %d", p.part, p.call, p.n) }

// verdict is what becomes of a call: it is made, or fails with an errno; and who is killed before.
type verdict struct {
	errno                unix.Errno
	killHost, killWorker bool
}

// judge decides about a call.
type judge func(point) verdict

// trapped runs pamhost with each of its calls, and its workers', judged. It returns those that were, in order.
func trapped(t testing.TB, j judge, args ...string) (report, []point) {
	t.Helper()
	cmd, out := command(t, append([]string{"--trap", trapList()}, args...)...)
	points := supervise(t, cmd, j)
	return parse(out.String()), points
}

// supervise runs a command that is pamhost with a trap.
func supervise(t testing.TB, cmd *exec.Cmd, j judge) []point {
	t.Helper()
	must(t, cmd.Start())
	s := &supervisor{host: cmd.Process.Pid, judge: j, roles: map[int]part{}, counts: map[point]int{}, threads: map[uint32]process{}}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	watch := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
	defer watch.Stop()
	if listener := s.listener(t, ended); listener >= 0 {
		s.serve(t, listener)
		unix.Close(listener)
	}
	<-ended
	return s.points
}

// supervisor decides about the calls of one run.
type supervisor struct {
	host    int
	judge   judge
	marks   int          // of the host's
	roles   map[int]part // of processes
	threads map[uint32]process
	counts  map[point]int
	points  []point
}

// process is whose a thread is.
type process struct{ pid, parent int }

// listener takes the filter's descriptor from the host, which waits for that; -1 when the host has ended.
func (s *supervisor) listener(t testing.TB, ended chan struct{}) int {
	t.Helper()
	pidfd, err := unix.PidfdOpen(s.host, 0)
	if err != nil {
		return -1
	}
	defer unix.Close(pidfd)
	for {
		select {
		case <-ended:
			return -1
		default:
		}
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.host))
		for _, file := range files {
			if to, _ := os.Readlink(file); to == "anon_inode:seccomp notify" {
				number, _ := strconv.Atoi(filepath.Base(file))
				if fd, err := unix.PidfdGetfd(pidfd, number, 0); err == nil {
					return fd
				}
			}
		}
		pause()
	}
}

// notification is struct seccomp_notif, answer struct seccomp_notif_resp (include/uapi/linux/seccomp.h).
type notification struct {
	id         uint64
	pid, flags uint32
	nr, arch   uint32
	ip         uint64
	args       [6]uint64
}

type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

const (
	notifReceive  = 0xc0502100
	notifSend     = 0xc0182101
	notifContinue = 1
)

// serve answers until every process with the filter has ended.
func (s *supervisor) serve(t testing.TB, listener int) {
	for {
		fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			return
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifReceive, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // who made the call was killed
		}
		a := answer{id: n.id, flags: notifContinue}
		if errno := s.decide(&n); errno != 0 {
			a.flags, a.errno = 0, -int32(errno)
		}
		unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifSend, uintptr(unsafe.Pointer(&a)))
	}
}

func (s *supervisor) decide(n *notification) unix.Errno {
	who, known := s.threads[n.pid]
	if !known {
		who.pid, who.parent = processOf(int(n.pid))
		s.threads[n.pid] = who
	}
	pid, parent := who.pid, who.parent
	if n.nr == unix.SYS_GETPPID && pid == s.host {
		s.marks++
		return 0
	}
	name := n.name()
	p := s.part(pid, parent)
	if p == "" || name == "" {
		return 0
	}
	kind := point{part: p, call: name}
	s.counts[kind]++
	at := point{p, name, s.counts[kind]}
	s.points = append(s.points, at)
	v := s.judge(at)
	if v.killHost {
		unix.Kill(s.host, unix.SIGKILL)
	}
	if v.killWorker {
		for worker, role := range s.roles {
			if role != "" && worker != s.host {
				unix.Kill(worker, unix.SIGKILL)
			}
		}
	}
	return v.errno
}

// part is what a process does just now. The host's marks are: the trap is set, an open begins, it ends, a close begins, it
// ends.
func (s *supervisor) part(pid, parent int) part {
	host := map[int]part{2: opening, 4: closing}[s.marks]
	if pid == s.host {
		return host
	}
	role, known := s.roles[pid]
	if known || parent != s.host {
		return role
	}
	role = map[part]part{opening: opener, closing: closer}[host]
	for _, other := range s.roles {
		if role == opener && (other == opener || other == cleaner) {
			role = cleaner
			break
		}
	}
	s.roles[pid] = role
	return role
}

// processOf returns the process that a thread belongs to, and its parent.
func processOf(tid int) (pid, parent int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	for _, line := range strings.Split(string(status), "\n") {
		key, value, _ := strings.Cut(line, ":\t")
		switch key {
		case "Tgid":
			pid, _ = strconv.Atoi(value)
		case "PPid":
			parent, _ = strconv.Atoi(value)
		}
	}
	return pid, parent
}
