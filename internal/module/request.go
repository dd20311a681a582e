package module

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gons/internal/polyinst"
	"gons/internal/wire"
)

// request is what the gate asks for, with the options of the PAM line.
type request struct {
	op         string
	sessions   []string // of close
	session    polyinst.Request
	tty, rhost string
	hostPID    int
	line       Line
	deadline   time.Time
}

func parseRequest(m wire.Message, umask uint32) (request, error) {
	if m.Kind != wire.Request {
		return request{}, fmt.Errorf("internal error: expected a request, got a message of kind %d", m.Kind)
	}
	r := request{session: polyinst.Request{Umask: umask}}
	var failed []error
	for _, s := range m.Strings {
		key, value, _ := strings.Cut(s, "=")
		failed = append(failed, r.set(key, value))
	}
	r.session.Options = r.line.Options
	return r, errors.Join(failed...)
}

func (r *request) set(key, value string) (err error) {
	switch key {
	case "op":
		r.op = value
	case "sessions":
		r.sessions = strings.Split(value, ",")
	case "service":
		r.session.Service = value
	case "user":
		r.session.User = value
	case "home":
		r.session.Home = value
	case "uid":
		r.session.UID, err = number(value)
	case "gid":
		r.session.GID, err = number(value)
	case "ruser":
		r.session.Requester = value
	case "ruid":
		r.session.RequesterUID, err = number(value)
	case "timeout_ms":
		err = r.timeout(value)
	case "tty":
		r.tty = value
	case "rhost":
		r.rhost = value
	case "pid":
		r.hostPID, err = strconv.Atoi(value)
	case "arg":
		err = r.line.add(value)
	}
	return err
}

// settle is what the worker keeps of its time to undo what it has done, where a script doesn't end.
const settle = 3 * time.Second

// timeout sets when a script has to end: in time for the worker to kill it, to undo everything and to say so.
func (r *request) timeout(text string) error {
	ms, err := number(text)
	left := time.Duration(ms) * time.Millisecond
	r.deadline = time.Now().Add(max(left-settle, left/2))
	return err
}
