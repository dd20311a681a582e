package attack_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

const deadline = 30 * time.Second // of every wait

// ---- what is attacked ----

// module is one of the two that are attacked, by its PAM service.
type module string

const (
	gons module = "gons-attack"
	peer module = "peer-attack"
)

var both = []module{gons, peer}

func (m module) String() string {
	return map[module]string{gons: "gons", peer: "pam_namespace"}[m]
}

const conf = "/etc/security/namespace.conf"

// configure writes namespace.conf, which both modules read, and a PAM service for each with the options. {A} stands
// for dir.
func configure(t testing.TB, dir, lines string, options ...string) {
	t.Helper()
	sandbox.Write(t, conf, strings.ReplaceAll(lines, "{A}", dir)+"\n", 0o644)
	os.Remove("/etc/security/gons.yaml")
	sandbox.Stack(t, string(gons), "required", options...)
	sandbox.Write(t, "/etc/pam.d/"+string(peer), "auth required pam_permit.so\naccount required pam_permit.so\n"+
		"session required pam_namespace.so "+strings.Join(options, " ")+"\n", 0o644)
}

// area is a tmpfs of the test's own that only root can write to, with what the lines say: testkit.Tree.
func area(t testing.TB, lines ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/srv", "attack-")
	testkit.Must(t, err)
	testkit.Must(t, unix.Mount("attack", dir, "tmpfs", 0, "mode=0755"))
	t.Cleanup(func() {
		unix.Unmount(dir, unix.MNT_DETACH)
		os.Remove(dir)
		for _, id := range names(t, recordsDir) { // a test that failed must not fail the next one
			os.Remove(recordsDir + "/" + id)
		}
	})
	build(t, dir, lines...)
	return dir
}

// build is testkit.Tree with {A} for the area, whatever the umask.
func build(t testing.TB, dir string, lines ...string) {
	t.Helper()
	var out []string
	for _, line := range lines {
		for _, one := range testkit.Lines(line) {
			out = append(out, strings.ReplaceAll(one, "{A}", dir))
		}
	}
	testkit.Tree(t, dir, out...)
}

// What the suites share, by shorter names.
var (
	names, exists = sandbox.Names, sandbox.Exists
)

const recordsDir = "/run/gons/sessions"

// nothingLeft fails the test unless there is no record, and nothing in the directories.
func nothingLeft(t testing.TB, dirs ...string) {
	t.Helper()
	for _, dir := range append(dirs, recordsDir) {
		if left := names(t, dir); len(left) > 0 {
			t.Errorf("left over in %s: %q", dir, left)
		}
	}
}

// looks is the mode, owner and group of a file: "1777 0 0".
func looks(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%04o %d %d", st.Mode&0o7777, st.Uid, st.Gid)
}

// ---- threads ----

// thread is an OS thread that nothing else uses, since what a session does to its thread can't be undone.
type thread struct {
	t    testing.TB
	work chan func()
	done chan struct{}
}

// newThread is a thread of the host with root and working directory of its own, so that it can change its namespace.
func newThread(t testing.TB) *thread {
	t.Helper()
	th := &thread{t: t, work: make(chan func()), done: make(chan struct{}, 1)}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for f := range th.work {
			f()
			th.done <- struct{}{}
		}
	}()
	t.Cleanup(func() { close(th.work) })
	th.try(func() error { return unix.Unshare(unix.CLONE_FS) })
	return th
}

// do runs f on the thread and waits for it. f must not call t.FailNow.
func (th *thread) do(f func()) {
	th.t.Helper()
	th.work <- f
	select {
	case <-th.done:
	case <-time.After(3 * deadline):
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

// mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct{ root, point, kind, options string }

// mounts reads the calling thread's mount table.
func mounts() []mount {
	data, _ := os.ReadFile("/proc/thread-self/mountinfo")
	var out []mount
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		before, after, _ := strings.Cut(line, " - ")
		if f := strings.Fields(before); len(f) > 5 {
			out = append(out, mount{f[3], f[4], strings.Fields(after)[0], f[5]})
		}
	}
	return out
}

func (th *thread) mounts() (out []mount) {
	th.t.Helper()
	th.do(func() { out = mounts() })
	return out
}

// covers reports whether a mount is at path.
func (th *thread) covers(path string) bool {
	th.t.Helper()
	return slices.ContainsFunc(th.mounts(), func(m mount) bool { return m.point == path })
}

// namespace returns a descriptor of the thread's mount namespace, closed with the test.
func (th *thread) namespace() (fd int) {
	th.t.Helper()
	th.try(func() (err error) {
		fd, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	th.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// sh runs a shell command on the thread as a user and returns what it printed, its errors included.
func (th *thread) sh(uid int, script string) string {
	th.t.Helper()
	var out []byte
	th.do(func() {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		out, _ = cmd.CombinedOutput()
	})
	return strings.TrimSpace(string(out))
}

// batches calls f as long as more says so, in subtests: what is kept until a test ends, threads and descriptors, is then
// kept for some calls and not for all.
func batches(t *testing.T, more func() bool, f func(t *testing.T)) {
	t.Helper()
	for more() && !t.Failed() {
		t.Run("batch", func(t *testing.T) {
			for i := 0; i < 50 && more(); i++ {
				f(t)
			}
		})
	}
}

// ---- sessions ----

// session is a PAM transaction on a thread of its own.
type session struct {
	*thread
	tx     *pam.Transaction
	isOpen bool
}

func transaction(m module, user, ruser string) (*pam.Transaction, error) {
	tx, err := pam.StartFunc(string(m), user, func(pam.Style, string) (string, error) { return "", nil })
	if err == nil && ruser != "" {
		err = tx.SetItem(pam.Ruser, ruser)
	}
	return tx, err
}

// begin starts a transaction in the namespace of another thread, or in the host's where that is nil.
func begin(t testing.TB, m module, user, ruser string, from *thread) *session {
	t.Helper()
	sandbox.NewLog(t) // shown when the test fails
	s := &session{thread: newThread(t)}
	if from != nil {
		fd := from.namespace()
		s.try(func() error { return unix.Setns(fd, unix.CLONE_NEWNS) })
	}
	s.try(func() (err error) { s.tx, err = transaction(m, user, ruser); return err })
	t.Cleanup(s.end)
	return s
}

func (s *session) open() (err error) {
	s.t.Helper()
	s.do(func() { err = s.tx.OpenSession(0) })
	s.isOpen = err == nil
	return err
}

func (s *session) close() (err error) {
	s.t.Helper()
	s.isOpen = false
	s.do(func() { err = s.tx.CloseSession(0) })
	return err
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
func open(t testing.TB, m module, user string) *session {
	t.Helper()
	s := begin(t, m, user, "", nil)
	if err := s.open(); err != nil {
		t.Fatalf("%s: opening a session for %s: %v", m, user, err)
	}
	return s
}

// refused opens a session that must fail, and at once.
func refused(t testing.TB, m module, user string, words ...string) {
	t.Helper()
	log := sandbox.NewLog(t)
	s := begin(t, m, user, "", nil)
	began := time.Now()
	if err := s.open(); !errors.Is(err, pam.ErrSession) {
		t.Errorf("%s: opening a session for %s: %v, expected PAM_SESSION_ERR", m, user, err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("%s: it took %v", m, took)
	}
	if len(words) > 0 {
		log.Expect(words...)
	}
}

// ---- hosts that are processes ----

// pamhost runs tests/pamhost and returns its report by key, the last value of each; a host that hangs is killed, and
// its report says "hung".
func pamhost(t testing.TB, m module, user string, args ...string) map[string]string {
	t.Helper()
	cmd := exec.Command(sandbox.Built(t, "pamhost"), append(args, string(m), user)...)
	return report(t, cmd)
}

func report(t testing.TB, cmd *exec.Cmd) map[string]string {
	t.Helper()
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	testkit.Must(t, cmd.Start())
	timer := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
	cmd.Wait()
	r := map[string]string{}
	if !timer.Stop() {
		r["hung"] = "yes"
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if key, value, found := strings.Cut(line, "="); found {
			r[key] = value
		}
	}
	r["output"] = out.String()
	return r
}

// exchange exchanges two entries (renameat2(2)).
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// isBelow reports whether a path is dir or below it.
func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// components are the path and all directories above it below dir, the uppermost first.
func components(dir, path string) (out []string) {
	for ; path != dir && path != "/"; path = filepath.Dir(path) {
		out = append([]string{path}, out...)
	}
	return out
}
