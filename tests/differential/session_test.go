package differential_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// session runs the scenario with one module on a disk of its own and tells what was seen.
func (s scenario) session(t *testing.T, module string) (o *outcome) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and its namespace with it
		done <- func() (err error) {
			o, err = s.onThread(t, module)
			return err
		}()
	}()
	if err := <-done; err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(module), err, o)
	}
	return o
}

func (s scenario) onThread(t *testing.T, module string) (*outcome, error) {
	o := &outcome{of: map[aspect]string{}}
	if err := freshDisk(); err != nil {
		return o, err
	}
	log, err := listenLog()
	if err != nil {
		return o, err
	}
	defer func() { o.log = log() }()
	outer := module
	if s.upgrade {
		outer = peerModule(t)
	}
	if err := s.furnish(module, outer); err != nil {
		return o, err
	}
	return o, s.watch(t, o)
}

// watch runs the host and looks at it while the session is open, after it has been closed, and when all is over.
func (s scenario) watch(t *testing.T, o *outcome) error {
	if s.umask != 0 {
		unix.Umask(s.umask)
	}
	before, p := hostState(), s.start(t)
	defer p.kill()
	if s.within != "" {
		before = innerHostState(p.readTo("held"))
		p.goOn()
	}
	pid := p.readTo("held")
	if pid == "" {
		return p.ended(o)
	}
	o.open(s, before, pid)
	if s.after != "" {
		if err := shell(s.after); err != nil {
			return err
		}
	}
	during := hostState()
	p.goOn()
	if p.readTo("held") != "" {
		o.closed(s, p.last["held"])
		p.goOn()
	}
	p.readTo("")
	o.over(before, during)
	o.of[opening], o.of[closing], o.of[commands] = p.last["open"], p.last["close"], normal(strings.Join(p.said, "\n"))
	return p.ended(o)
}
