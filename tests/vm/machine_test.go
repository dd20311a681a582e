package vm

// This file proves the machines themselves: that they boot, that logins work
// in them before gons is there, and that nothing is left of them. It also has
// the helpers of the other tests.

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hangVariable makes TestMain start a machine, say so, and hang.
const hangVariable = "GONS_TEST_VM_HANG"

func TestMain(m *testing.M) {
	if os.Getenv(hangVariable) == "" {
		status := m.Run()
		if err := writeTable(); err != nil {
			fmt.Println("error:", err)
			status = 1
		}
		os.Exit(status)
	}
	image, err := BuildImage("trixie")
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	machine, err := Start(Spec{Image: image})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(machine.Backend.(*container).cgroup)
	select {}
}

func TestMachineBoots(t *testing.T) {
	before := leftovers(t)
	m := boot(t, Spec{Image: image(t, "trixie")})
	authorize(t, m)

	for _, login := range []struct{ command, user string }{
		{"ssh alice@127.0.0.1 id -un", "alice"},
		{"su - bob -c 'id -un'", "bob"},
		{"systemd-run --quiet --wait --pipe --property=PAMName=login --uid=alice id -un", "alice"},
	} {
		if got := run(t, m, "sh", "-c", login.command); got != login.user {
			t.Errorf("%s printed %q, want %q", login.command, got, login.user)
		}
	}

	alice := shell(t, m, "ssh", "alice@127.0.0.1", "sh")
	if sessions := run(t, m, "loginctl", "--no-legend"); !strings.Contains(sessions, " alice ") {
		t.Errorf("loginctl doesn't list the session of alice:\n%s", sessions)
	}
	if err := alice.Close(); err != nil {
		t.Error(err)
	}
	if state := run(t, m, "systemctl", "is-system-running"); state != "running" {
		t.Errorf("the system is %s", state)
	}
	checkUnits(t, m)

	if err := m.Stop(); err != nil {
		t.Error(err)
	}
	if after := leftovers(t); after != before {
		t.Errorf("a stopped machine left something:\n%s\nbefore it was:\n%s", after, before)
	}
}

// TestMachineDiesWithItsTest kills a process that has started a machine, as
// the test runner does after a timeout.
func TestMachineDiesWithItsTest(t *testing.T) {
	image(t, "trixie")
	before := leftovers(t)
	test := exec.Command("/proc/self/exe")
	test.Env = append(os.Environ(), hangVariable+"=1")
	stdout, err := test.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := test.Start(); err != nil {
		t.Fatal(err)
	}
	cgroup, err := bufio.NewReader(stdout).ReadString('\n')
	cgroup = strings.TrimSpace(cgroup)
	if killErr := test.Process.Kill(); err != nil || killErr != nil || !strings.HasPrefix(cgroup, "/") {
		t.Fatalf("cannot start a machine in a process of its own: %s %v %v", cgroup, err, killErr)
	}
	_ = test.Wait() // killed
	eventually(t, "the machine's processes die", func() error {
		events, err := os.ReadFile(filepath.Join(cgroup, "cgroup.events"))
		if err == nil && !strings.Contains(string(events), "populated 0") {
			err = fmt.Errorf("%s has processes", cgroup)
		}
		return err
	})
	if top, err := cgroupRoot(); err == nil {
		sweepCgroups(top) // the next machine would
	}
	if _, err := os.Stat(cgroup); err == nil {
		t.Errorf("%s is still there", cgroup)
	}
	if after := leftovers(t); after != before {
		t.Errorf("a killed machine left something:\n%s\nbefore it was:\n%s", after, before)
	}
}

// leftovers returns everything on this machine that a machine under test
// could leave behind. Processes aren't in it: they would keep a cgroup.
func leftovers(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	top, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, pattern := range []string{
		filepath.Join(top, fmt.Sprintf("%s%d-*", namePrefix, os.Getpid())),
		"/run/systemd/nspawn/*", "/run/host*", "/var/lib/machines/*", "/var/lib/machines/.#*",
		"/sys/block/loop*/loop/backing_file", "/sys/class/net/v[eb]-*",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	return string(mounts) + strings.Join(paths, "\n")
}

// image returns the image of a suite.
func image(t *testing.T, suite string) *Image {
	t.Helper()
	image, err := BuildImage(suite)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// boot starts a machine that is stopped at the end of the test, and that
// shows its journal if the test fails.
func boot(t *testing.T, spec Spec) *Machine {
	t.Helper()
	m, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := m.Backend.(*container); ok {
		t.Logf("sshd listened after %s, booted after %s",
			c.listeningAfter.Round(time.Millisecond), c.bootedAfter.Round(time.Millisecond))
	}
	t.Cleanup(func() {
		if t.Failed() {
			journal, err := m.Journal()
			t.Logf("the journal (%v):\n%s", err, journal)
		}
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// authorize lets root in the machine log in by ssh as alice and bob, with a
// key that only this machine ever has.
func authorize(t *testing.T, m *Machine) {
	t.Helper()
	run(t, m, "sh", "-euc", `
		umask 077; mkdir -p ~root/.ssh
		ssh-keygen -q -t ed25519 -N '' -f ~root/.ssh/id_ed25519
		printf 'StrictHostKeyChecking accept-new\nBatchMode yes\n' >~root/.ssh/config
		for user in alice bob; do
			install -d -o $user -g $user -m 700 /home/$user/.ssh
			install -o $user -g $user -m 600 ~root/.ssh/id_ed25519.pub /home/$user/.ssh/authorized_keys
		done`)
}

// run runs a command in the machine and returns its output; it must succeed.
func run(t *testing.T, m *Machine, args ...string) string {
	t.Helper()
	output, err := m.Run(args...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// shell opens a shell in the machine, closed at the end of the test unless
// the test has done that.
func shell(t *testing.T, m *Machine, args ...string) *Shell {
	t.Helper()
	s, err := m.Shell(args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// checkUnits reports units that failed; none does in the images as they are.
func checkUnits(t *testing.T, m *Machine) {
	t.Helper()
	if failed := run(t, m, "systemctl", "--failed", "--plain", "--no-legend"); failed != "" {
		t.Errorf("units have failed:\n%s", failed)
	}
}

// eventually waits until a check succeeds, or fails the test with its error.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	err := check()
	for err != nil && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		err = check()
	}
	if err != nil {
		t.Errorf("waited in vain until %s: %v", what, err)
	}
}
