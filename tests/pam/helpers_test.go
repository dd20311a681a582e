package pam_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

const (
	service  = "gons-test"
	deadline = 30 * time.Second // of every wait
)

// What the suites share, by shorter names.
var (
	names, exists, gone, eventually = sandbox.Names, sandbox.Exists, sandbox.Ended, sandbox.Eventually
	childrenOf, childOf             = sandbox.ChildrenOf, sandbox.ChildOf
)

// ---- what a test is about ----

// area is a directory of the test's own, outside of what sessions usually cover, that only root can write to. It and
// everything mounted below it go with the test.
func area(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/srv", "gons-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		for _, id := range records(t) { // a test that failed must not fail the next one
			os.Remove("/run/gons/sessions/" + id)
		}
	})
	return dir
}

// tree makes what each line says below dir: "dir PATH MODE [UID]", "file PATH MODE [UID]", "fifo PATH" or
// "link PATH TARGET [UID]"; {A} in a target is dir.
func tree(t testing.TB, dir string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := entry(dir, strings.Fields(strings.ReplaceAll(line, "{A}", dir))); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func entry(dir string, word []string) error {
	path := filepath.Join(dir, word[1])
	if word[0] == "fifo" {
		return unix.Mkfifo(path, 0o666)
	}
	var err error
	switch word[0] {
	case "dir":
		err = os.Mkdir(path, 0)
	case "file":
		err = os.WriteFile(path, []byte("content"), 0)
	case "link":
		err = os.Symlink(word[2], path)
	}
	if err != nil {
		return err
	}
	if len(word) > 3 {
		uid, _ := strconv.Atoi(word[3])
		if err := os.Lchown(path, uid, uid); err != nil {
			return err
		}
	}
	if word[0] == "link" {
		return nil
	}
	mode, err := strconv.ParseUint(word[2], 8, 32)
	if err != nil {
		return err
	}
	return unix.Chmod(path, uint32(mode)) // os.Chmod has bits of its own for sticky and the like
}

// configure writes gons.yaml, {A} standing for dir, and the PAM service with the module's options.
func configure(t testing.TB, dir, yaml string, options ...string) {
	t.Helper()
	sandbox.Config(t, "version: 1\n"+strings.ReplaceAll(yaml, "{A}", dir))
	sandbox.Stack(t, service, "required", strings.ReplaceAll(strings.Join(options, " "), "{A}", dir))
}

// directories writes a configuration of directory entries in YAML's flow style, without their braces.
func directories(t testing.TB, dir string, entries ...string) {
	t.Helper()
	configure(t, dir, "directories:\n"+listed(entries))
}

func listed(entries []string) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "  - {%s}\n", e)
	}
	return b.String()
}

var firstSession sync.Once

// makeRunDir has a first session make what later ones find: /run/gons.
func makeRunDir(t testing.TB) {
	t.Helper()
	firstSession.Do(func() {
		configure(t, "", "namespace: {always: true}")
		host(t).opened(t)
	})
}

// records are the session records on disk.
func records(t testing.TB) []string {
	t.Helper()
	return names(t, "/run/gons/sessions")
}

func mustMount(t testing.TB, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		t.Fatalf("mount %s on %s: %v", kind, target, err)
	}
	t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
}

// ---- threads ----

// thread is an OS thread that nothing else uses, since what a session does to its thread can't be undone.
type thread struct {
	t    testing.TB
	work chan func()
	done chan struct{}
}

func newThread(t testing.TB) *thread {
	th := &thread{t: t, work: make(chan func()), done: make(chan struct{}, 1)}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for f := range th.work {
			f()
			th.done <- struct{}{}
		}
	}()
	t.Cleanup(func() { close(th.work) })
	return th
}

// do runs f on the thread and waits for it. f must not call t.FailNow.
func (th *thread) do(f func()) {
	th.t.Helper()
	th.work <- f
	select {
	case <-th.done:
	case <-time.After(deadline):
		panic("the thread hangs") // nothing else can be done: the thread would be used while it runs
	}
}

// try is do for what can fail.
func (th *thread) try(f func() error) {
	th.t.Helper()
	var err error
	th.do(func() { err = f() })
	if err != nil {
		th.t.Fatal(err)
	}
}

func (th *thread) mounts() (out []mount) {
	th.t.Helper()
	th.do(func() {
		for _, line := range sandbox.Mounts(th.t, "thread-self") {
			out = append(out, parseMount(line))
		}
	})
	return out
}

// mount is the mount on top at path, or nil.
func (th *thread) mount(path string) *mount {
	th.t.Helper()
	var found *mount
	for _, m := range th.mounts() {
		if m.point == path {
			found = &m
		}
	}
	return found
}

func (th *thread) namespace() (ns string) {
	th.t.Helper()
	th.try(func() (err error) { ns, err = os.Readlink("/proc/thread-self/ns/mnt"); return err })
	return ns
}

// sh runs a shell command on the thread as a user and returns what it printed; it must succeed.
func (th *thread) sh(uid int, script string) string {
	th.t.Helper()
	var out []byte
	var err error
	th.do(func() {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		out, err = cmd.CombinedOutput()
	})
	if err != nil {
		th.t.Errorf("%s: %v: %s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	root, point, kind string
	options, super    []string
	shared            bool
}

func parseMount(line string) mount {
	before, after, _ := strings.Cut(line, " - ")
	f, rest := strings.Fields(before), strings.Fields(after)
	return mount{
		root: f[3], point: f[4], kind: rest[0], options: strings.Split(f[5], ","), super: strings.Split(rest[2], ","),
		shared: strings.Contains(before, " shared:"),
	}
}

// ---- hosts and sessions in this process ----

// newHost is a thread in a mount namespace of its own with / recursively shared or private.
func newHost(t testing.TB, propagation uintptr) *thread {
	t.Helper()
	h := newThread(t)
	h.try(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		return unix.Mount("", "/", "", unix.MS_REC|propagation, "")
	})
	return h
}

// session is a PAM transaction on a thread of its own.
type session struct {
	*thread
	tx     *pam.Transaction
	said   []string
	isOpen bool
}

// begin starts a transaction for a user on a new thread, which is first taken to host's namespace if there is a host.
func begin(t testing.TB, user string, host *thread) *session {
	t.Helper()
	sandbox.NewLog(t) // shown when the test fails
	s := &session{thread: newThread(t)}
	s.try(func() error { return unix.Unshare(unix.CLONE_FS) }) // its own umask and working directory
	if host != nil {
		s.enter(host)
	}
	s.try(func() (err error) {
		s.tx, err = pam.StartFunc(service, user, func(_ pam.Style, msg string) (string, error) {
			s.said = append(s.said, msg)
			return "", nil
		})
		return err
	})
	t.Cleanup(s.end)
	return s
}

func (th *thread) enter(host *thread) {
	th.t.Helper()
	fd := -1
	host.try(func() (err error) {
		fd, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	defer unix.Close(fd)
	th.try(func() error { return unix.Setns(fd, unix.CLONE_NEWNS) })
}

func (s *session) open(flags pam.Flags) (err error) {
	s.t.Helper()
	s.do(func() { err = s.tx.OpenSession(flags) })
	s.isOpen = err == nil
	return err
}

func (s *session) close() {
	s.t.Helper()
	s.isOpen = false
	s.try(func() error { return s.tx.CloseSession(0) })
}

// end ends the transaction, and the session when the test hasn't.
func (s *session) end() {
	s.do(func() {
		if s.isOpen {
			s.tx.CloseSession(0)
		}
		s.tx.End()
	})
}

// open opens a session that must open.
func open(t testing.TB, user string) *session {
	t.Helper()
	return openFrom(t, user, nil)
}

func openFrom(t testing.TB, user string, host *thread) *session {
	t.Helper()
	s := begin(t, user, host)
	if err := s.open(0); err != nil {
		t.Fatalf("opening a session for %s: %v (said: %q)", user, err, s.said)
	}
	return s
}

// covered is the mount at path, which must be there.
func (s *session) covered(path string) mount {
	s.t.Helper()
	m := s.mount(path)
	if m == nil {
		s.t.Fatalf("%s is not covered", path)
	}
	return *m
}

// ---- hosts that are processes ----

// report is what pamhost printed, by key.
type report map[string][]string

func (r report) get(key string) string {
	if len(r[key]) == 0 {
		return ""
	}
	return r[key][len(r[key])-1]
}

// pamhost is a run of tests/pamhost.
type pamhost struct {
	t      testing.TB
	cmd    *exec.Cmd
	out    bytes.Buffer
	errors bytes.Buffer
	timer  *time.Timer
}

// newPamhost prepares "pamhost FLAG... SERVICE USER"; args are the flags, a user other than alice after them.
func newPamhost(t testing.TB, user string, args ...string) *pamhost {
	t.Helper()
	p := &pamhost{t: t, cmd: exec.Command(sandbox.Built(t, "pamhost"), append(args, service, user)...)}
	p.cmd.Dir = "/"
	p.cmd.Env = []string{"PATH=/usr/bin:/bin", "GREETING=two\nlines"}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errors
	return p
}

// of makes the run use another PAM service.
func (p *pamhost) of(name string) *pamhost {
	p.cmd.Args[len(p.cmd.Args)-2] = name
	return p
}

func (p *pamhost) start() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.timer = time.AfterFunc(deadline, func() { p.cmd.Process.Kill() })
}

// wait returns the report. A pamhost that failed itself fails the test; one whose session failed doesn't.
func (p *pamhost) wait() report {
	p.t.Helper()
	p.cmd.Wait()
	if !p.timer.Stop() {
		p.t.Fatalf("pamhost %q hung:\n%s", p.cmd.Args[1:], p.out.String())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && code != 1 {
		p.t.Fatalf("pamhost %q: %v\n%s%s", p.cmd.Args[1:], p.cmd.ProcessState, p.out.String(), p.errors.String())
	}
	if p.errors.Len() > 0 {
		p.t.Errorf("pamhost %q wrote: %s", p.cmd.Args[1:], p.errors.String())
	}
	r := report{}
	for _, line := range strings.Split(p.out.String(), "\n") {
		key, value, _ := strings.Cut(line, "=")
		r[key] = append(r[key], value)
	}
	return r
}

func (p *pamhost) run() report {
	p.t.Helper()
	p.start()
	return p.wait()
}

// held starts a run that holds its session open until letGo is called.
func held(t testing.TB, user string, args ...string) (p *pamhost, letGo func()) {
	t.Helper()
	p = newPamhost(t, user, append(args, "--hold")...)
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	before := len(records(t))
	p.start()
	eventually(t, "the session is open", func() bool { // it has a record, and the worker has ended
		return len(records(t)) > before && len(childrenOf(t, p.cmd.Process.Pid)) == 0
	})
	return p, func() { stdin.Close() }
}

// host runs pamhost for alice.
func host(t testing.TB, args ...string) report {
	t.Helper()
	return newPamhost(t, "alice", args...).run()
}

// opened fails the test unless every session of the run opened and closed.
func (r report) opened(t testing.TB) report {
	t.Helper()
	for _, key := range []string{"open", "close"} {
		for _, code := range r[key] {
			if code != "0" {
				t.Errorf("%s: PAM code %s", key, code)
			}
		}
	}
	if len(r["open"]) == 0 {
		t.Errorf("nothing was opened: %v", r)
	}
	return r
}

// What a host has that a module may not change, an open session's namespace apart.
var hostState = []string{"threads", "signals", "mask", "pending", "altstack", "environ", "files", "root", "umask", "children"}

// unchanged fails the test unless the host looked the same at two times.
func (r report) unchanged(t testing.TB, from, to string, more ...string) {
	t.Helper()
	for _, key := range slices.Concat(hostState, more) {
		before, after := r[from+"."+key], r.get(to+"."+key)
		if len(before) == 0 || r[to+"."+key] == nil || before[len(before)-1] != after {
			t.Errorf("%s: %s %q, %s %q", key, from, before, to, after)
		}
	}
}

// untouched fails the test unless the host is where it was, too.
func (r report) untouched(t testing.TB, from, to string) {
	t.Helper()
	r.unchanged(t, from, to, "namespace", "cwd")
}
