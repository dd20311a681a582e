package sandbox

import (
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var syslog struct {
	sync.Mutex
	lines []string
	grown chan struct{}
}

// listenLog collects what is sent to /dev/log.
func listenLog() error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return err
	}
	if err := os.Chmod("/dev/log", 0o666); err != nil { // the users' programs log too
		return err
	}
	syslog.grown = make(chan struct{}, 1)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			syslog.Lock()
			syslog.lines = append(syslog.lines, strings.TrimRight(string(buf[:n]), "\n\x00"))
			syslog.Unlock()
		}
	}()
	return nil
}

// Log is the part of the system log since it was made.
type Log struct {
	t    testing.TB
	from int
}

// NewLog begins to look at the system log. When the test fails, what came in is shown.
func NewLog(t testing.TB) *Log {
	syslog.Lock()
	defer syslog.Unlock()
	l := &Log{t, len(syslog.lines)}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		if lines := l.Lines(); len(lines) > 0 {
			t.Logf("system log:\n%s", strings.Join(lines, "\n"))
		}
	})
	return l
}

// Lines returns the lines of pam_gons so far, each beginning with its priority, "<83>", as syslog(3) sends it.
func (l *Log) Lines() []string {
	time.Sleep(20 * time.Millisecond) // a datagram that was sent is there, but the reader may not have run yet
	syslog.Lock()
	defer syslog.Unlock()
	var out []string
	for _, line := range syslog.lines[l.from:] {
		if strings.Contains(line, "pam_gons(") || strings.Contains(line, "PAM ") {
			out = append(out, line)
		}
	}
	return out
}

// Expect fails the test unless one line holds all the words.
func (l *Log) Expect(words ...string) {
	l.t.Helper()
	lines := l.Lines()
	for _, line := range lines {
		found := true
		for _, w := range words {
			found = found && strings.Contains(line, w)
		}
		if found {
			return
		}
	}
	l.t.Errorf("no line of the system log holds %q:\n%s", words, strings.Join(lines, "\n"))
}
