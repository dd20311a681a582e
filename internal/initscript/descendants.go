package initscript

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gons/internal/linux"
)

var errNoProc = errors.New("what it started may still be running: /proc doesn't show it")

// killing is how long processes that were killed may take to end. One that waits for a dead server takes longer.
const killing = 2 * time.Second

// endDescendants kills all that the script has started, in whatever group or session it is, the script itself having
// been killed or waited for. Only children of this process are killed, generation by generation: nobody else can free
// their numbers for other processes. What one of them leaves behind becomes a child of this process, the subreaper.
func (r *running) endDescendants() error {
	until := time.Now().Add(killing)
	if r.born == 0 {
		ended(r.process, until)
		return errNoProc
	}
	for {
		children, err := killChildrenSince(r.born)
		if err != nil {
			return fmt.Errorf("%w: %w", errNoProc, err)
		}
		if len(children) == 0 {
			return nil
		}
		left := 0
		for _, child := range children {
			if !ended(child, until) {
				left++
			}
			child.Close()
		}
		if left > 0 || time.Now().After(until) {
			return fmt.Errorf("%d of the processes that it started don't end", max(left, 1))
		}
	}
}

// ended waits for a killed process and reports whether it has ended in time.
func ended(p *linux.Process, until time.Time) bool {
	for {
		left := time.Until(until)
		ready, err := linux.Poll(left, p.Ended())
		if err == nil && ready[0] {
			_, err = p.Wait()
			return err == nil
		}
		if err != nil || left <= 0 {
			return false
		}
	}
}

// killChildrenSince kills and returns the children of this process that were born since then, zombies too. The older
// ones are none of a script's. The youngest come first, each killed as soon as it is found: a process that forks and
// ends, as its child does, is gone a moment later.
func killChildrenSince(born uint64) ([]*linux.Process, error) {
	pids, err := listProcesses()
	if err != nil {
		return nil, err
	}
	var out []*linux.Process
	for _, pid := range slices.Backward(pids) {
		parent, start, ok := readStat(pid)
		if !ok || parent != os.Getpid() || start < born {
			continue
		}
		if child, err := linux.OpenChild(pid); err == nil { // the kernel's word: /proc may be another pid namespace's
			child.Kill()
			out = append(out, child)
		}
	}
	return out, nil
}

func listProcesses() ([]int, error) {
	f, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, err
}

// birth returns when a process was started, in ticks since boot, or 0.
func birth(pid int) uint64 {
	_, start, _ := readStat(pid)
	return start
}

// readStat reads the parent and the start of a process from /proc/PID/stat (proc_pid_stat(5)): the fields 4 and 22. The
// second, the name in parentheses, may hold anything.
func readStat(pid int) (parent int, start uint64, ok bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(f) < 20 {
		return 0, 0, false
	}
	parent, errParent := strconv.Atoi(f[1])
	start, errStart := strconv.ParseUint(f[19], 10, 64)
	return parent, start, errParent == nil && errStart == nil
}
