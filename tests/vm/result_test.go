package vm

// This file is about what came of the cases: a line for each as it ends, a
// table at the end, and the logs of those that failed in build/vm/logs.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// full reports whether the whole matrix is wanted (make test-vm) or the quick
// tier.
func full() bool { return os.Getenv("GONS_TEST_VM") != "" }

// result is what came of one case on one system.
type result struct {
	system, name, outcome, reason string
	took                          time.Duration
}

func (r result) String() string {
	line := fmt.Sprintf("%-16s %-28s %s %6.1f s  %s", r.system, r.name, r.outcome, r.took.Seconds(), r.reason)
	return strings.TrimRight(line, " ")
}

// results has the cases in the order in which they ended.
var results struct {
	sync.Mutex
	list  []result
	skips map[string]string // why, by the test's name
}

// oneCase runs a case as a subtest and notes what came of it. name is what the
// table calls it.
func oneCase(t *testing.T, s system, name string, run func(t *testing.T)) {
	t.Helper()
	t.Run(strings.Map(plainName, name), func(t *testing.T) {
		began := time.Now()
		defer func() { note(t, s, name, time.Since(began)) }()
		run(t)
	})
}

// plainName makes one word of a case's name, for -run and as a directory.
func plainName(r rune) rune {
	switch {
	case strings.ContainsRune(",:'$=", r):
		return -1
	case strings.ContainsRune(" /", r):
		return '-'
	}
	return r
}

// note adds one line to the results, and prints it.
func note(t *testing.T, s system, name string, took time.Duration) {
	r := result{system: s.name, name: name, outcome: "PASS", took: took}
	results.Lock()
	defer results.Unlock()
	switch {
	case t.Failed():
		r.outcome, r.reason = "FAIL", "see "+filepath.Join("build/vm/logs", t.Name())
	case t.Skipped():
		r.outcome, r.reason = "SKIP", results.skips[t.Name()]
	}
	results.list = append(results.list, r)
	fmt.Println("case:", r)
}

// skip skips a case for a reason that the table shows.
func skip(t *testing.T, reason string) {
	t.Helper()
	results.Lock()
	if results.skips == nil {
		results.skips = map[string]string{}
	}
	results.skips[t.Name()] = reason
	results.Unlock()
	t.Skip(reason)
}

// table returns the lines of all cases, and how many came to what.
func table() string {
	results.Lock()
	defer results.Unlock()
	var out strings.Builder
	count := map[string]int{}
	for _, r := range results.list {
		fmt.Fprintln(&out, r)
		count[r.outcome]++
	}
	fmt.Fprintf(&out, "%d cases: %d PASS, %d FAIL, %d SKIP\n",
		len(results.list), count["PASS"], count["FAIL"], count["SKIP"])
	return out.String()
}

// writeTable leaves the table where make test-vm prints it from.
func writeTable() error {
	dir, err := logDir()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "table"), []byte(table()), 0o644)
}

// logDir returns build/vm/logs, made if it is missing.
func logDir() (string, error) {
	top, err := Repository()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(top, "build", "vm", "logs")
	return dir, os.MkdirAll(dir, 0o755)
}

// keepLogs has a test that fails leave what a machine has shown: its console,
// its journal, and what was run in it.
func keepLogs(t *testing.T, m *Machine) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		top, err := logDir()
		dir := filepath.Join(top, t.Name())
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		transcript := m.Transcript()
		journal, errJournal := m.Journal()
		for name, text := range map[string]string{
			"console": m.Console(), "journal": journal, "commands": transcript,
		} {
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, m.Name()+"."+name), []byte(text), 0o644)
			}
		}
		t.Logf("logs are in %s (%v, %v)", dir, err, errJournal)
	})
}
