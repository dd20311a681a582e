// Package module is what the worker does: it serves one request of the gate, to open a session or to close some, and
// ends. It joins the configuration, the planner and the session records, and speaks to the gate; it knows nothing of
// cgo, so that all of it can be tested against a gate written in Go.
package module

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gons/internal/linux"
	"gons/internal/polyinst"
	"gons/internal/wire"
)

// Code is a PAM return code.
type Code int32

// The codes that the module returns (pam_sm_open_session(3)).
const (
	Success      Code = 0
	UserUnknown  Code = 10
	SessionError Code = 14
)

// Priority is a syslog priority.
type Priority int32

// The priorities that the module logs with (syslog(3)).
const (
	LogError   Priority = 3
	LogWarning Priority = 4
	LogNotice  Priority = 5
	LogInfo    Priority = 6
	LogDebug   Priority = 7
)

// Serve answers the one request that comes over sock, which it takes over. hostUmask is the host's. A panic is the
// gate's business only as an error: it is reported, and the session fails.
func Serve(sock *linux.Handle, hostUmask uint32) {
	w := &worker{gate: &gate{conn: wire.NewConn(sock)}, umask: hostUmask}
	defer w.gate.conn.Close()
	defer func() {
		if p := recover(); p != nil {
			w.gate.logf(LogError, "internal error: %v", p)
			w.gate.done(SessionError, nil)
		}
	}()
	w.serve()
}

type worker struct {
	gate  *gate
	umask uint32
}

func (w *worker) serve() {
	m, err := w.gate.conn.Receive()
	if err != nil {
		return // the gate is gone, or not ours
	}
	req, err := parseRequest(m, w.umask)
	if err == nil {
		w.gate.debug = req.line.Debug
		err = w.dispatch(req)
	}
	if err != nil {
		w.gate.logf(LogError, "%s", oneLine(err))
		w.gate.done(codeOf(err), nil)
	}
}

// codeOf is the PAM code of a failure.
func codeOf(err error) Code {
	if errors.Is(err, polyinst.ErrUserUnknown) {
		return UserUnknown
	}
	return SessionError
}

func (w *worker) dispatch(req request) error {
	switch req.op {
	case "open":
		return w.open(req)
	case "close":
		return w.close(req)
	}
	return fmt.Errorf("internal error: the gate asks for %q", req.op)
}

// oneLine joins the lines of an error: one line a failure is what an administrator can grep for.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("internal error: the gate sent %q for a number", s)
	}
	return uint32(n), nil
}
