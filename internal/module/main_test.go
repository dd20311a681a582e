package module

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/internal/wire"
	"gons/tests/testkit"
)

// workerVar makes the test binary a worker whose gate is descriptor 3.
const workerVar = "GONS_TEST_WORKER"

// TestMain runs the tests, as root, in a mount namespace of their own with empty directories at /mnt, /run and
// /etc/security.
func TestMain(m *testing.M) {
	if os.Getenv(workerVar) != "" {
		Serve(linux.NewHandle(3, "the gate"), 0o022)
		os.Exit(0)
	}
	testkit.Main(m, 0o077, "/mnt", "/run", "/etc/security") // with the worker's umask
}

var must = testkit.Must

// host plays the gate and the process that it is in: one thread, which can enter a namespace.
type host struct {
	// answers are to questions, by "user NAME" and "group NAME"; what isn't there doesn't exist.
	answers map[string][]string
	// cwd is the working directory that it tells.
	cwd string
	// on overrides how a message is answered; false ends the conversation.
	on func(wire.Message) (wire.Message, bool)
	// inside looks at the session from the thread that opened it, before the worker is let go.
	inside func()
	// taken is how it answers that a session is open: 0, or that it couldn't take it over; gone without an answer when
	// it is -1.
	taken int32

	log  []string
	env  []string
	done []wire.Message
	id   string
}

func newGate() *host {
	return &host{
		answers: map[string][]string{
			"user bob": {"2002", "2002", "bob", "/home/bob"}, "uid 0": {"0", "0", "root", "/root"}, "group team": {"2100", "1"},
		},
		cwd: "/", inside: func() {}, on: func(wire.Message) (wire.Message, bool) { return wire.Message{}, false },
	}
}

// alice is a request to open alice's session, with more strings.
func alice(op string, more ...string) wire.Message {
	return wire.Message{Kind: wire.Request, Strings: append([]string{
		"op=" + op, "service=sshd", "user=alice", "uid=2001", "gid=2001", "home=/mnt/home", fmt.Sprintf("pid=%d", os.Getpid()),
	}, more...)}
}

// run has a worker serve one request and waits for the end of the conversation. It fails the test when the worker
// hangs.
func (h *host) run(t testing.TB, request wire.Message) {
	t.Helper()
	h.serve(t, func(c *wire.Conn, _ *linux.Handle) error { return c.Send(request) })
}

func (h *host) serve(t testing.TB, ask func(*wire.Conn, *linux.Handle) error) {
	t.Helper()
	ours, theirs, err := linux.SocketPair()
	must(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Serve(theirs, 0o022)
	}()
	spoken := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread may end in another namespace
		conn := wire.NewConn(ours)
		defer conn.Close()
		if err := ask(conn, ours); err != nil {
			spoken <- err
			return
		}
		spoken <- h.converse(conn)
	}()
	select {
	case err := <-spoken:
		if err != nil && !errors.Is(err, wire.ErrClosed) && !linux.Is(err, unix.ECONNRESET) && !linux.Is(err, unix.EPIPE) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the conversation doesn't end")
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the worker doesn't end")
	}
}

// converse answers until the worker is gone, or until it is to be left.
func (h *host) converse(conn *wire.Conn) error {
	for {
		m, err := conn.Receive()
		if err != nil {
			return err
		}
		switch m.Kind {
		case wire.Log:
			h.log = append(h.log, fmt.Sprintf("%d %s", m.Arg, strings.Join(m.Strings, "|")))
			continue
		case wire.Done:
			h.done = append(h.done, m)
			if h.inside(); (h.id != "" || h.env != nil) && m.Arg == 0 {
				if h.taken < 0 {
					return nil
				}
				if err := conn.Send(wire.Message{Kind: wire.Answer, Arg: h.taken}); err != nil {
					return err
				}
			}
			continue
		}
		answer, ok := h.on(m)
		if !ok {
			if answer, err = h.answer(m); err != nil {
				return err
			}
		}
		if answer.Kind == 0 {
			return nil // the gate goes away
		}
		err = conn.Send(answer)
		for _, f := range answer.Files {
			f.Close()
		}
		if err != nil {
			return err
		}
	}
}

// answer is how the real gate answers.
func (h *host) answer(m wire.Message) (wire.Message, error) {
	known := func(what string) (wire.Message, error) {
		strings, ok := h.answers[what+m.Strings[0]]
		return wire.Message{Kind: wire.Answer, Arg: map[bool]int32{true: 1}[ok], Strings: strings}, nil
	}
	switch m.Kind {
	case wire.User:
		return known("user ")
	case wire.UID:
		return known("uid ")
	case wire.Group:
		return known("group ")
	case wire.Env:
		h.env = m.Strings
		return wire.Message{Kind: wire.Answer}, nil
	case wire.Unshare:
		h.id = m.Strings[0]
		return h.unshare()
	}
	return wire.Message{}, fmt.Errorf("the worker sends %+v", m)
}

func (h *host) unshare() (wire.Message, error) {
	if err := linux.UnshareMounts(); err != nil {
		return wire.Message{}, err
	}
	ns, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return wire.Message{}, err
	}
	root, err := linux.OpenRoot()
	return wire.Message{Kind: wire.Answer, Strings: []string{h.cwd}, Files: []*linux.Handle{linux.NewHandle(ns, "ns"), root}}, err
}

// code is what the worker ended with; -1 for no answer at all.
func (h *host) code() Code {
	if len(h.done) != 1 {
		return -1
	}
	return Code(h.done[0].Arg)
}

// check compares the code, and the log lines that aren't debugging.
func (h *host) check(t testing.TB, what string, code Code, log ...string) {
	t.Helper()
	if h.code() != code || !slices.Equal(h.log, log) {
		t.Errorf("%s: got %d (%d answers) and\n%s\nwant %d and\n%s", what, h.code(), len(h.done), strings.Join(h.log, "\n"), code, strings.Join(log, "\n"))
	}
}

// records are the names in the directory of session records.
func records(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/run/gons/sessions")
	if os.IsNotExist(err) { // before the first session
		err = nil
	}
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// configFile writes a configuration and returns the option that names it.
func configFile(t testing.TB, name, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/mnt", "conf")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	must(t, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
	return "arg=config=" + dir + "/" + name
}

// newTree makes directories to cover and returns where they are.
func newTree(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/mnt", "tree")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	for _, name := range []string{"/tmp", "/var"} {
		must(t, os.Mkdir(dir+name, 0o700))
		must(t, unix.Chmod(dir+name, 0o1777))
	}
	return dir
}

// files are all below a directory, by name.
func files(t testing.TB, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-printf", "%P %m %U\n").Output()
	must(t, err)
	lines := strings.Split(string(out), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
