package vm

// This file is about cases: what is shown on every system, whatever runs it.

import "testing"

// system is what cases are run on: machines of one suite, started in one way.
type system struct {
	name    string                             // in the table of results: "trixie", "qemu-bookworm"
	suite   string                             // of Debian
	start   func(Spec) (*Machine, error)       // boots a machine; Start for systemd-nspawn
	image   func(suite string) (*Image, error) // of a machine without a desktop
	desktop func(suite string) (*Image, error) // of one with; nil where it isn't tried
	quick   bool                               // only the quick tier of the cases, whatever is wanted
	kernel  bool                               // machines have a kernel of their own
}

// full reports whether all cases are run on the system.
func (s system) full() bool { return full() && !s.quick }

// nspawn returns the system of a suite that systemd-nspawn boots.
func nspawn(suite string) system {
	return system{name: suite, suite: suite, start: Start, image: BuildImage, desktop: BuildDesktop}
}

// suites are the Debian systems that gons is held to account on.
var suites = []string{"bookworm", "trixie"}

// TestSystems runs the cases on machines of systemd-nspawn: the quick tier, or
// with GONS_TEST_VM=1 all of them.
func TestSystems(t *testing.T) {
	before := leftovers(t)
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) { runCases(t, nspawn(suite)) })
	}
	if after := leftovers(t); after != before {
		t.Errorf("the machines left something:\n%s\nbefore it was:\n%s", after, before)
	}
}

// runCases runs the cases of one system.
func runCases(t *testing.T, s system) {
	skipOlderGlibc(t, s.suite)
	for _, group := range []struct {
		name  string
		quick bool // has cases of the quick tier
		run   func(*testing.T, system)
	}{
		{"logins", true, loginCases},
		{"boot", true, bootCases},
		{"recipes", false, recipeCases},
		{"upgrade", false, upgradeCases},
		{"desktops", false, desktopCases},
		{"encrypted", false, encryptedCases},
	} {
		if group.quick || s.full() || s.kernel && group.name == "encrypted" {
			t.Run(group.name, func(t *testing.T) { group.run(t, s) })
		}
	}
}

// boot starts a machine of the system that is stopped at the end of the test,
// and whose logs are kept if the test fails.
func (s system) boot(t *testing.T, spec Spec) *Machine {
	t.Helper()
	if spec.Image == nil {
		image, err := s.image(s.suite)
		if err != nil {
			t.Fatal(err)
		}
		spec.Image = image
	}
	m, err := s.start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	keepLogs(t, m)
	return m
}
