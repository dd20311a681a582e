// Package login_test logs in through the real programs of the distribution, each with the module in its PAM stack: su,
// sshd, login and cron. What a session promises is said once, in promises_test.go; a file per program says how to log
// in with it, and what is true of that program alone.
package login_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gons/tests/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// patience is how long anything may take that isn't a failure.
const patience = 15 * time.Second

// poll waits until what holds; it fails the test when that doesn't come about.
func poll(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s\nrecords: %q\nprocesses in other namespaces: %q", what, records(), strangers())
		}
	}
}

// must runs a command as root on the host and returns what it printed.
func must(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// stack writes a PAM stack as a distribution's is in essence, with the module as its last session line, and removes
// the stack after the test. The module is a copy: a build that another test starts must not exchange it.
func stack(t testing.TB, service string) {
	t.Helper()
	const module = "/usr/lib/gons-test/pam_gons.so"
	if _, err := os.Stat(module); err != nil {
		data, err := os.ReadFile(sandbox.Module(t))
		if err != nil {
			t.Fatal(err)
		}
		sandbox.Write(t, module, string(data), 0o644)
	}
	rootok := ""
	if service == "su" || service == "su-l" {
		rootok = "auth sufficient pam_rootok.so\n"
	}
	sandbox.Write(t, "/etc/pam.d/"+service, fmt.Sprintf("%sauth required pam_unix.so\naccount required pam_unix.so\n"+
		"password required pam_deny.so\nsession required pam_unix.so\nsession required %s\n", rootok, module), 0o644)
}

// configure writes the module's configuration. After the test it is removed, and all that sessions left, so that one
// test's failure isn't the next one's too.
func configure(t testing.TB, yaml string) {
	t.Helper()
	sandbox.Config(t, yaml)
	t.Cleanup(func() {
		for _, pid := range strangers() {
			exec.Command("kill", "-KILL", pid).Run()
		}
		for _, path := range append(records(), "/tmp-inst", "/var-inst") {
			os.RemoveAll(path)
		}
	})
}

func password(user string) string { return user + "'s secret" }

// passwords gives every user a password; the sandbox is thrown away with them.
func passwords(t testing.TB) {
	t.Helper()
	cmd := exec.Command("chpasswd")
	cmd.Stdin = strings.NewReader("alice:" + password("alice") + "\nbob:" + password("bob") + "\nroot:" + password("root") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("chpasswd: %v\n%s", err, out)
	}
}

// sharedHost makes the host's mounts shared, as systemd or gons at boot does, for as long as the test takes.
func sharedHost(t testing.TB) {
	t.Helper()
	must(t, "mount", "--make-rshared", "/")
	t.Cleanup(func() { must(t, "mount", "--make-rprivate", "/") })
}

// mountTmpfs mounts on the host until the test ends.
func mountTmpfs(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "mount", "-t", "tmpfs", "-o", "mode=0755", "gons-usb", path)
	t.Cleanup(func() {
		must(t, "umount", path)
		os.Remove(path)
	})
}

// as makes the credentials of a user who is logged in somewhere, outside of any session of the module.
func as(user sandbox.User) *syscall.SysProcAttr {
	id := uint32(user.UID)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
}
