package pam_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gons/tests/sandbox"
)

// oneOfEach covers a directory by every method.
func oneOfEach(t testing.TB, options ...string) string {
	t.Helper()
	dir := area(t)
	tree(t, dir, "dir user 1777", "dir tmpfs 1777", "dir tmpdir 1777")
	configure(t, dir, "directories:\n"+listed([]string{
		"path: {A}/user, method: user, instances: {A}/inst",
		"path: {A}/tmpfs, method: tmpfs",
		"path: {A}/tmpdir, method: tmpdir, instances: {A}/inst-tmp",
	}), options...)
	return dir
}

// The Go runtime never starts in the host: after a session is opened through it, the host has the threads, signal
// handlers and environment it had before. So in every state that hosts are in.
func TestTheGoRuntimeNeverStartsInTheHost(t *testing.T) {
	hostile := []string{
		"GODEBUG=gctrace=1,inittrace=1,schedtrace=1", "GOTRACEBACK=crash", "GOGC=1", "GOMEMLIMIT=1", "GOMAXPROCS=64",
		"LD_LIBRARY_PATH=/nonexistent", "LD_BIND_NOW=1", "MALLOC_PERTURB_=85",
	}
	for _, c := range []struct {
		name string
		env  []string
		args []string
	}{
		{name: "plain"},
		{name: "hostile environment", env: hostile},
		{name: "handlers, a blocked SIGCHLD and an alternate stack", args: []string{"--handlers"}},
		{name: "SIGCHLD ignored", args: []string{"--sigchld", "ignore"}},
		{name: "SIGCHLD handled", args: []string{"--sigchld", "handler"}},
		{name: "a handler that waits for any child", args: []string{"--sigchld", "reap"}},
		{name: "descriptors 0 to 2 closed", args: []string{"--close-std"}},
		{name: "limit on files", args: []string{"--rlimit", "NOFILE=16"}},
		{name: "limit on memory", args: []string{"--rlimit", "AS=60000000", "--rlimit", "DATA=20000000", "--rlimit", "STACK=200000"}},
		{name: "limit on processes and file size", args: []string{"--rlimit", "NPROC=1", "--rlimit", "FSIZE=0", "--rlimit", "MEMLOCK=0"}},
		{name: "hard limit on files", args: []string{"--hard-limit", "NOFILE=64"}},
		{name: "the real user id of the caller, as su has it", args: []string{"--ruid", "2002"}},
		{name: "fork before opening, as xrdp does it", args: []string{"--fork-open"}},
		{name: "fork before closing", args: []string{"--fork-close"}},
		{name: "fork and drop privileges before closing, as systemd does it", args: []string{"--fork-close", "--drop"}},
		{name: "pam_end in a forked child", args: []string{"--fork-end"}},
		{name: "busy threads", args: []string{"--busy", "5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			oneOfEach(t)
			log := sandbox.NewLog(t)
			p := newPamhost(t, "alice", c.args...)
			p.cmd.Env = append(p.cmd.Env, c.env...)
			r := p.run().opened(t)
			r.unchanged(t, "before", "after", "cwd")
			r.unchanged(t, "before", "closed", "cwd")
			if r.get("before.namespace") == r.get("after.namespace") {
				t.Error("the session has no namespace of its own")
			}
			for _, line := range log.Lines() {
				t.Errorf("logged: %s", line)
			}
		})
	}
}

// pam_limits may stand before the module in a stack, and sets hard limits, too: they are for the user's session, not for
// what root does to open it. A root without CAP_SYS_RESOURCE can't lift them; where the worker can't live with one, the
// session fails and the log says of what.
func TestHardLimitsOfPamLimits(t *testing.T) {
	for limit, cause := range map[string]string{
		"AS=200000000": "the worker said: fatal error:", "DATA=40000000": "the worker said: ", "FSIZE=0": "write: file too large",
		"STACK=1000000": "", "NPROC=1": "", "MEMLOCK=0": "", "NOFILE=32": "",
	} {
		t.Run(limit, func(t *testing.T) {
			oneOfEach(t)
			log := sandbox.NewLog(t)
			r := host(t, "--hard-limit", limit)
			if cause != "" && !liftsHardLimits(t) {
				if r.get("open") != "14" {
					t.Errorf("open: PAM code %s", r.get("open"))
				}
				log.Expect(cause)
				return
			}
			r.opened(t).unchanged(t, "before", "after")
			for _, line := range log.Lines() {
				t.Errorf("logged: %s", line)
			}
		})
	}
}

// liftsHardLimits reports whether this process has CAP_SYS_RESOURCE (capabilities(7)).
func liftsHardLimits(t testing.TB) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "CapEff:\t")
	caps, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return caps&(1<<24) != 0
}

// Loading the module starts nothing either, and neither costs the host more than a few pages.
func TestAnIdleHostPaysNextToNothing(t *testing.T) {
	oneOfEach(t)
	r := host(t).opened(t)
	for _, key := range []string{"threads", "signals", "mask", "altstack", "environ"} {
		if r.get("start."+key) != r.get("before."+key) {
			t.Errorf("%s: %q before pam_start, %q after", key, r.get("start."+key), r.get("before."+key))
		}
	}
	for _, c := range []struct {
		from, to, key string
		limit         int
	}{
		{"start", "before", "dirty_kb", 1000}, // loading libpam and every module of the stack
		{"start", "before", "writable_kb", 8000},
		{"before", "after", "dirty_kb", 200},
		{"before", "after", "writable_kb", 400},
	} {
		if kb := number(t, r.get(c.to+"."+c.key)) - number(t, r.get(c.from+"."+c.key)); kb > c.limit {
			t.Errorf("%s grew by %d kB from %s to %s, expected at most %d", c.key, kb, c.from, c.to, c.limit)
		}
	}
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMeasureReports(t *testing.T) {
	oneOfEach(t)
	r := host(t, "--measure").opened(t)
	for _, key := range []string{"start_open_ns", "pss_before", "pss_after", "private_before", "private_after"} {
		if number(t, r.get(key)) <= 0 {
			t.Errorf("%s=%s", key, r.get(key))
		}
	}
}

// The session belongs to the thread that opened it; the others stay where they are.
func TestOpeningMovesTheCallingThreadOnly(t *testing.T) {
	oneOfEach(t)
	r := host(t, "--thread", "--stack", "64").opened(t) // little for a thread, and all there is for the worker
	r.untouched(t, "before", "joined")
	if r.get("after.namespace") == r.get("before.namespace") {
		t.Error("the thread that opened has no namespace of its own")
	}
}

func TestThreadsOpenSessionsAtTheSameTime(t *testing.T) {
	oneOfEach(t)
	r := host(t, "--parallel", "8", "--sigchld", "handler")
	seen := map[string]bool{r.get("before.namespace"): true}
	for _, line := range r["parallel"] {
		codes, ns, _ := strings.Cut(line, ":mnt")
		if codes != "0:0" || seen[ns] {
			t.Errorf("one of eight: %s", line)
		}
		seen[ns] = true
	}
	if len(r["parallel"]) != 8 {
		t.Errorf("%d of 8 threads reported", len(r["parallel"]))
	}
	r.untouched(t, "before", "joined")
	if left := records(t); len(left) > 0 {
		t.Errorf("session records are left: %q", left)
	}
}

func TestTheBuiltModule(t *testing.T) {
	so := sandbox.Module(t)
	check := filepath.Join(filepath.Dir(so), "..", "scripts", "check-module")
	if out, err := exec.Command(check, so).CombinedOutput(); err != nil {
		t.Errorf("check-module: %v: %s", err, out)
	}
	out, err := exec.Command("nm", "-D", "--defined-only", so).Output()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); len(lines) != 2 {
		t.Errorf("exported symbols:\n%s", out)
	}
	// The check must be able to fail: an object that is no such module.
	if out, err := exec.Command(check, sandbox.Built(t, "pamhost")).CombinedOutput(); err == nil {
		t.Errorf("check-module accepts pamhost: %s", out)
	}
}
