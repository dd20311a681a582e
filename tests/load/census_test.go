package load_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// census is what sessions may not leave behind.
type census struct {
	t      testing.TB
	lists  map[string][]string
	mounts int
}

// newCensus counts processes (zombies too), mounts, locks, this process's descriptors, session records, the files below
// the directories, and the mounts of the whole machine: a namespace that nobody is in keeps all of its own.
func newCensus(t testing.TB, dirs ...string) *census {
	t.Helper()
	c := &census{t: t}
	c.lists = c.take(dirs)
	c.mounts = mountsOfMachine()
	return c
}

func (c *census) take(dirs []string) map[string][]string {
	now := map[string][]string{"processes": processes(c.t), "mounts": sandbox.Mounts(c.t, "self"), "locks": locks(c.t),
		"descriptors": names(c.t, "/proc/self/fd"), "records": names(c.t, "/run/gons/sessions")}
	for _, dir := range dirs {
		now[dir] = sandbox.Tree(c.t, dir)
	}
	return now
}

// check fails the test unless all of it becomes as it was: the kernel takes namespaces and killed processes down at its
// leisure. sessions is how many there were: less than one namespace in two is other work.
func (c *census) check(sessions int) {
	c.t.Helper()
	var dirs []string
	for key := range c.lists {
		if strings.HasPrefix(key, "/") {
			dirs = append(dirs, key)
		}
	}
	var more string
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		more = c.difference(c.take(dirs))
		if more == "" || time.Now().After(end) {
			break
		}
	}
	if more != "" {
		c.t.Errorf("left behind:\n%s", more)
	}
	// Told and not judged: the count is the whole machine's, whatever else it does meanwhile.
	c.t.Logf("mounts in the kernel: %d before, %d after %d sessions", c.mounts, mountsOfMachine(), sessions)
}

func (c *census) difference(now map[string][]string) string {
	var b strings.Builder
	for key, before := range c.lists {
		if was, is := strings.Join(before, "\n"), strings.Join(now[key], "\n"); was != is {
			fmt.Fprintf(&b, "%s were\n%s\nand are\n%s\n", key, was, is)
		}
	}
	return b.String()
}

// processes lists every process of the sandbox but the test's.
func processes(t testing.TB) (out []string) {
	t.Helper()
	for _, pid := range names(t, "/proc") {
		if _, err := strconv.Atoi(pid); err != nil || pid == "1" {
			continue
		}
		if line, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline")); err == nil {
			out = append(out, pid+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}

// locks are those of the sandbox's processes (proc_locks(5)); a lock of an open file description has none, and counts
// where it is on this machine's /run/gons/lock.
func locks(t testing.TB) (out []string) {
	t.Helper()
	var st unix.Stat_t
	if unix.Stat("/run/gons/lock", &st) != nil {
		return nil
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	data, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, " "+file+" ") {
			_, after, _ := strings.Cut(strings.TrimSpace(line), " ")
			out = append(out, after)
		}
	}
	return out
}

// mountsOfMachine counts the mounts that the kernel has allocated (slabinfo(5)); -1 where it doesn't say.
func mountsOfMachine() int {
	data, _ := os.ReadFile("/proc/slabinfo")
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); f[0] == "mnt_cache" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	return -1
}
