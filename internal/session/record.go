// Package session keeps the records of open sessions, so that any later process can remove what a session leaves on
// disk: the host may close without privilege (systemd's sd-pam), or be killed before it closes.
//
// A record is a file below /run/gons that is written before what it describes is made, and removed after that is
// gone. The package knows when a session is over and what to remove then; how a session is opened belongs to polyinst.
package session

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gons/internal/linux"
	"gons/internal/polyinst"
)

// recordVersion is raised when an older gons could misread a record.
const recordVersion = 1

// Record is one open session.
type Record struct {
	Version int
	ID      string
	User    string
	UID     uint32
	Service string
	TTY     string `json:",omitempty"`
	RHost   string `json:",omitempty"`
	Opened  time.Time
	// Leader is the process that opened the session, or another one that was found in its namespace since.
	Leader Process
	// Namespace is the inode number of the session's mount namespace, 0 until it has one.
	Namespace uint64
	// PIDNamespace is that of Leader: in another one its number means another process.
	PIDNamespace uint64
	// Covered are the directories that the session's instances cover, in order.
	Covered []string `json:",omitempty"`
	// Leftovers are what the session's end has to remove.
	Leftovers []polyinst.Leftover `json:",omitempty"`
}

// Process is a process that a reused pid can't be taken for.
type Process struct {
	PID int
	// Start is when it was started, in clock ticks since boot (proc_pid_stat(5)); 0 where that isn't known.
	Start uint64
}

// NewID returns a session id nobody can guess: 32 hexadecimal digits.
func NewID() (string, error) {
	b := make([]byte, 16)
	err := linux.Random(b)
	return hex.EncodeToString(b), err
}

func checkID(id string) error {
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is not a session id", id)
	}
	return nil
}

func decode(data []byte, id string) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return r, err
	}
	if r.Version != recordVersion || r.ID != id {
		return r, fmt.Errorf("it is of version %d and names session %q", r.Version, r.ID)
	}
	return r, nil
}
