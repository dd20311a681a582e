package pam_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gons/tests/sandbox"
)

// gons runs the command, which must succeed, and returns what it said.
func gons(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(sandbox.Built(t, "gons"), args...).CombinedOutput()
	if err != nil {
		t.Errorf("gons %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// nested runs a whole pamhost inside a session, as su in a login does.
func (s *session) nested(user string, args ...string) {
	s.t.Helper()
	p := newPamhost(s.t, user, args...)
	s.do(p.start)
	p.wait().opened(s.t)
}

// What distributions ship has the instance parent below the covered directory. A session inside of alice's doesn't see
// there what the host's sessions have left, and must not take it for gone.
func TestASessionInASessionForgetsNoOther(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir var 1777", "dir var/tmp-inst 0000")
	directories(t, dir, "path: {A}/var, method: tmpdir, instances: {A}/var/tmp-inst")
	s := open(t, "alice")
	for _, user := range []string{"alice", "bob"} {
		newPamhost(t, user, "--no-close", "--run", "echo secret >"+dir+"/var/file").run().opened(t)
	}
	// The sweep is the user's own sessions'; with a directory at the same path inside, and without one.
	for _, user := range []string{"alice", "bob", "alice"} {
		before := records(t)
		s.nested(user)
		if after := records(t); !slices.Equal(before, after) || len(after) != 3 {
			t.Errorf("inside, as %s: records %q before, %q after", user, before, after)
		}
		s.do(func() { exec.Command(sandbox.Built(t, "gons"), "clean").Run() }) // it may say that it can't
		if got := names(t, dir+"/var/tmp-inst"); len(got) != 3 || len(records(t)) != 3 {
			t.Errorf("inside, as %s: instances %q, records %q", user, got, records(t))
		}
		s.sh(0, "rm -rf "+dir+"/var/tmp-inst")
	}
	s.close()
	if got := names(t, dir+"/var/tmp-inst"); len(got) != 2 {
		t.Errorf("after alice's close: instances %q", got)
	}
	gons(t, "clean")
	nothingLeft(t, dir+"/var/tmp-inst")
}

// A user who may change the instance parent may put another user's directory where the session's was: at the end that
// is not the session's to remove, whoever removes.
func TestOnlyTheSessionsOwnDirectoryIsRemoved(t *testing.T) {
	for name, end := range map[string]func(t testing.TB, s *session){
		"close": func(_ testing.TB, s *session) { s.close() },
		"clean": func(t testing.TB, _ *session) { gons(t, "clean") },
		"login": func(t testing.TB, _ *session) { open(t, "alice").close() },
	} {
		t.Run(name, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777", "dir home 0755 2001", "dir home/inst 0755 2001",
				"dir home/bobs 0777 2002", "dir home/bobs/sub 0700 2002", "file home/bobs/sub/file 0600 2002")
			configure(t, dir, "directories: [{path: '{A}/tmp', method: tmpdir, instances: '{A}/home/inst'}]", "ignore_instance_parent_mode")
			var s *session
			if name == "close" {
				s = open(t, "alice")
			} else {
				host(t, "--no-close").opened(t)
			}
			instance := dir + "/home/inst/" + names(t, dir+"/home/inst")[0]
			for _, script := range []string{"mv " + instance + " " + dir + "/home/hers", "mv " + dir + "/home/bobs " + instance} {
				if out, err := exec.Command("setpriv", "--reuid=2001", "--clear-groups", "sh", "-c", script).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", script, err, out)
				}
			}
			before := sandbox.Tree(t, dir+"/home")
			end(t, s)
			if after := sandbox.Tree(t, dir+"/home"); !slices.Equal(before, after) {
				t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
			}
			nothingLeft(t)
		})
	}
}

// Workers that were killed while they wrote a record leave a draft. The young ones may be those of living workers.
func TestCleanRemovesOldDraftsOfRecords(t *testing.T) {
	makeRunDir(t)
	draft := func(user int) string {
		return fmt.Sprintf("/run/gons/sessions/%d-00112233445566778899aabbccddeeff.new", user)
	}
	for user, age := range map[int]time.Duration{2001: time.Hour, 2002: time.Minute} {
		sandbox.Write(t, draft(user), "{", 0o600)
		t.Cleanup(func() { os.Remove(draft(user)) })
		if err := os.Chtimes(draft(user), time.Now(), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	gons(t, "clean", "--dry-run")
	if !exists(draft(2001)) {
		t.Error("a dry run removes a draft")
	}
	gons(t, "clean")
	if exists(draft(2001)) || !exists(draft(2002)) {
		t.Errorf("expected the young draft alone: %q", records(t))
	}
}

// A path is bytes; a record is JSON, which is not.
func TestPathsThatAreNotUTF8(t *testing.T) {
	for name, args := range map[string][]string{"close": nil, "in a forked child": {"--fork-close"}, "clean": {"--no-close"}} {
		t.Run(name, func(t *testing.T) {
			dir := area(t)
			home := dir + "/j\xf6rg"
			tree(t, dir, "dir j\xf6rg 0755 2003", "dir j\xf6rg/t\xe4mp 0700 2003")
			addUser(t, "joerg", 2003, home)
			sandbox.Write(t, dir+"/namespace.conf", "$HOME/t\xe4mp $HOME/inst/ tmpdir\n", 0o644)
			sandbox.Stack(t, service, "required", "config="+dir+"/namespace.conf")
			r := newPamhost(t, "joerg", append(args, "--cwd", home+"/t\xe4mp", "--run", "echo x >"+home+"/t\xe4mp/file")...).run().opened(t)
			if r.get("after.cwd") == r.get("before.cwd") || r.get("run") != "0" {
				t.Errorf("the directory isn't covered; run: %s", r.get("run"))
			}
			if name == "clean" {
				gons(t, "clean")
			}
			nothingLeft(t, home+"/inst")
			if got := names(t, home+"/t\xe4mp"); len(got) > 0 {
				t.Errorf("on the host: %q", got)
			}
		})
	}
}

// What a session inside of alice's leaves lies in her own directory and goes with that. Its record has to go, too: or
// each gons clean fails, until the machine is started anew.
func TestADeadSessionInASessionIsForgottenWithIt(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir var 1777", "dir var/tmp-inst 0000")
	directories(t, dir, "path: {A}/var, method: tmpdir, instances: {A}/var/tmp-inst")
	s := open(t, "alice")
	s.nested("bob", "--no-close")
	s.close()
	gons(t, "clean")
	nothingLeft(t, dir+"/var/tmp-inst")
}
