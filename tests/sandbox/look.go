package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Patience is how long Eventually waits: for what takes milliseconds, on a machine that is busy with something else.
const Patience = 2 * time.Minute

// Names lists a directory that need not be there.
func Names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// Exists reports whether there is anything at path.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Eventually fails the test unless ok comes true in time.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Ended reports whether a process has ended, waited for or not: in the sandbox nobody waits for orphans.
func Ended(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// ChildrenOf are the processes that a process has started and not waited for, the first one first.
func ChildrenOf(t testing.TB, parent int) (out []int) {
	t.Helper()
	for _, name := range Names(t, "/proc") {
		stat, _ := os.ReadFile("/proc/" + name + "/stat")
		_, after, found := strings.Cut(string(stat), ") ")
		if found && strings.Fields(after)[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(name)
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}

// ChildOf waits for a child of a process and returns the first.
func ChildOf(t testing.TB, parent int) (pid int) {
	t.Helper()
	Eventually(t, "there is a child", func() bool {
		if children := ChildrenOf(t, parent); len(children) > 0 {
			pid = children[0]
		}
		return pid != 0
	})
	return pid
}
