package module

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gons/internal/linux"
	"gons/internal/polyinst"
	"gons/internal/wire"
)

// gate is the other side, as the worker sees it.
type gate struct {
	conn  *wire.Conn
	debug bool
	said  bool // done was sent
}

// maxLogLine keeps a line within what syslog daemons take.
const maxLogLine = 2000

func (g *gate) logf(p Priority, format string, args ...any) {
	if p == LogDebug && !g.debug {
		return
	}
	text := fmt.Sprintf(format, args...)
	if len(text) > maxLogLine {
		text = text[:maxLogLine]
		for !utf8.ValidString(text) && len(text) > maxLogLine-4 {
			text = text[:len(text)-1]
		}
		text += " …"
	}
	g.conn.Send(wire.Message{Kind: wire.Log, Arg: int32(p), Strings: []string{printable(text)}})
}

// printable replaces what a log line can't hold; a NUL would not even fit into a message.
func printable(s string) string {
	out := []rune(s)
	for i, r := range out {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			out[i] = '?'
		}
	}
	return string(out)
}

// done ends the conversation. cwd is where the host has to go, or nil.
func (g *gate) done(code Code, cwd *linux.Handle) {
	if g.said {
		return
	}
	if err := g.sayDone(code, cwd); err != nil {
		fmt.Fprintln(os.Stderr, err) // the gate reads it once the worker has ended without an answer
	}
}

func (g *gate) sayDone(code Code, cwd *linux.Handle) error {
	g.said = true
	m := wire.Message{Kind: wire.Done, Arg: int32(code)}
	if cwd != nil {
		m.Files = []*linux.Handle{cwd}
	}
	return g.conn.Send(m)
}

// handOver ends the conversation of a session that is open, and waits for the host to say that it has taken it over. Where
// that can't be heard though the host is there, it counts as said: to undo would take the directories of an open session
// away, and a host that hasn't taken it over has the gate end it by its record.
func (g *gate) handOver(cwd *linux.Handle) error {
	if err := g.sayDone(Success, cwd); err != nil {
		g.said = false // the host, which has heard nothing, can still be told of the failure
		return fmt.Errorf("cannot tell the host that its session is open: %w", err)
	}
	a, err := g.conn.Receive()
	if errors.Is(err, wire.ErrClosed) || linux.Is(err, linux.ECONNRESET) { // it is gone
		return fmt.Errorf("the host didn't take the session over: %w", err)
	}
	if err != nil {
		return nil
	}
	if a.Kind != wire.Answer || a.Arg != 0 {
		return fmt.Errorf("the host couldn't take the session over: PAM code %d", a.Arg)
	}
	return nil
}

// environment tells the gate what the session's environment gets once the host has taken the session over.
func (g *gate) environment(variables []polyinst.Variable) error {
	if len(variables) == 0 {
		return nil
	}
	m := wire.Message{Kind: wire.Env}
	for _, v := range variables {
		m.Strings = append(m.Strings, v.Name+"="+v.Value)
	}
	a, err := g.conn.Ask(m)
	if err == nil && a.Arg != 0 {
		err = linux.Errno(a.Arg)
	}
	if err != nil {
		return fmt.Errorf("cannot tell the host the session's environment: %w", err)
	}
	return nil
}

// LookupUser asks the host's name service.
func (g *gate) LookupUser(name string) (polyinst.Account, bool, error) {
	return g.lookUpUser(wire.Message{Kind: wire.User, Strings: []string{name}}, strconv.Quote(name))
}

// LookupUID asks the host's name service.
func (g *gate) LookupUID(uid uint32) (polyinst.Account, bool, error) {
	text := strconv.FormatUint(uint64(uid), 10)
	return g.lookUpUser(wire.Message{Kind: wire.UID, Strings: []string{text}}, text)
}

func (g *gate) lookUpUser(question wire.Message, who string) (polyinst.Account, bool, error) {
	a, err := g.conn.Ask(question)
	if err != nil || a.Arg == 0 {
		return polyinst.Account{}, false, err
	}
	if a.Arg == -1 {
		return polyinst.Account{}, false, fmt.Errorf("cannot look up user %s: %s", who, strings.Join(a.Strings, " "))
	}
	if a.Arg != 1 || len(a.Strings) != 4 {
		return polyinst.Account{}, false, fmt.Errorf("internal error: the gate answered %q for user %s", a.Strings, who)
	}
	uid, err := number(a.Strings[0])
	if err != nil {
		return polyinst.Account{}, false, err
	}
	gid, err := number(a.Strings[1])
	return polyinst.Account{UID: uid, GID: gid, Name: a.Strings[2], Home: a.Strings[3]}, err == nil, err
}

// LookupGroup asks the host's name service.
func (g *gate) LookupGroup(name string) (polyinst.Group, bool, error) {
	a, err := g.conn.Ask(wire.Message{Kind: wire.Group, Strings: []string{name}})
	if err != nil || a.Arg == 0 {
		return polyinst.Group{}, false, err
	}
	if a.Arg == -1 {
		return polyinst.Group{}, false, fmt.Errorf("cannot look up group %q: %s", name, strings.Join(a.Strings, " "))
	}
	if a.Arg != 1 || len(a.Strings) != 2 {
		return polyinst.Group{}, false, fmt.Errorf("internal error: the gate answered %q for group %q", a.Strings, name)
	}
	gid, err := number(a.Strings[0])
	return polyinst.Group{GID: gid, Member: a.Strings[1] == "1"}, err == nil, err
}

// namespace is another mount namespace, which the host's calling thread is in by now.
type namespace struct {
	handle, root *linux.Handle
	cwd          string // where the thread was in the one before
}

func (n *namespace) close() {
	n.handle.Close()
	n.root.Close()
}

// unshare has the host's calling thread enter a namespace of its own. id is the session's.
func (g *gate) unshare(id string) (*namespace, error) {
	return g.move("open", wire.Message{Kind: wire.Unshare, Strings: []string{id}})
}

// enter has it enter the namespace to, whose handle stays the caller's; id is "" where there is nothing to close then.
func (g *gate) enter(id string, to *linux.Handle) (*namespace, error) {
	return g.move("enter", wire.Message{Kind: wire.Enter, Strings: []string{id}, Files: []*linux.Handle{to}})
}

// enterCopy has it enter a copy of the namespace of.
func (g *gate) enterCopy(id string, of *linux.Handle) (*namespace, error) {
	return g.move("open", wire.Message{Kind: wire.Enter, Arg: 1, Strings: []string{id}, Files: []*linux.Handle{of}})
}

func (g *gate) move(verb string, question wire.Message) (*namespace, error) {
	a, err := g.conn.Ask(question)
	if err != nil {
		return nil, err
	}
	if a.Arg != 0 {
		what := strings.Join(a.Strings, " ")
		return nil, fmt.Errorf("cannot %s a mount namespace: %w", verb, os.NewSyscallError(what, linux.Errno(a.Arg)))
	}
	if len(a.Files) != 2 || len(a.Strings) != 1 {
		return nil, fmt.Errorf("internal error: the gate sent %d descriptors and %q for a namespace", len(a.Files), a.Strings)
	}
	return &namespace{a.Files[0], a.Files[1].Named("/"), a.Strings[0]}, nil
}
