// Package differential_test opens the same sessions with pam_namespace.so and with pam_gons.so, each on a fresh disk in
// a mount namespace of its own, and compares what can be seen of them. A difference fails, unless the scenario names a row
// of the table "WHERE GONS DIFFERS FROM PAM_NAMESPACE" in pam_gons(8) that explains it; and that table holds nothing
// that no scenario shows.
//
// It is written for the pam_namespace of Debian 12, 1.5.2 with the fixes of CVE-2025-6020; what is known to be different
// in later versions is left out. Not compared are the words of log lines and of messages to the user, and gons' own records below /run.
package differential_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gons/tests/sandbox"
)

var topics = map[string][]scenario{
	"grammar": grammar, "lists": lists, "methods": methods, "create": create, "parents": parents, "instances": instances,
	"scripts": scripts, "options": options, "paths": paths, "drop-ins": dropIns, "failures": failures,
	"unmount": unmounts, "propagation": propagation, "close": closes,
}

func TestMain(m *testing.M) {
	sandbox.Exec(func() int {
		if err := prepareMachine(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	})
}

// seen are the rows that a scenario has shown.
var seen struct {
	sync.Mutex
	rows map[string]bool
	runs int
}

func TestSideBySide(t *testing.T) {
	table, count, old := manualRows(t), 0, isOld(t)
	seen.rows = map[string]bool{}
	t.Run("of", func(t *testing.T) {
		for _, topic := range slices.Sorted(maps.Keys(topics)) {
			count += len(topics[topic])
			for _, s := range topics[topic] {
				t.Run(topic+"/"+s.name, func(t *testing.T) {
					if s.old && !old {
						t.Skip("this machine's pam_namespace is another one")
					}
					t.Parallel()
					s.compare(t, table)
				})
			}
		}
	})
	if seen.runs < count {
		return // a part only, by -run or by the peer's version
	}
	for _, row := range table {
		if !seen.rows[row] {
			t.Errorf("no scenario shows the difference that the manual calls %s", row)
		}
	}
}

// compare runs both modules and fails the test on what differs without a row, and on rows without a difference.
func (s scenario) compare(t *testing.T, table []string) {
	peer, ours := s.session(t, peerModule(t)), s.session(t, sandbox.Module(t))
	s.checkPeer(t, peer)
	checkOurs(t, ours)
	seen.Lock()
	defer seen.Unlock()
	seen.runs++
	for _, a := range aspects {
		difference, explained := "", strings.Fields(s.differs[a])
		if slices.Contains(comparable(peer, ours), a) {
			difference = compared(peer.of[a], ours.of[a])
		}
		if difference != "" && len(explained) == 0 {
			t.Errorf("%s:\n%s", a, difference)
		}
		for _, row := range explained {
			if !slices.Contains(table, row) {
				t.Errorf("%s: the manual has no row %s", a, row)
			}
			if difference == "" {
				t.Errorf("%s: no difference, although %s names it", a, row)
			}
			seen.rows[row] = true
		}
	}
	for a := range s.differs {
		if !slices.Contains(aspects, a) {
			t.Errorf("there is no aspect %s", a)
		}
	}
	if t.Failed() {
		t.Logf("pam_namespace:\n%s\ngons:\n%s", peer, ours)
	}
}

// checkPeer fails a scenario that isn't what it says it is, so that two failures don't pass for equality.
func (s scenario) checkPeer(t *testing.T, peer *outcome) {
	if want := fmt.Sprint(s.fails); peer.of[opening] != want && (s.fails == 0 || peer.stage() != "crashed") {
		t.Errorf("pam_namespace's open returned %s, expected %s", peer.of[opening], want)
	}
	if s.fails == 0 && s.nothing != (peer.of[mounting] == "") {
		t.Errorf("pam_namespace mounts: %q, expected nothing: %v", peer.of[mounting], s.nothing)
	}
}

// checkOurs fails the test where gons didn't open the session and left something behind.
func checkOurs(t *testing.T, ours *outcome) {
	if ours.stage() != "failed" {
		return
	}
	if ours.moved || ours.of[mounting] != "" || ours.made != "" {
		t.Errorf("gons failed and left something behind:\n%s%s%s", ours.of[place], ours.of[mounting], ours.made)
	}
}

// comparable are the aspects that two outcomes share. A session and a failure have nothing else in common. A crash of
// pam_namespace, which lines of one word bring before 1.6.0, stands for its failure.
func comparable(peer, ours *outcome) []aspect {
	switch {
	case peer.stage() == "crashed" && ours.stage() == "failed":
		return nil
	case peer.stage() != ours.stage():
		return []aspect{opening}
	}
	return aspects
}

// compared returns the lines of two texts that differ, "- " before pam_namespace's and "+ " before gons'; "" if none do.
func compared(peer, ours string) string {
	return strings.Join(append(without("- ", peer, ours), without("+ ", ours, peer)...), "\n")
}

// without are the lines of a text that another doesn't have.
func without(sign, text, other string) (out []string) {
	lines := strings.Split(other, "\n")
	for _, line := range strings.Split(text, "\n") {
		if i := slices.Index(lines, line); i >= 0 {
			lines = slices.Delete(lines, i, i+1)
		} else {
			out = append(out, sign+line)
		}
	}
	return out
}

// peerModule is the distribution's pam_namespace.so.
func peerModule(t testing.TB) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/*/security/pam_namespace.so", "/usr/lib*/security/pam_namespace.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Fatal("pam_namespace.so isn't installed")
	return ""
}
