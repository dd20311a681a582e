package module

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/internal/wire"
)

const nothing = "version: 1\n"

// What is wrong with a request is one line and an error, and the session isn't opened.
func TestBadRequests(t *testing.T) {
	must(t, os.MkdirAll("/run/gons/sessions", 0o700))
	conf := configFile(t, "gons.yaml", nothing)
	for _, c := range []struct {
		request wire.Message
		want    string
	}{
		{wire.Message{Kind: wire.Answer}, "3 internal error: expected a request, got a message of kind 2"},
		{wire.Message{Kind: 99}, "3 internal error: expected a request, got a message of kind 99"},
		{wire.Message{Kind: wire.Request}, `3 internal error: the gate asks for ""`},
		{alice("reboot"), `3 internal error: the gate asks for "reboot"`},
		{alice("open", "uid=x"), `3 internal error: the gate sent "x" for a number`},
		{alice("open", "gid=-1"), `3 internal error: the gate sent "-1" for a number`},
		{alice("open", "uid=4294967296"), `3 internal error: the gate sent "4294967296" for a number`},
		{alice("open", "uid=x", "gid=y"), `3 internal error: the gate sent "x" for a number; internal error: the gate sent "y" for a number`},
		{alice("open", "pid=x"), `3 strconv.Atoi: parsing "x": invalid syntax`},
		{alice("open", "arg=config=gons.yaml"), `3 bad option "config=gons.yaml": expected an absolute path`},
		{alice("open", "arg=config="), `3 bad option "config=": expected an absolute path`},
		{alice("open", conf, "user=.."), `3 the user name ".." can't be the name of a directory`},
		{alice("open", conf, "user="), `3 the user name "" can't be the name of a directory`},
		{alice("close", "sessions="), `3 cannot end session  of : "" is not a session id`},
		{alice("close", "sessions=../../etc/passwd"), `3 cannot end session ../../etc/passwd of : "../../etc/passwd" is not a session id`},
	} {
		h := newGate()
		h.run(t, c.request)
		h.check(t, fmt.Sprint(c.request.Strings), SessionError, c.want)
	}
}

func TestOptions(t *testing.T) {
	conf := configFile(t, "gons.yaml", nothing)
	for _, c := range []struct{ option, want string }{
		{"mount_private", ""}, {"unmount_on_close", ""}, {"no_unmount_on_close", ""}, {"timeout=5", ""},
		{"gen_hash", ""}, {"ignore_instance_parent_mode", ""}, {"ignore_config_error", ""}, {"enable_groups", ""},
		{"use_current_context", ""}, {"use_default_context", ""}, {"unmnt_remnt", ""}, {"unmnt_only", ""},
		{"nosuch", `4 unknown option "nosuch" ignored`},
		{"Debug", `4 unknown option "Debug" ignored (did you mean "debug"?)`},
		{"unmount_remnt", `4 unknown option "unmount_remnt" ignored (did you mean "unmnt_remnt"?)`},
		{"timeouts=5", `4 unknown option "timeouts=5" ignored (did you mean "timeout"?)`},
		{"gen_hash=1", `4 unknown option "gen_hash=1" ignored (did you mean "gen_hash"?)`},
		{"", `4 unknown option "" ignored`},
		{"a\n<0>b", `4 unknown option "a\n<0>b" ignored`},
	} {
		h := newGate()
		h.run(t, alice("open", conf, "arg="+c.option))
		var log []string
		if c.want != "" {
			log = []string{c.want}
		}
		h.check(t, c.option, Success, log...)
	}
	h := newGate()
	h.run(t, alice("open", conf, "arg=debug", "arg=no_unmount_on_close"))
	h.check(t, "noted", Success, "7 the option no_unmount_on_close changes nothing: a close never unmounts",
		"7 plan: user alice, service sshd: no namespace: no directory applies")
	h = newGate()
	h.run(t, alice("open", conf, "arg=require_selinux"))
	h.check(t, "require_selinux", SessionError, "3 SELinux is off, and the configuration requires it (require_selinux)")
}

// Who asks must be known, as pam_namespace has it, where its configuration is read or its instances are to go.
func TestRequester(t *testing.T) {
	legacy, yaml := configFile(t, "namespace.conf", ""), configFile(t, "gons.yaml", nothing)
	const unknown = `3 cannot look up user "eve", who asks for the session (PAM_RUSER): no such user`
	for _, c := range []struct {
		request wire.Message
		code    Code
		log     []string
	}{
		{alice("open", legacy), Success, nil},
		{alice("open", legacy, "ruser=bob"), Success, nil},
		{alice("open", legacy, "ruser=eve"), UserUnknown, []string{unknown}},
		{alice("open", legacy, "ruser=", "ruid=77"), UserUnknown, []string{"3 cannot look up user 77, who the host runs for: no such user"}},
		{alice("open", yaml, "ruser=eve"), Success, nil},
		{alice("open", yaml, "ruser=eve", "arg=unmnt_remnt"), UserUnknown, []string{unknown}},
	} {
		h := newGate()
		h.run(t, c.request)
		h.check(t, fmt.Sprint(c.request.Strings), c.code, c.log...)
	}
}

// A configuration that can't be read, or isn't root's alone, is no session.
func TestBadConfiguration(t *testing.T) {
	name := func(option string) string { return strings.TrimPrefix(option, "arg=config=") }
	broken, others, loose := configFile(t, "a.yaml", "version: 1\nx: 1\ny: 2\n"), configFile(t, "b.yaml", nothing), configFile(t, "c.conf", "/tmp x tmpfs\n")
	must(t, os.Chown(name(others), 2001, 0))
	must(t, os.Chmod(name(loose), 0o666))
	for option, want := range map[string]string{
		"arg=config=/mnt/none.yaml": "3 cannot read the configuration: cannot open /mnt/none.yaml: openat2: no such file or directory",
		"arg=config=/mnt":           "3 cannot read the configuration: cannot read /mnt: it is a directory, not a regular file",
		broken:                      "3 " + name(broken) + `:2:1: unknown key "x" (and 1 more)`,
		others:                      "3 cannot read the configuration: cannot read " + name(others) + ": it is owned by user 2001, not by root",
		loose:                       "3 cannot read the configuration: cannot read " + name(loose) + ": its mode 0666 lets others than root write to it",
		"arg=debug":                 "3 cannot find /etc/security/gons.yaml or /etc/security/namespace.conf: file does not exist",
	} {
		h := newGate()
		h.run(t, alice("open", option))
		h.check(t, option, SessionError, want)
	}
}

// Sessions that need no namespace don't ask for one, nor for names that nothing depends on.
func TestNoNamespace(t *testing.T) {
	before := records(t)
	for _, text := range []string{
		nothing,
		nothing + "exempt: {users: [alice]}\nnamespace: {always: true}\n",
		nothing + "exempt: {groups: [team]}\nnamespace: {always: true}\n",
		nothing + "directories: [{path: /mnt, method: tmpfs, only: {users: [bob]}}]\n",
	} {
		h := newGate()
		h.on = func(m wire.Message) (wire.Message, bool) {
			if m.Kind == wire.Unshare {
				t.Errorf("%s: the worker asks for a namespace", text)
			}
			return wire.Message{}, false
		}
		h.run(t, alice("open", configFile(t, "gons.yaml", text)))
		h.check(t, text, Success)
	}
	if after := records(t); len(after) != len(before) {
		t.Errorf("records were made: %v", after)
	}
}

// What a name server answers is taken as it is said in wire.h, and anything else is an error.
func TestLookups(t *testing.T) {
	for _, c := range []struct {
		arg     int32
		strings []string
		want    string
	}{
		{1, []string{"2002", "2003", "b", "/b"}, "{2002 2003 b /b} true <nil>"},
		{0, nil, "{0 0  } false <nil>"},
		{0, []string{"1", "1"}, "{0 0  } false <nil>"},
		{1, nil, `{0 0  } false internal error: the gate answered [] for user "bob"`},
		{1, []string{"1"}, `{0 0  } false internal error: the gate answered ["1"] for user "bob"`},
		{1, []string{"1", "2", "3"}, `{0 0  } false internal error: the gate answered ["1" "2" "3"] for user "bob"`},
		{1, []string{"", "1", "b", "/b"}, `{0 0  } false internal error: the gate sent "" for a number`},
		{1, []string{"-1", "1", "b", "/b"}, `{0 0  } false internal error: the gate sent "-1" for a number`},
		{1, []string{"1", "x", "b", "/b"}, `{1 0 b /b} false internal error: the gate sent "x" for a number`},
		{1, []string{"4294967296", "1", "b", "/b"}, `{0 0  } false internal error: the gate sent "4294967296" for a number`},
		{1, []string{"4294967295", "1", "b", "/b"}, "{4294967295 1 b /b} true <nil>"},
	} {
		a, ok, err := answering(t, wire.Message{Kind: wire.Answer, Arg: c.arg, Strings: c.strings}).LookupUser("bob")
		if got := fmt.Sprint(a, ok, err); got != c.want {
			t.Errorf("answer %d %q: got %s, want %s", c.arg, c.strings, got, c.want)
		}
	}
	for text, want := range map[string]string{"1": "{7 true} true <nil>", "0": "{7 false} true <nil>", "": "{7 false} true <nil>"} {
		g, ok, err := answering(t, wire.Message{Kind: wire.Answer, Arg: 1, Strings: []string{"7", text}}).LookupGroup("g")
		if got := fmt.Sprint(g, ok, err); got != want {
			t.Errorf("member %q: got %s, want %s", text, got, want)
		}
	}
	if _, _, err := answering(t, wire.Message{Kind: wire.Log, Arg: 1}).LookupGroup("g"); err == nil {
		t.Error("a message that is no answer was taken for one")
	}
}

// "No such user" is 0. A gate that can't tell (a directory server that is down) has to have a way to say so: taking
// that for "no such group" lets those out who are named in only:.
func TestLookupOfAnUnknownAnswerIsAnError(t *testing.T) {
	for _, arg := range []int32{-1, 2, 110} {
		if a, ok, err := answering(t, wire.Message{Kind: wire.Answer, Arg: arg}).LookupUser("bob"); err == nil {
			t.Errorf("answer %d to a user: got %v, %t", arg, a, ok)
		}
		if g, ok, err := answering(t, wire.Message{Kind: wire.Answer, Arg: arg}).LookupGroup("team"); err == nil {
			t.Errorf("answer %d to a group: got %v, %t", arg, g, ok)
		}
	}
}

// answering is a gate that gives one answer to whatever comes.
func answering(t *testing.T, m wire.Message) *gate {
	t.Helper()
	ours, theirs, err := linux.SocketPair()
	must(t, err)
	conn := wire.NewConn(ours)
	must(t, conn.Send(m))
	t.Cleanup(func() { conn.Close(); theirs.Close() })
	return &gate{conn: wire.NewConn(theirs)}
}

// A gate that speaks nonsense gets no session, and a worker that ends.
func TestGarbage(t *testing.T) {
	for name, data := range map[string]string{
		"short": "1234567", "header": "12345678", "unterminated": "12345678op=open", "zeros": string(make([]byte, 100)),
		"too long": strings.Repeat("x", wire.MaxMessage+1), "too long, terminated": strings.Repeat("x", wire.MaxMessage) + "\x00",
	} {
		h := newGate()
		h.serve(t, func(_ *wire.Conn, sock *linux.Handle) error { return linux.SendPacket(sock, []byte(data), nil) })
		if h.code() == Success || h.id != "" {
			t.Errorf("%s: the session opened: %d", name, h.code())
		}
	}
}

// A gate that goes away, at whatever point, leaves no record, no file and no worker.
func TestGateGoesAway(t *testing.T) {
	dir := newTree(t)
	conf := configFile(t, "gons.yaml", fmt.Sprintf("%sexempt: {users: [bob], groups: [x]}\ndirectories:\n"+
		"  - {path: %s/tmp, method: user, instances: %s/i}\n  - {path: %[2]s/var, method: tmpdir, instances: %[2]s/j}\n", nothing, dir, dir))
	before, had := files(t, dir), records(t)
	newGate().serve(t, func(*wire.Conn, *linux.Handle) error { return wire.ErrClosed })
	for _, kind := range []wire.Kind{wire.User, wire.Group, wire.Unshare} {
		h := newGate()
		h.on = func(m wire.Message) (wire.Message, bool) { return wire.Message{}, m.Kind == kind }
		h.run(t, alice("open", conf))
		if len(h.done) > 0 {
			t.Errorf("at message %d: %v", kind, h.done)
		}
	}
	if after := files(t, dir); after != before || len(records(t)) != len(had) {
		t.Errorf("left: records %v and\n%s", records(t), after)
	}
}

// What the gate says of the namespace is checked; an error leaves nothing.
func TestBadNamespaces(t *testing.T) {
	dir := newTree(t)
	conf := configFile(t, "gons.yaml", fmt.Sprintf("%sdirectories: [{path: %s/tmp, method: user, instances: %[2]s/i}]\n", nothing, dir))
	before, had := files(t, dir), records(t)
	root := func() *linux.Handle { h, _ := linux.OpenRoot(); return h }
	for want, answer := range map[string]wire.Message{
		"cannot open a mount namespace: unshare: operation not permitted":           {Arg: int32(unix.EPERM), Strings: []string{"unshare"}},
		`internal error: the gate sent 0 descriptors and [] for a namespace`:        {},
		`internal error: the gate sent 1 descriptors and ["/"] for a namespace`:     {Strings: []string{"/"}, Files: []*linux.Handle{root()}},
		`internal error: the gate sent 2 descriptors and ["/" "x"] for a namespace`: {Strings: []string{"/", "x"}, Files: []*linux.Handle{root(), root()}},
		"cannot enter the session's namespace: setns: bad file descriptor":          {Strings: []string{"/"}, Files: []*linux.Handle{root(), root()}},
	} {
		h := newGate()
		answer.Kind = wire.Answer
		h.on = func(m wire.Message) (wire.Message, bool) { return answer, m.Kind == wire.Unshare }
		h.run(t, alice("open", conf))
		h.check(t, want, SessionError, "3 "+want)
	}
	if after := files(t, dir); after != before || len(records(t)) != len(had) {
		t.Errorf("left: records %v and\n%s", records(t), after)
	}
}

// mountsBelow counts the mounts below a directory on the calling thread.
func mountsBelow(dir string) int {
	data, _ := os.ReadFile("/proc/thread-self/mountinfo")
	return strings.Count(string(data), " "+dir+"/")
}

// A whole session: opened, seen from inside and outside, and closed.
func TestOpenAndClose(t *testing.T) {
	for _, inside := range []bool{false, true} {
		dir := newTree(t)
		conf := configFile(t, "gons.yaml", fmt.Sprintf("%sdirectories:\n  - {path: %s/tmp, method: user, instances: %[2]s/i, only: {groups: [team]}}\n"+
			"  - {path: %[2]s/var, method: tmpdir, instances: %[2]s/tmp/j}\n", nothing, dir))
		h := newGate()
		h.cwd = dir + "/tmp/gone"
		closing := newGate()
		h.inside = func() {
			if n := mountsBelow(dir); n != 2 {
				t.Errorf("%d mounts in the session", n)
			}
			if inside {
				closing.here(t, alice("close", "sessions="+h.id))
			}
		}
		h.run(t, alice("open", conf))
		h.check(t, "open", Success)
		if len(h.done[0].Files) != 1 {
			t.Fatalf("%d working directories", len(h.done[0].Files))
		}
		if st, err := h.done[0].Files[0].Stat(); err != nil || st.Ino != inode(t, dir+"/i/alice") {
			t.Errorf("the working directory is not the instance: %v", err)
		}
		h.done[0].Files[0].Close()
		if mountsBelow(dir) != 0 {
			t.Error("the host sees mounts of the session's")
		}
		if !inside {
			closing.run(t, alice("close", "sessions="+h.id))
		}
		closing.check(t, "close", Success)
		if got := files(t, dir+"/i/alice"); strings.Count(got, "\n") != 2 || len(records(t)) > 0 { // it, and j
			t.Errorf("left: records %v and\n%s", records(t), got)
		}
	}
}

// here has a process serve a request that is forked from the calling thread, as inside the session.
func (h *host) here(t *testing.T, request wire.Message) {
	t.Helper()
	ours, theirs, err := linux.SocketPair()
	must(t, err)
	conn := wire.NewConn(ours)
	defer conn.Close()
	must(t, conn.Send(request))
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{workerVar + "=1"}
	cmd.Stderr = os.Stderr
	file := os.NewFile(uintptr(theirs.Fd()), "worker's end")
	cmd.ExtraFiles = []*os.File{file}
	must(t, cmd.Start())
	file.Close()
	if err := h.converse(conn); !errors.Is(err, wire.ErrClosed) {
		t.Error(err)
	}
	must(t, cmd.Wait())
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return st.Ino
}

// A host that can't go where the session is, or is gone when it is told to, has no session: nothing is left of it.
func TestHostThatDoesNotTakeOver(t *testing.T) {
	for taken, log := range map[int32][]string{-1: nil, 14: {"3 the host couldn't take the session over: PAM code 14"}} {
		dir := newTree(t)
		conf := configFile(t, "gons.yaml", fmt.Sprintf("%sdirectories:\n  - {path: %s/tmp, method: user, instances: %[2]s/i}\n"+
			"  - {path: %[2]s/var, method: tmpdir, instances: %[2]s/j}\n", nothing, dir))
		before := files(t, dir)
		h := newGate()
		h.taken = taken
		h.run(t, alice("open", conf))
		if len(h.done) != 1 || fmt.Sprint(h.log) != fmt.Sprint(log) {
			t.Errorf("%d: %d answers and %q", taken, len(h.done), h.log)
		}
		for _, f := range h.done[0].Files {
			f.Close()
		}
		if after := files(t, dir); after != before || len(records(t)) > 0 {
			t.Errorf("%d: records %v, before\n%s\nafter\n%s", taken, records(t), before, after)
		}
	}
}

// A session that fails halfway leaves neither files nor a record, whatever came before.
func TestFailedOpenLeavesNothing(t *testing.T) {
	dir := newTree(t)
	for _, last := range []string{
		"{path: /mnt/none, method: tmpfs}",
		"{path: %s/tmp/x/y, method: tmpfs, create: {}}",
		"{path: %s/var, method: tmpfs, tmpfs: {size: 1k}, options: [colour=red]}",
	} {
		if strings.Contains(last, "%s") {
			last = fmt.Sprintf(last, dir)
		}
		conf := configFile(t, "gons.yaml", fmt.Sprintf("%sdirectories:\n  - {path: %s/tmp, method: user, instances: %[2]s/i}\n"+
			"  - {path: %[2]s/new, method: tmpdir, instances: %[2]s/j, create: {}}\n  - %s\n", nothing, dir, last))
		before := files(t, dir)
		h := newGate()
		h.run(t, alice("open", conf))
		if h.code() != SessionError || len(h.log) != 1 || !strings.HasPrefix(h.log[0], "3 "+strings.TrimPrefix(conf, "arg=config=")+":5:5: ") {
			t.Errorf("%s: got %d, %q", last, h.code(), h.log)
		}
		if after := files(t, dir); after != before || len(records(t)) > 0 {
			t.Errorf("%s: records %v, before\n%s\nafter\n%s", last, records(t), before, after)
		}
	}
}

// The plan is logged with debug, a line for each step.
func TestDebug(t *testing.T) {
	h := newGate()
	h.run(t, alice("open", "arg=debug", configFile(t, "gons.yaml", nothing)))
	h.check(t, "debug", Success, "7 plan: user alice, service sshd: no namespace: no directory applies")
}

// A log line is one line, short, printable and UTF-8, whatever is in it.
func TestLogLines(t *testing.T) {
	for _, text := range []string{"a\nb", "a\x00b", "\x1b[2J", "\xff\xfe", "\x7f", strings.Repeat("x", 5000),
		strings.Repeat("é", 5000), "x" + strings.Repeat("€", 5000), strings.Repeat("\n", 3000)} {
		ours, theirs, err := linux.SocketPair()
		must(t, err)
		g := &gate{conn: wire.NewConn(theirs)}
		g.logf(LogError, "%s", text)
		m, err := wire.NewConn(ours).Receive()
		must(t, err)
		line := m.Strings[0]
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) || len(line) > maxLogLine+10 || len(m.Strings) != 1 {
			t.Errorf("%.20q is logged as %.40q, %d bytes", text, line, len(line))
		}
		ours.Close()
		theirs.Close()
	}
}
