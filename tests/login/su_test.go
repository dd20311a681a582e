package login_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"gons/tests/sandbox"
)

// su are the ways to use su: by root, to become the user or to log in as them, and by another user, with a password.
var su = map[string]host{
	"by root":      {service: "su", login: suBy(nil), attempt: suOnce(nil)},
	"by root, -":   {service: "su-l", login: suBy(nil, "-"), attempt: suOnce(nil, "-")},
	"by a user":    {service: "su", login: suByOther(), attempt: suOnceByOther()},
	"by a user, -": {service: "su-l", login: suByOther("-"), attempt: suOnceByOther("-")},
}

var others = map[string]*sandbox.User{"alice": &sandbox.Bob, "bob": &sandbox.Alice}

// startSu starts su on a terminal for a caller, who is asked for the password when it isn't root.
func startSu(t testing.TB, caller *sandbox.User, user string, args ...string) *dialogue {
	t.Helper()
	cmd := exec.Command("su", append(args, user)...)
	cmd.Dir = "/"
	if caller == nil {
		return onTerminal(t, cmd)
	}
	cmd.SysProcAttr = as(*caller)
	d := onTerminal(t, cmd)
	d.expect(t, "Password: ")
	d.send(t, password(user))
	return d
}

func suBy(caller *sandbox.User, args ...string) func(testing.TB, string) *shell {
	return func(t testing.TB, user string) *shell {
		t.Helper()
		d := startSu(t, caller, user, args...)
		d.expect(t, prompt)
		return &shell{d}
	}
}

func suByOther(args ...string) func(testing.TB, string) *shell {
	return func(t testing.TB, user string) *shell {
		t.Helper()
		return suBy(others[user], args...)(t, user)
	}
}

func suOnce(caller *sandbox.User, args ...string) func(testing.TB, string, string) string {
	return func(t testing.TB, user, command string) string {
		t.Helper()
		return startSu(t, caller, user, append(args, "-c", command)...).wait(t)
	}
}

func suOnceByOther(args ...string) func(testing.TB, string, string) string {
	return func(t testing.TB, user, command string) string {
		t.Helper()
		return suOnce(others[user], args...)(t, user, command)
	}
}

func TestSu(t *testing.T) {
	for name, h := range su {
		t.Run(name, func(t *testing.T) { checkSessions(t, h) })
	}
}

func TestSuRefused(t *testing.T) {
	for name, h := range su {
		t.Run(name, func(t *testing.T) { checkRefusal(t, h) })
	}
}

func TestSuKilled(t *testing.T) { checkKilled(t, su["by root"]) }

// TestSuZombie kills su under a parent that doesn't wait for it. Many a container's first process never does: what is
// left of su, and of what it started, must not keep the session on record.
func TestSuZombie(t *testing.T) {
	h := su["by root"]
	prepare(t, h, methods)
	h.login(t, "alice")
	must(t, "kill", "-KILL", leader(t))
	poll(t, "the session's processes end", func() bool { return len(strangers()) == 0 })
	h.attempt(t, "alice", "echo")
	nothingLeft(t)
}

// TestSuOptional has a configuration that is broken and a session line that is optional: su goes on as if the module
// were not there.
func TestSuOptional(t *testing.T) {
	h := su["by root"]
	prepare(t, h, "version: 1\ndirectories:\n  - {path: /tmp, method: tmpfs}\n  - {path: /missing, method: tmpfs}\n")
	must(t, "sed", "-i", "/pam_gons.so/s/required/optional/", "/etc/pam.d/su")
	want := must(t, "readlink", "/proc/self/ns/mnt")
	seen := h.attempt(t, "alice", "readlink /proc/self/ns/mnt; pwd")
	if !strings.Contains(seen, want+"\n/\n") {
		t.Errorf("alice has %q, expected the host's %s", seen, want)
	}
	nothingLeft(t)
}

// TestSuInSession has alice become bob in a session of hers. The second configuration is what distributions ship: the
// instances lie below the directory that is covered, so bob's lie in alice's.
func TestSuInSession(t *testing.T) {
	for name, config := range map[string]string{
		"beside": methods,
		"below": "version: 1\ndirectories:\n  - {path: /tmp, method: user, instances: /tmp/tmp-inst}\n" +
			"  - {path: /var/tmp, method: tmpdir, instances: /var/tmp/tmp-inst}\n",
	} {
		t.Run(name, func(t *testing.T) { checkSuInSession(t, config) })
	}
}

func checkSuInSession(t *testing.T, config string) {
	h := su["by root"]
	prepare(t, h, config)
	must(t, "mkdir", "-p", "-m", "0", "/tmp/tmp-inst", "/var/tmp/tmp-inst")
	t.Cleanup(func() { must(t, "rm", "-r", "/tmp/tmp-inst", "/var/tmp/tmp-inst") })
	s := h.login(t, "alice")
	s.run(t, "touch /tmp/alice /var/tmp/alice")
	s.send(t, "su bob")
	s.expect(t, "Password: ")
	s.send(t, password("bob"))
	s.expect(t, prompt)
	if got := s.run(t, "id -un; ls /tmp /var/tmp; touch /tmp/bob /var/tmp/bob"); got != "bob\n/tmp:\n\n/var/tmp:" {
		t.Errorf("bob has %q", got)
	}
	s.expect(t, prompt)
	s.send(t, "exit")
	s.expect(t, prompt)
	if got := s.run(t, "id -un; ls -1d /tmp/[ab]* /var/tmp/[ab]*"); got != "alice\n/tmp/alice\n/var/tmp/alice" {
		t.Errorf("alice has %q after she was bob", got)
	}
	if got := len(records()); got != 1 {
		t.Errorf("%d sessions are recorded after the inner one's end", got)
	}
	s.logout(t)
	nothingLeft(t)
	if left := must(t, "ls", "-A", "/var/tmp/tmp-inst"); left != "" {
		t.Errorf("directories are left: %q", left)
	}
}

// TestSuWorkingDirectory starts su in a directory that the session covers: the session must not go on looking at the
// host's.
func TestSuWorkingDirectory(t *testing.T) {
	prepare(t, su["by root"], methods)
	sandbox.Write(t, "/tmp/below/host", "", 0o644)
	t.Cleanup(func() { os.RemoveAll("/tmp/below") })
	for _, dir := range []string{"/tmp", "/tmp/below", "/home/alice"} {
		cmd := exec.Command("su", "alice", "-c", "pwd; ls -A .")
		cmd.Dir = dir
		want := dir
		if strings.HasPrefix(dir, "/tmp") {
			want = "/tmp"
		}
		if got := strings.TrimSpace(onTerminal(t, cmd).wait(t)); got != want {
			t.Errorf("in %s: got %q, expected %q", dir, got, want)
		}
	}
	nothingLeft(t)
}

// TestSuHostileEnvironment has alice call su with what changes how a Go program, or any program, starts.
func TestSuHostileEnvironment(t *testing.T) {
	prepare(t, su["by a user"], methods)
	const command = `stat -c '%U:%G %a' /tmp; ls -A /var/tmp; grep -c ' /tmp ' /proc/self/mountinfo; grep Threads /proc/$PPID/status`
	attempt := func(t *testing.T, env ...string) string {
		cmd := exec.Command("su", "bob", "-c", command)
		cmd.SysProcAttr, cmd.Dir = as(sandbox.Alice), "/"
		cmd.Env = append(env, "PATH=/usr/bin:/bin")
		d := onTerminal(t, cmd)
		d.expect(t, "Password: ")
		d.send(t, password("bob"))
		return strings.TrimSpace(d.wait(t))
	}
	const want = "root:root 1777\n2\nThreads:\t1"
	sandbox.Write(t, "/home/alice/evil.so", "not a library", 0o755)
	t.Cleanup(func() { os.Remove("/home/alice/evil.so") })
	for _, env := range []string{
		"NOTHING=1", "GODEBUG=inittrace=1,gctrace=1,schedtrace=1", "GODEBUG=tlskyber=0", "GODEBUG=http2debug=garbage,\x01",
		"GOGC=1", "GOGC=garbage", "GOMEMLIMIT=garbage", "GOMEMLIMIT=1", "GOMAXPROCS=100000", "GOTRACEBACK=crash",
		"LD_PRELOAD=/home/alice/evil.so", "LD_LIBRARY_PATH=/home/alice", "LD_AUDIT=/home/alice/evil.so", "LD_DEBUG=all",
		"GCONV_PATH=/home/alice", "GLIBC_TUNABLES=glibc.malloc.check=3", "TMPDIR=/home/alice", "HOME=/root", "USER=root",
	} {
		if got := attempt(t, env); got != want {
			t.Errorf("%s: got %q, expected %q", env, got, want)
		}
	}
	nothingLeft(t)
}
