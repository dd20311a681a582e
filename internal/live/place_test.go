package live

import (
	"errors"
	"os"
	"strings"
	"testing"

	"gons/internal/linux"
	"gons/internal/session"
)

// procs is the machine's /proc, but for processes in namespaces: there are none but found.
type procs struct {
	session.Proc
	found session.Process
}

func (p procs) InNamespace(session.Namespace, uint64) (session.Process, bool) {
	return p.found, p.found.PID != 0
}

// A process is taken for a session's only while its start and its namespace are those of the record.
func TestFind(t *testing.T) {
	own, err := linux.OpenMountNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	start, _ := session.Proc{}.Start(os.Getpid())
	me, ns := session.Process{PID: os.Getpid(), Start: start}, session.NamespaceOf(own)
	reused := session.Process{PID: me.PID, Start: start - 1}
	for _, c := range []struct {
		name          string
		leader, other session.Process
		ns            session.Namespace
		want          string
	}{
		{"the leader", me, session.Process{}, ns, ""},
		{"a reused number", reused, session.Process{}, ns, "no process of the session's was found"},
		{"a reused number, and another process", reused, me, ns, ""},
		{"another that is reused", reused, reused, ns, "is another one by now"},
		{"the leader is elsewhere", me, session.Process{}, session.Namespace{Inode: ns.Inode + 1}, "no process"},
		{"a later namespace of the same inode", me, session.Process{}, session.Namespace{Inode: ns.Inode, ID: ns.ID + 1}, "no process"},
		{"an older kernel's record", me, session.Process{}, session.Namespace{Inode: ns.Inode}, ""},
		{"no namespace yet", me, me, session.Namespace{}, "no namespace yet"},
		{"an ended process", session.Process{PID: 1 << 22, Start: 1}, session.Process{}, ns, "no process"},
	} {
		s := Session{Record: session.Record{ID: "2001-x", Namespace: c.ns}, Process: c.leader}
		place, err := Find(s, procs{found: c.other})
		switch {
		case err == nil && c.want == "":
			place.Close()
		case err == nil:
			t.Errorf("%s: it was found", c.name)
			place.Close()
		case c.want == "" || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := OfProcess(1 << 22); !linux.Is(err, linux.ESRCH) {
		t.Errorf("no such process: %v", err)
	}
	if _, err := OfFile("/dev/null"); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("/dev/null: %v", err)
	}
}
