package load_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// facts is what a session prints into {A}/pipe, which no limit and no closed descriptor keeps it from: first what it has
// of the caller, then what it has of the module.
const facts = `unset LD_DEBUG; ulimit -Sp unlimited
exec >{A}/pipe 2>&1
id; umask; pwd; ulimit -Sa; ulimit -Ha; env | grep -Ev "^(_|PWD|OLDPWD)=" | sort | cksum; nice
grep -E '^(SigBlk|SigIgn|SigCgt)' /proc/self/status; grep Threads /proc/$PPID/status
[ -e /proc/self/fd/0 ]; echo $?
echo ==
for d in user ram fresh; do
  stat -c '%n %U %a' {A}/$d; ls -A {A}/$d; grep -c " {A}/$d " /proc/self/mountinfo
done`

// programs are the ways in which alice runs the facts as bob.
var programs = map[string]func(facts string) []string{
	"su":   func(facts string) []string { return []string{"su", "bob", "-c", facts} },
	"sudo": func(facts string) []string { return []string{"sudo", "-n", "-E", "-u", "bob", facts} },
}

// surroundings are what alice gives su and sudo: variables, and what a shell does before it executes them. {A}/her is
// alice's; {L} sets soft limits alone where root can't lift hard ones (tests/pam has what becomes of those).
var surroundings = []struct {
	name, env, shell string
	nowhere          bool // the working directory has no name: the session begins in /
}{
	{name: "GODEBUG", env: "GODEBUG=gctrace=1,inittrace=1,schedtrace=1,madvdontneed=garbage,\x01"},
	{name: "GOTRACEBACK", env: "GOTRACEBACK=crash"},
	{name: "GOGC", env: "GOGC=1"},
	{name: "GOMEMLIMIT", env: "GOMEMLIMIT=1"},
	{name: "GOMAXPROCS", env: "GOMAXPROCS=100000"},
	{name: "LD_PRELOAD", env: "LD_PRELOAD={A}/her/evil.so"},
	{name: "LD_LIBRARY_PATH", env: "LD_LIBRARY_PATH={A}/her"},
	{name: "LD_DEBUG", env: "LD_DEBUG=all"},
	{name: "TMPDIR", env: "TMPDIR={A}/her"},
	{name: "LC_ALL", env: "LC_ALL=tr_TR.UTF-8"},
	{name: "MALLOC", env: "MALLOC_ARENA_TEST=1 MALLOC_CHECK_=3 MALLOC_PERTURB_=85 MALLOC_TRACE={A}/her/trace MALLOC_MMAP_THRESHOLD_=1"},
	{name: "GLIBC_TUNABLES", env: "GLIBC_TUNABLES=glibc.malloc.check=3:glibc.pthread.rseq=0"},
	{name: "thousands of variables", shell: `for i in {1..2000}; do export V$i=; done`},
	{name: "address space", shell: "ulimit {L} -v 100000"},
	{name: "data", shell: "ulimit {L} -d 10000"},
	{name: "files", shell: "ulimit {L} -n 24"},
	{name: "processes", shell: "ulimit -S -u 40"},
	{name: "file size", shell: "ulimit {L} -f 0"},
	{name: "stack", shell: "ulimit {L} -s 256"},
	{name: "core", shell: "ulimit {L} -c unlimited"},
	{name: "time", shell: "ulimit {L} -t 1"},
	{name: "locked memory", shell: "ulimit {L} -l 0"},
	{name: "signals that wait", shell: "ulimit {L} -i 0"},
	{name: "umask of nothing", shell: "umask 000"},
	{name: "umask of all", shell: "umask 777"},
	{name: "deleted directory", shell: "mkdir {A}/her/gone; cd {A}/her/gone; rmdir {A}/her/gone", nowhere: true},
	{name: "unreadable directory", shell: "mkdir -p {A}/her/dark; chmod 700 {A}/her/dark; cd {A}/her/dark; chmod 0 ."},
	{name: "directory that is covered", shell: "cd {A}/user"},
	{name: "closed descriptors", shell: "exec 0<&- 1>&- 2>&-"},
	{name: "closed descriptor 0", shell: "exec 0<&-"},
	{name: "many descriptors", shell: "for i in {10..250}; do eval \"exec $i</dev/null\"; done"},
	{name: "ignored signals", shell: "set -- env --ignore-signal \"$@\""},
	{name: "blocked signals", shell: "set -- env --block-signal \"$@\""},
	{name: "ignored children", shell: "set -- env --ignore-signal=CHLD \"$@\""},
	{name: "nice", shell: "set -- nice -n 19 \"$@\""},
	{name: "personality", shell: "set -- setarch -R --uname-2.6 \"$@\""},
	{name: "first to be killed", shell: "echo 1000 >/proc/self/oom_score_adj"},
}

// su and sudo run by a user with whatever a user can set: what the module does is exactly what it does without, and what
// reaches the session of the rest is what reaches it where the module isn't in the stack.
func TestCallersChangeNothing(t *testing.T) {
	dir := oneOfEach(t)
	makeDir(t, dir+"/her", 0o755, sandbox.Alice.UID)
	sandbox.Write(t, dir+"/her/evil.so", "no library", 0o755)
	script(t, dir+"/facts", strings.ReplaceAll(facts, "{A}", dir))
	if err := unix.Mkfifo(dir+"/pipe", 0o666); err != nil {
		t.Fatal(err)
	}
	must(t, "chmod", "666", dir+"/pipe")
	aside(t, "/etc/sudoers")
	sandbox.Write(t, "/etc/sudoers", "Defaults !env_reset, !use_pty\nroot ALL=(ALL:ALL) ALL\nalice ALL=(ALL) NOPASSWD:SETENV: ALL\n", 0o440)
	for name, argv := range programs {
		plain := newCaller(t, name, dir, argv(dir+"/facts"))
		_, want := plain.session(t, sandbox.Module(t), "", "")
		if !strings.Contains(want, "fresh root 1777") {
			t.Fatalf("%s: the session has %q", name, want)
		}
		for _, s := range surroundings {
			t.Run(name+" "+s.name, func(t *testing.T) { plain.check(t, s.env, s.shell, s.nowhere, want) })
		}
	}
}

// caller is alice with su or sudo.
type caller struct {
	program, dir string
	argv         []string
	count        *census
}

func newCaller(t testing.TB, program, dir string, argv []string) *caller {
	t.Helper()
	aside(t, "/etc/pam.d/"+program)
	return &caller{program, dir, argv, nil}
}

// check compares a session with the module to one without, and to one from friendly surroundings.
func (c *caller) check(t *testing.T, env, shell string, nowhere bool, want string) {
	log, count := sandbox.NewLog(t), newCensus(t, c.dir+"/inst", c.dir+"/inst-fresh")
	had, _ := c.session(t, "pam_permit.so", env, shell)
	have, isolated := c.session(t, sandbox.Module(t), env, shell)
	if nowhere {
		had = strings.Replace(had, "\n\n", "\n/\n", 1)
	}
	if had == "" {
		t.Errorf("%s itself doesn't work like that: %q", c.program, log.Lines())
	}
	if had != have {
		t.Errorf("with the module and without, %s", firstDifference(have, had))
	}
	if isolated != want {
		t.Errorf("the session has\n%s\nexpected\n%s", isolated, want)
	}
	for _, line := range log.Lines() {
		if strings.Contains(line, "pam_gons(") {
			t.Errorf("logged: %s", line)
		}
	}
	count.check(1)
}

// firstDifference is what differs first.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d: %q, %q", i+1, x[i], y[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}

// session runs the program with a module in its stack and returns what the session says of its surroundings and of the
// directories; "" where there is none.
func (c *caller) session(t testing.TB, module, env, shell string) (around, isolated string) {
	t.Helper()
	sandbox.Write(t, "/etc/pam.d/"+c.program, "auth required pam_permit.so\naccount required pam_permit.so\nsession required "+module+"\n", 0o644)
	in := strings.NewReplacer("{A}", c.dir, "{L}", map[bool]string{false: "-S"}[liftsHardLimits(t)])
	cmd := exec.Command("bash", append([]string{"-c", in.Replace(shell) + "\nexec \"$@\"", "bash"}, c.argv...)...)
	cmd.Env = append(strings.Fields(in.Replace(env)), "PATH=/usr/bin:/bin")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 2001, Gid: 2001}}
	pipe, err := unix.Open(c.dir+"/pipe", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe)
	timer := time.AfterFunc(patience, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	out, _ := cmd.CombinedOutput()
	if !timer.Stop() {
		t.Fatalf("%s hung: %s", c.program, out)
	}
	said := make([]byte, 64<<10)
	n, err := unix.Read(pipe, said) // all that will come is there
	if n <= 0 {
		t.Logf("%s says nothing (%v): %.300s", c.program, err, out)
		return "", ""
	}
	around, isolated, _ = strings.Cut(string(said[:n]), "==\n")
	return around, isolated
}

// liftsHardLimits reports whether root has CAP_SYS_RESOURCE here (capabilities(7)).
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
