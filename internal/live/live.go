// Package live looks at sessions from outside: which are open, what is mounted in them and how much it takes, and the way
// into one. It reads session records and /proc and changes nothing. What is made and removed belongs to packages module
// and session; words and columns to the command.
package live

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"gons/internal/session"
)

// State says what is left of a session.
type State string

// The states of a session.
const (
	// Open sessions have a process.
	Open State = "open"
	// Opening sessions aren't open yet: their namespace is still made.
	Opening State = "opening"
	// Dead sessions have no process any more, and weren't closed with privilege: gons clean removes what they left.
	Dead State = "dead"
	// Kept is a namespace without sessions, which somebody has left a process in, or which is kept for a while.
	Kept State = "kept"
	// Unknown is for those of which it can't be told, as from another pid namespace.
	Unknown State = "unknown"
)

// Session is a session that has a record, or a namespace that sessions have shared and that is kept without any.
type Session struct {
	// Record has what the record of the namespace says, too, where sessions share it.
	session.Record
	State State
	// Process is one of the session's: its leader, while that lives. PID is 0 where none is known.
	Process session.Process
	// Command is the name of Process, as the kernel has it (proc_pid_comm(5)): whoever owns that has chosen it.
	Command string
	// Grafts are what gons mount has put into its namespace.
	Grafts []session.Graft
}

// All returns the sessions that have records, in the order of their ids. Records that can't be read are errors beside the
// others; those that are removed meanwhile are left out.
func All(store *session.Store, p session.Processes) ([]Session, []error) {
	ids, err := store.List()
	if err != nil {
		return nil, []error{err}
	}
	var records []session.Record
	var failed []error
	for _, id := range ids {
		r, err := store.Get(id)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			failed = append(failed, err)
		default:
			records = append(records, r)
		}
	}
	grafts, err := store.Grafts()
	if err != nil {
		failed = append(failed, err)
	}
	out := lookAll(store, records, p)
	for i := range out {
		for _, g := range grafts {
			if g.ID == out[i].ID || g.ID == out[i].Of {
				out[i].Grafts = append(out[i].Grafts, g)
			}
		}
	}
	return out, failed
}

// lookAll gives each session what it shares with others; a namespace is in the list only where no session is in it.
func lookAll(store *session.Store, records []session.Record, p session.Processes) []Session {
	shared, used := map[string]session.Record{}, map[string]bool{}
	for _, r := range records {
		if r.IsShared() {
			shared[r.ID] = r
		}
		used[r.Of] = true
	}
	var out []Session
	for _, r := range records {
		if !used[r.ID] {
			out = append(out, look(store, r, shared[r.Of], p))
		}
	}
	return out
}

func look(store *session.Store, r, in session.Record, p session.Processes) Session {
	s := Session{Record: r, State: Unknown}
	if in.ID != "" {
		s.Namespace, s.HostNamespace, s.Scripts = in.Namespace, in.HostNamespace, in.Scripts
		s.Covered, s.Instances, s.Leftovers, s.Shared = in.Covered, in.Instances, in.Leftovers, in.Shared
	}
	if r.PIDNamespace == 0 || r.PIDNamespace != p.PIDNamespace() {
		return s
	}
	alive, found := store.Alive(r, p)
	switch {
	case !alive:
		s.State = Dead
		return s
	case r.IsShared():
		s.State = Kept
	case found.PID == 0: // something that can't be looked at may be in there
		return s
	case s.Namespace.Inode == 0 || s.Scripts || in.ID != "" && !in.Shared.Ready:
		s.State = Opening
	default:
		s.State = Open
	}
	s.Process = found
	if found.PID != 0 {
		s.Command = command(found.PID)
	}
	return s
}

func command(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSuffix(string(data), "\n")
}

// Match returns the sessions that what means: those of a user of that name, and those whose id begins so. The id's first
// part, the user's number, alone is no such beginning.
func Match(sessions []Session, what string) []Session {
	var out []Session
	for _, s := range sessions {
		if s.User == what || strings.Contains(what, "-") && strings.HasPrefix(s.ID, what) {
			out = append(out, s)
		}
	}
	return out
}

// Short is the shortest beginning of an id, of at least eight of its random digits, by which Match tells it from the
// others'.
func Short(id string, all []Session) string {
	for n := strings.IndexByte(id, '-') + 9; n < len(id); n++ {
		same := func(s Session) bool { return s.ID != id && strings.HasPrefix(s.ID, id[:n]) }
		if !slices.ContainsFunc(all, same) {
			return id[:n]
		}
	}
	return id
}
