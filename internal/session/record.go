// Package session keeps the records of open sessions, so that any later process can remove what a session leaves on
// disk: the host may close without privilege (systemd's sd-pam), or be killed before it closes.
//
// A record is a file below /run/gons that is written before what it describes is made, and removed after that is
// gone. The package knows when a session is over and what to remove then; how a session is opened belongs to polyinst.
package session

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gons/internal/linux"
	"gons/internal/polyinst"
)

// recordVersion is raised with each change to what a record holds or means.
const recordVersion = 1

// Record is one open session, or a namespace that the sessions of a user share (IsShared).
type Record struct {
	Version int
	ID      string
	// Of is the id of the namespace's own record, for a session in one that the user's sessions share: what there is to
	// know of the namespace, and to remove at its end, is in that.
	Of      string `json:",omitempty"`
	User    string
	UID     uint32
	Service string
	TTY     string `json:",omitempty"`
	RHost   string `json:",omitempty"`
	Opened  time.Time
	// Leader is the process that opened the session, or another one that was found in its namespace since.
	Leader Process
	// Started is when the first Leader was started: no process that is older can be in the session.
	Started uint64
	// Namespace is the session's mount namespace.
	Namespace Namespace
	// HostNamespace is the mount namespace that the session was opened from, in which its paths are meant.
	HostNamespace Namespace
	// PIDNamespace is that of Leader: in another one its number means another process.
	PIDNamespace uint64
	// Scripts says that scripts are run for the session, which isn't open yet: all that is in its namespace is theirs.
	Scripts bool `json:",omitempty"`
	// Pinned says that the namespace may be pinned, and is to be let go in the end.
	Pinned bool `json:",omitempty"`
	// Covered are the directories that the session's instances cover, in order.
	Covered []Path `json:",omitempty"`
	// Instances are what covers each of Covered; an earlier gons wrote none.
	Instances []Instance `json:",omitempty"`
	// Leftovers are what the session's end has to remove.
	Leftovers []Leftover `json:",omitempty"`
	// Shared is for the record of a namespace that sessions share.
	Shared *Shared `json:",omitempty"`
}

// Shared is what there is to know of a namespace that the sessions of a user share.
type Shared struct {
	// Ready says that it can be joined: it is finished, and nobody is ending it.
	Ready bool
	// Fingerprint is that of the plan it was made by.
	Fingerprint string
	// Linger is how long it is kept after the last session, and Until the end of that, once that is gone.
	Linger time.Duration `json:",omitempty"`
	Until  time.Time     `json:",omitzero"`
	// Closed are the hosts of sessions that were closed and may not have ended yet.
	Closed []Process `json:",omitempty"`
}

// IsShared reports whether the record is of a namespace and not of a session.
func (r Record) IsShared() bool { return strings.HasPrefix(r.ID, sharedPrefix) }

// Namespace names a mount namespace; the zero Namespace is none.
type Namespace struct {
	// Inode is its inode number, which another namespace may get later.
	Inode uint64
	// ID is its number for good, 0 where the kernel (before Linux 6.11) doesn't tell.
	ID uint64 `json:",omitempty"`
}

// Instance is the identity of a directory that covers another one.
type Instance struct{ Dev, Ino uint64 }

// Path is a path as it is kept in a record: JSON holds nothing but UTF-8, and a path any bytes.
type Path string

// MarshalText writes the path in ASCII, with Go's escapes.
func (p Path) MarshalText() ([]byte, error) { return []byte(strconv.QuoteToASCII(string(p))), nil }

// UnmarshalText reads what MarshalText has written.
func (p *Path) UnmarshalText(text []byte) error {
	s, err := strconv.Unquote(string(text))
	*p = Path(s)
	return err
}

// Leftover is polyinst.Leftover as it is kept in a record.
type Leftover struct {
	Parent               Path
	ParentDev, ParentIno uint64
	Name                 Path
	Tree                 bool
	Dev, Ino             uint64
}

// NewLeftover makes a record's entry.
func NewLeftover(l polyinst.Leftover) Leftover {
	return Leftover{Path(l.Parent), l.ParentDev, l.ParentIno, Path(l.Name), l.Tree, l.Dev, l.Ino}
}

// NewRecord begins the record of a session that a process opens, or of a command that it becomes: it has yet to enter its
// namespace, and to make something there.
func (s *Store) NewRecord(user string, uid uint32, service string, leader int) (Record, error) {
	proc := Proc{}
	start, _ := proc.Start(leader)
	id, err := NewID(uid)
	return Record{
		ID: id, User: user, UID: uid, Service: service, Opened: time.Now().UTC().Truncate(time.Second),
		Leader: Process{leader, start}, Started: start, PIDNamespace: proc.PIDNamespace(), HostNamespace: s.Namespace(),
	}, err
}

// Intend returns what puts a thing into a record before it is made (polyinst.Env), so that it is found should its maker die.
func (s *Store) Intend(r *Record) func(polyinst.Leftover) error {
	return func(l polyinst.Leftover) error {
		r.Leftovers = append(r.Leftovers, NewLeftover(l))
		return s.Put(*r)
	}
}

// Finish puts what was made in place of what was intended.
func (r *Record) Finish(applied *polyinst.Applied) {
	r.Leftovers, r.Scripts = nil, false
	for _, l := range applied.Leftovers() {
		r.Leftovers = append(r.Leftovers, NewLeftover(l))
	}
	for _, c := range applied.Covered() {
		r.Covered = append(r.Covered, Path(c.Path))
		r.Instances = append(r.Instances, Instance{c.Dev, c.Ino})
	}
}

// Process is a process that a reused pid can't be taken for.
type Process struct {
	PID int
	// Start is when it was started, in clock ticks since boot (proc_pid_stat(5)); 0 where that isn't known.
	Start uint64
}

// sharedPrefix begins the ids of namespaces that sessions share.
const sharedPrefix = "shared-"

// NewID returns the id of a new session of that user: the user id, a hyphen, and 32 hexadecimal digits that nobody can
// guess. So one user's sessions are found without reading everybody's records.
func NewID(uid uint32) (string, error) {
	b := make([]byte, 16)
	if err := linux.Random(b); err != nil {
		return "", fmt.Errorf("cannot make an id for the session of user %d: %w", uid, err)
	}
	return ownerPrefix(uid) + hex.EncodeToString(b), nil
}

// NewSharedID returns the id of a new namespace that the sessions of that user share: one of NewID after "shared-".
func NewSharedID(uid uint32) (string, error) {
	id, err := NewID(uid)
	return sharedPrefix + id, err
}

func ownerPrefix(uid uint32) string { return strconv.FormatUint(uint64(uid), 10) + "-" }

func checkID(id string) error {
	owner, digits, _ := strings.Cut(strings.TrimPrefix(id, sharedPrefix), "-")
	_, err := strconv.ParseUint(owner, 10, 32)
	if err != nil || len(digits) != 32 || strings.Trim(digits, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is not a session id", id)
	}
	return nil
}

// ErrForeign says that a record was written by another version of gons, which is to be left to that.
var ErrForeign = errors.New("it is of another version")

func decode(data []byte, id string) (Record, error) {
	var head struct{ Version int }
	if err := json.Unmarshal(data, &head); err != nil {
		return Record{}, err
	}
	if head.Version < 1 {
		return Record{}, errors.New("it has no version")
	}
	if head.Version != recordVersion {
		return Record{}, fmt.Errorf("%w: %d, expected %d", ErrForeign, head.Version, recordVersion)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return r, err
	}
	if r.ID != id {
		return r, fmt.Errorf("it names session %q", r.ID)
	}
	if r.IsShared() != (r.Shared != nil) {
		return r, errors.New("it is not what its name says")
	}
	return r, nil
}
