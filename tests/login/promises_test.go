package login_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gons/tests/sandbox"
)

// host is a program that opens sessions.
type host struct {
	// service is the PAM service.
	service string
	// start readies the host for logins of users, in this order; it ends with the test.
	start func(t testing.TB, users ...string)
	// login opens a session of a user and returns a shell in it.
	login func(t testing.TB, user string) *shell
	// attempt is a login that runs a command and ends; it returns what the user saw.
	attempt func(t testing.TB, user, command string) string
	// silent says that there is nobody whom the host could show a sentence.
	silent bool
}

// methods is a configuration with a directory for each method that needs no SELinux.
const methods = `version: 1
directories:
  - {path: /tmp, method: user, instances: /tmp-inst}
  - {path: /var/tmp, method: tmpdir, instances: /var-inst}
  - {path: /dev/shm, method: tmpfs, tmpfs: {size: 1M, mode: "1777"}}
`

// private are the directories that methods covers, with the root of the mount that a session of alice has there.
var private = []struct {
	path, root string
	shared     bool // between sessions of one user
}{
	{"/tmp", "/tmp-inst/USER", true},
	{"/var/tmp", "/var-inst/??????", false},
	{"/dev/shm", "/", false},
}

// world is three sessions: two of alice and one of bob.
type world struct{ alice, bob, again *shell }

func (w *world) sessions() map[string]*shell {
	return map[string]*shell{"alice": w.alice, "bob": w.bob, "alice again": w.again}
}

// prepare readies the machine for logins with h, and sees to it that it is as before when the test ends.
func prepare(t testing.TB, h host, config string, users ...string) {
	t.Helper()
	configure(t, config)
	stack(t, h.service)
	passwords(t)
	sharedHost(t)
	t.Cleanup(sandbox.NewSnapshot(t, "/tmp", "/var/tmp", "/dev/shm", "/home", "/mnt").Check)
	if h.start != nil {
		h.start(t, users...)
	}
}

// checkSessions shows what every session promises, whoever opens it.
func checkSessions(t *testing.T, h host) {
	sandbox.NewLog(t) // shown when the test fails
	prepare(t, h, methods, "alice", "bob", "alice")
	w := &world{h.login(t, "alice"), h.login(t, "bob"), h.login(t, "alice")}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.check(t, w) })
	}
	w.again.logout(t)
	if got := w.alice.run(t, "ls /tmp /var/tmp"); got != "/tmp:\nalice\n\n/var/tmp:\nalice" {
		t.Errorf("after her other session ended, alice has %q", got)
	}
	w.bob.logout(t)
	w.alice.logout(t)
	nothingLeft(t)
}

var promises = []struct {
	name  string
	check func(*testing.T, *world)
}{
	{"directories are mounts of their own", checkDirectories},
	{"files are private", checkFiles},
	{"the host's mounts arrive", checkHostMounts},
	{"the session's mounts stay", checkSessionMounts},
	{"no Go in the host", checkHosts},
	{"sessions are recorded", checkRecords},
}

func checkDirectories(t *testing.T, w *world) {
	for name, s := range w.sessions() {
		user, _, _ := strings.Cut(name, " ")
		mounts := sandbox.Mounts(t, s.pid(t))
		for _, d := range private {
			if got := s.run(t, "stat -c '%U:%G %a' "+d.path); got != "root:root 1777" {
				t.Errorf("%s: %s is %s", name, d.path, got)
			}
			root := topMount(mounts, d.path)
			if ok, _ := filepath.Match(strings.ReplaceAll(d.root, "USER", user), root); !ok {
				t.Errorf("%s: %s is the mount of %q", name, d.path, root)
			}
		}
	}
}

// topMount returns the root, in its file system, of what is mounted last on path.
func topMount(mounts []string, path string) string {
	for _, line := range slices.Backward(mounts) {
		if fields := strings.Fields(line); fields[4] == path {
			return fields[3]
		}
	}
	return ""
}

func checkFiles(t *testing.T, w *world) {
	for _, d := range private {
		file := filepath.Join(d.path, "host")
		sandbox.Write(t, file, "", 0o644)
		t.Cleanup(func() { os.Remove(file) })
		w.alice.run(t, "echo hers > "+d.path+"/alice")
		w.bob.run(t, "echo his > "+d.path+"/bob")
		again := ""
		if d.shared {
			again = "alice"
		}
		for _, c := range []struct {
			who  string
			s    *shell
			want string
		}{{"alice", w.alice, "alice"}, {"bob", w.bob, "bob"}, {"alice again", w.again, again}} {
			if got := c.s.run(t, "ls -A "+d.path); got != c.want {
				t.Errorf("%s sees %q in %s, expected %q", c.who, got, d.path, c.want)
			}
		}
		for _, name := range []string{"alice", "bob"} { // and there may be more: a repository below /tmp
			if _, err := os.Lstat(filepath.Join(d.path, name)); !os.IsNotExist(err) {
				t.Errorf("the host sees %s's file in %s: %v", name, d.path, err)
			}
		}
	}
}

func checkHostMounts(t *testing.T, w *world) {
	mountTmpfs(t, "/mnt/usb")
	sandbox.Write(t, "/mnt/usb/stick", "", 0o644)
	for name, s := range w.sessions() {
		if got := s.run(t, "ls /mnt/usb"); got != "stick" {
			t.Errorf("%s sees %q in /mnt/usb", name, got)
		}
	}
}

func checkSessionMounts(t *testing.T, w *world) {
	for _, dir := range []string{"/mnt", "/tmp", "/home/alice"} {
		must(t, "nsenter", "-m", "-t", w.alice.pid(t), "mount", "-t", "tmpfs", "gons-own", dir)
		for name, pid := range map[string]string{"the host": "self", "bob": w.bob.pid(t), "alice again": w.again.pid(t)} {
			if all := strings.Join(sandbox.Mounts(t, pid), "\n"); strings.Contains(all, "gons-own") {
				t.Errorf("%s has alice's mount on %s:\n%s", name, dir, all)
			}
		}
		must(t, "nsenter", "-m", "-t", w.alice.pid(t), "umount", dir)
	}
}

// checkHosts looks at the shells' parents, the host among them: each must have the one thread that it came with, and
// no handler for SIGURG, which Go alone has.
func checkHosts(t *testing.T, w *world) {
	const sigurg = 1 << (23 - 1)
	for name, s := range w.sessions() {
		hosts := 0
		for pid := s.pid(t); pid != "1"; pid = statusField(t, pid, "PPid") {
			if maps, _ := os.ReadFile("/proc/" + pid + "/maps"); bytes.Contains(maps, []byte("pam_gons.so")) {
				hosts++
			}
			caught, err := strconv.ParseUint(statusField(t, pid, "SigCgt"), 16, 64)
			if n := statusField(t, pid, "Threads"); n != "1" || err != nil || caught&sigurg != 0 {
				t.Errorf("%s: process %s has %s threads and catches %x (%v)", name, pid, n, caught, err)
			}
		}
		if hosts == 0 {
			t.Errorf("%s: no parent of the shell has the module", name)
		}
	}
}

func statusField(t testing.TB, pid, field string) string {
	t.Helper()
	data, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("process %s has no %s", pid, field)
	return ""
}

func checkRecords(t *testing.T, w *world) {
	var all []byte
	files := records()
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	if len(files) != 3 || bytes.Count(all, []byte(`"User":"alice"`)) != 2 || bytes.Count(all, []byte(`"User":"bob"`)) != 1 {
		t.Errorf("the records are:\n%s", all)
	}
}

func records() []string {
	files, _ := filepath.Glob("/run/gons/sessions/*")
	return files
}

// nothingLeft waits until no session is left: no namespace, no record, no directory of its own.
func nothingLeft(t testing.TB) {
	t.Helper()
	poll(t, "all sessions end", func() bool { return len(records())+len(strangers()) == 0 })
	if left, _ := filepath.Glob("/var-inst/*"); len(left) > 0 {
		t.Errorf("directories are left: %q", left)
	}
}

// strangers are the processes that are in another mount namespace than the test's.
func strangers() []string {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	var out []string
	all, _ := filepath.Glob("/proc/[0-9]*/ns/mnt")
	for _, path := range all {
		if ns, err := os.Readlink(path); err == nil && ns != own {
			out = append(out, strings.Split(path, "/")[2])
		}
	}
	return out
}

// checkRefusal shows that a broken configuration lets nobody in, tells the user in words that it isn't their fault and
// the administrator in which line to look, and does no lasting harm to the host.
func checkRefusal(t *testing.T, h host) {
	prepare(t, h, "version: 1\n")
	for _, c := range []struct{ name, config, log string }{
		{"unknown key", "version: 1\nbogus: true\n", "gons.yaml:2:1"},
		{"directory that isn't there", "version: 1\ndirectories:\n  - {path: /tmp/missing, method: tmpfs}\n", "gons.yaml:3:5"},
		{"instance parent that users may enter", "version: 1\ndirectories:\n  - {path: /tmp, method: user, instances: /home}\n", "/home"},
	} {
		t.Run(c.name, func(t *testing.T) {
			configure(t, c.config)
			log := sandbox.NewLog(t)
			seen := h.attempt(t, "alice", "echo I am $(id -un) in")
			if strings.Contains(seen, "I am alice in") {
				t.Errorf("alice got in:\n%s", seen)
			}
			if !h.silent && !strings.Contains(seen, "Your private directories could not be set up. Please tell your administrator.") {
				t.Errorf("alice was told:\n%s", seen)
			}
			log.Expect("pam_gons("+h.service+":session)", c.log)
			nothingLeft(t)
		})
	}
	t.Run("mended", func(t *testing.T) {
		configure(t, "version: 1\n")
		if seen := h.attempt(t, "alice", "echo I am $(id -un) in"); !strings.Contains(seen, "I am alice in") {
			t.Errorf("alice didn't get in:\n%s", seen)
		}
		nothingLeft(t)
	})
}

// checkKilled kills a host, which can't close its session then. What the session has stays for as long as a process of
// it is left, and goes with the user's next login after that. Another user's login doesn't have to wait for it.
func checkKilled(t *testing.T, h host) {
	prepare(t, h, methods, "alice")
	s := h.login(t, "alice")
	daemon := s.run(t, "cd /var/tmp; touch mine; setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!")
	must(t, "kill", "-KILL", leader(t))
	s.abandon()
	poll(t, "the session's processes end but for the daemon", func() bool { return len(strangers()) == 1 })
	h.attempt(t, "alice", "echo")
	poll(t, "her other session ends", func() bool { return len(records()) == 1 && len(strangers()) == 1 })
	if got := must(t, "ls", "/proc/"+daemon+"/cwd/"); got != "mine" {
		t.Errorf("the daemon that was left behind has %q in its /var/tmp after another login", got)
	}
	end(t, daemon)
	h.attempt(t, "bob", "echo")
	poll(t, "bob's session ends", func() bool { return len(strangers()) == 0 })
	if left := len(records()); left != 1 {
		t.Errorf("after bob's login %d sessions are on record, expected alice's", left)
	}
	h.attempt(t, "alice", "echo")
	nothingLeft(t)
}

// end kills a process that nobody waits for but the sandbox's first process, which this one is.
func end(t testing.TB, pid string) {
	t.Helper()
	number, err := strconv.Atoi(pid)
	if err == nil {
		err = syscall.Kill(number, syscall.SIGKILL)
	}
	if err == nil {
		_, err = syscall.Wait4(number, nil, 0, nil)
	}
	if err != nil {
		t.Fatalf("kill %s: %v", pid, err)
	}
}

// leader is the process that opened the only session.
func leader(t testing.TB) string {
	t.Helper()
	files := records()
	if len(files) != 1 {
		t.Fatalf("expected one record, got %q", files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), `"Leader":{"PID":`)
	pid, _, _ := strings.Cut(after, ",")
	return pid
}
