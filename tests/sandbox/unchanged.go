package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Snapshot is what a session must not change on the host.
type Snapshot struct {
	t         testing.TB
	mounts    []string
	processes []string
	trees     map[string][]string
	files     []string
}

// NewSnapshot remembers the mount table, the processes, this process's descriptors and the trees.
func NewSnapshot(t testing.TB, trees ...string) *Snapshot {
	t.Helper()
	s := &Snapshot{t: t, mounts: Mounts(t, "self"), processes: processes(), trees: map[string][]string{}, files: descriptors()}
	for _, dir := range trees {
		s.trees[dir] = Tree(t, dir)
	}
	return s
}

// Check fails the test where something is not as it was. Processes are given a second to end.
func (s *Snapshot) Check() {
	s.t.Helper()
	s.compare("the mount table", s.mounts, Mounts(s.t, "self"))
	for dir, before := range s.trees {
		s.compare("the files below "+dir, before, Tree(s.t, dir))
	}
	s.compare("the open files", s.files, descriptors())
	now := processes()
	for deadline := time.Now().Add(time.Second); len(added(s.processes, now)) > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		now = processes()
	}
	if more := added(s.processes, now); len(more) > 0 {
		s.t.Errorf("processes are left over:\n%s", strings.Join(more, "\n"))
	}
}

func (s *Snapshot) compare(what string, before, after []string) {
	s.t.Helper()
	if slices.Equal(before, after) {
		return
	}
	s.t.Errorf("%s changed:\n- %s\n+ %s", what, strings.Join(added(after, before), "\n- "), strings.Join(added(before, after), "\n+ "))
}

// added are the lines of after that before doesn't have.
func added(before, after []string) []string {
	var out []string
	for _, line := range after {
		if !slices.Contains(before, line) {
			out = append(out, line)
		}
	}
	return out
}

// Mounts returns the mount table of a process, "self" or a pid.
func Mounts(t testing.TB, process string) []string {
	t.Helper()
	data, err := os.ReadFile("/proc/" + process + "/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// processes lists every process but the kernel's: pid and command line.
func processes() []string {
	var out []string
	stats, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range stats {
		if data, err := os.ReadFile(path); err == nil {
			pid := strings.Split(path, "/")[2]
			state, _ := os.ReadFile("/proc/" + pid + "/stat")
			if !strings.Contains(string(state), ") Z ") {
				out = append(out, pid+" "+strings.ReplaceAll(strings.TrimRight(string(data), "\x00"), "\x00", " "))
			}
		}
	}
	return out
}

func descriptors() []string {
	entries, _ := os.ReadDir("/proc/self/fd")
	var out []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			out = append(out, e.Name()+" "+target)
		}
	}
	return out
}
