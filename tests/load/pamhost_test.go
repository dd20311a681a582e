package load_test

import (
	"bytes"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gons/tests/sandbox"
)

// The sentence that a user is told whose session failed.
const sentence = "Your private directories could not be set up. Please tell your administrator."

// pamhost is a run of tests/pamhost.
type pamhost struct {
	t           testing.TB
	cmd         *exec.Cmd
	out, errors bytes.Buffer
	timer       *time.Timer
	patience    time.Duration
}

// newPamhost prepares "pamhost FLAG... SERVICE USER".
func newPamhost(t testing.TB, user string, flags ...string) *pamhost {
	t.Helper()
	p := &pamhost{t: t, patience: patience, cmd: exec.Command(sandbox.Built(t, "pamhost"), append(flags, service, user)...)}
	p.cmd.Dir, p.cmd.Env = "/", []string{"PATH=/usr/bin:/bin"}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errors
	return p
}

// of makes the run use another PAM service.
func (p *pamhost) of(name string) *pamhost {
	p.cmd.Args[len(p.cmd.Args)-2] = name
	return p
}

// through has the command line start by way of another command, which executes the rest of its arguments.
func (p *pamhost) through(argv ...string) *pamhost {
	p.t.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd.Args = slices.Concat(argv, []string{p.cmd.Path}, p.cmd.Args[1:])
	p.cmd.Path = path
	return p
}

func (p *pamhost) pid() int { return p.cmd.Process.Pid }

func (p *pamhost) start() *pamhost {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.timer = time.AfterFunc(p.patience, func() { p.cmd.Process.Kill() })
	return p
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
	r := report{}
	for line := range strings.Lines(p.out.String()) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		r[key] = append(r[key], value)
	}
	return r
}

func (p *pamhost) run() report {
	p.t.Helper()
	return p.start().wait()
}

// held starts a run that keeps its session, which must open, until letGo is called.
func held(t testing.TB, user string, flags ...string) (p *pamhost, letGo func()) {
	t.Helper()
	p = newPamhost(t, user, append(flags, "--hold")...)
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said := &awaited{words: "held=", found: make(chan struct{}), buffer: &p.out}
	p.cmd.Stdout = said
	p.start()
	select {
	case <-said.found:
	case <-time.After(patience):
		t.Fatalf("%s's session doesn't open", user)
	}
	return p, func() { stdin.Close() }
}

// awaited is a buffer that says when words have come.
type awaited struct {
	words  string
	found  chan struct{} // closed then
	buffer *bytes.Buffer
	done   bool
}

func (a *awaited) Write(b []byte) (int, error) {
	n, err := a.buffer.Write(b)
	if !a.done && bytes.Contains(a.buffer.Bytes(), []byte(a.words)) {
		a.done = true
		close(a.found)
	}
	return n, err
}

// report is what pamhost printed, by key.
type report map[string][]string

func (r report) get(key string) string {
	if len(r[key]) == 0 {
		return ""
	}
	return r[key][len(r[key])-1]
}

func (r report) number(t testing.TB, key string) int {
	t.Helper()
	n, err := strconv.Atoi(r.get(key))
	if err != nil {
		t.Fatalf("%s=%q", key, r.get(key))
	}
	return n
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

// refused fails the test unless the session failed, the user was told so once, and the host is as it was.
func (r report) refused(t testing.TB) report {
	t.Helper()
	if got := r.get("open"); got != "14" {
		t.Errorf("PAM code %q, expected PAM_SESSION_ERR", got)
	}
	if said := r["conv"]; len(said) != 1 || said[0] != "3:"+sentence {
		t.Errorf("the user was told %q", said)
	}
	return r.unchanged(t, "before", "after", "namespace", "cwd")
}

// What a host has that a module may not change, an open session's namespace apart.
var hostState = []string{"threads", "signals", "mask", "pending", "altstack", "environ", "files", "root", "umask", "children"}

// unchanged fails the test unless the host looked the same at two times.
func (r report) unchanged(t testing.TB, from, to string, more ...string) report {
	t.Helper()
	for _, key := range slices.Concat(hostState, more) {
		if before, after := r.get(from+"."+key), r.get(to+"."+key); before != after || r[to+"."+key] == nil {
			t.Errorf("%s: %s %q, %s %q", key, from, before, to, after)
		}
	}
	return r
}
