package login_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dialogue is a program that is spoken to, over a terminal or over pipes.
type dialogue struct {
	cmd *exec.Cmd // nil where the test didn't start the program itself
	in  io.WriteCloser
	out io.ReadCloser

	mu     sync.Mutex
	text   string        // what came and wasn't consumed
	grown  chan struct{} // holds one token when text has grown
	ended  chan struct{} // closed when no more can come
	exited chan struct{} // closed when cmd has
}

// openTerminal returns the two ends of a new terminal.
func openTerminal(t testing.TB) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := -1
	conn.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("/dev/pts/%d", number)
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0) // os.OpenFile would make it non-blocking
	if err != nil {
		t.Fatal(err)
	}
	return master, os.NewFile(uintptr(fd), name)
}

// onTerminal starts a command with a terminal of its own, as a terminal emulator or a getty does.
func onTerminal(t testing.TB, cmd *exec.Cmd) *dialogue {
	t.Helper()
	master, slave := openTerminal(t)
	defer slave.Close()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if cred := cmd.SysProcAttr.Credential; cred != nil {
		if err := slave.Chown(int(cred.Uid), 5); err != nil {
			t.Fatal(err)
		}
	}
	return begin(t, cmd, master, master)
}

// onPipes starts a command with pipes for input and output.
func onPipes(t testing.TB, cmd *exec.Cmd) *dialogue {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer inRead.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer outWrite.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, outWrite
	return begin(t, cmd, inWrite, outRead)
}

// begin starts the command, if there is one, and reads what it says until it is closed.
func begin(t testing.TB, cmd *exec.Cmd, in io.WriteCloser, out io.ReadCloser) *dialogue {
	t.Helper()
	d := &dialogue{cmd: cmd, in: in, out: out, grown: make(chan struct{}, 1), ended: make(chan struct{}), exited: make(chan struct{})}
	if cmd == nil {
		close(d.exited)
	} else {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			cmd.Wait()
			close(d.exited)
		}()
	}
	go d.read()
	t.Cleanup(func() { d.abandon() })
	return d
}

func (d *dialogue) read() {
	defer close(d.ended)
	buf := make([]byte, 4096)
	for {
		n, err := d.out.Read(buf)
		d.mu.Lock()
		d.text += strings.ReplaceAll(string(buf[:n]), "\r", "")
		d.mu.Unlock()
		select {
		case d.grown <- struct{}{}:
		default:
		}
		if err != nil && !d.hungUp(err) {
			return
		}
	}
}

// hungUp reports whether a terminal is without a reader for now: login hangs it up (vhangup(2)) and opens it anew.
func (d *dialogue) hungUp(err error) bool {
	if !errors.Is(err, syscall.EIO) {
		return false
	}
	select {
	case <-d.exited:
		return false
	case <-time.After(5 * time.Millisecond):
		return true
	}
}

// take consumes the text up to and with words, and returns what is before them.
func (d *dialogue) take(words string) (before string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, after, ok := strings.Cut(d.text, words)
	if ok {
		d.text = after
	}
	return before, ok
}

// expect waits for words and returns what came before them.
func (d *dialogue) expect(t testing.TB, words string) string {
	t.Helper()
	before, ok := d.await(t, words)
	if !ok {
		t.Fatalf("expected %q, got %q and the end", words, d.rest())
	}
	return before
}

// await is expect for a program that may end instead.
func (d *dialogue) await(t testing.TB, words string) (before string, ok bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		if before, ok := d.take(words); ok {
			return before, true
		}
		select {
		case <-d.grown:
		case <-d.ended:
			return d.take(words)
		case <-deadline:
			t.Fatalf("expected %q, got %q", words, d.rest())
		}
	}
}

// rest is what came and wasn't consumed.
func (d *dialogue) rest() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text
}

func (d *dialogue) send(t testing.TB, line string) {
	t.Helper()
	if _, err := io.WriteString(d.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the program's end and returns what it said last.
func (d *dialogue) wait(t testing.TB) string {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		t.Fatalf("the program didn't end; it said %q", d.rest())
	}
	d.abandon()
	return d.rest()
}

// abandon ends the program, if it is still there, and closes what it was spoken to with.
func (d *dialogue) abandon() {
	grace := time.Duration(0)
	select {
	case <-d.ended: // then it is about to exit
		grace = patience
	default:
	}
	select {
	case <-d.exited:
	case <-time.After(grace):
		if d.cmd != nil {
			d.cmd.Process.Kill()
		}
		<-d.exited
	}
	d.in.Close()
	d.out.Close()
	<-d.ended
}

// prompt is the shell's. On a terminal what was typed before it may be thrown away: login does that, and su.
const prompt = "$ "

// shell is a shell in a session.
type shell struct{ *dialogue }

// run runs a script in the session's shell, as one line of input, and returns what it printed, on standard error too.
// The words around the answer are made by the shell, so that a terminal's echo of the question isn't taken for it.
func (s *shell) run(t testing.TB, script string) string {
	t.Helper()
	s.send(t, fmt.Sprintf(`printf '<%%s:' 7; (%s) 2>&1; printf '%%s>' :7`, strings.ReplaceAll(script, "\n", "; ")))
	s.expect(t, "<7:")
	return strings.TrimSpace(s.expect(t, ":7>"))
}

// pid is the shell's process, as the host knows it.
func (s *shell) pid(t testing.TB) string {
	t.Helper()
	return s.run(t, "echo $$")
}

// logout ends the session as its user does.
func (s *shell) logout(t testing.TB) {
	t.Helper()
	s.send(t, "exit")
	s.wait(t)
}
