package pam_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"gons/tests/sandbox"
)

// env is the environment that PAM has after opening, sorted; {A} is the area.
func (r report) env(dir string) string {
	list := slices.Sorted(slices.Values(r["env"]))
	return strings.ReplaceAll(strings.Join(list, " "), dir, "{A}")
}

// The environment is set with a namespace and without, over what other modules have set, for all but the exempt.
func TestEnvironment(t *testing.T) {
	const four = "TEMP={A}/own/alice TEMPDIR={A}/own/alice TMP={A}/own/alice TMPDIR={A}/own/alice"
	for _, c := range []struct{ name, yaml, want string }{
		{"variables", "env: {TMPDIR: '/t/$USER', EMPTY: '', X: '$HOME:$UID:$GID', SPACE: 'a  b=c'}",
			"EMPTY= SPACE=a  b=c TMPDIR=/t/alice X=/home/alice:2001:2001"},
		{"a directory", "directories: [{path: /tmp, method: env, instances: '{A}/own'}]", four},
		{"beside a namespace", "directories: [{path: /tmp, method: env, instances: '{A}/own'}, {path: '{A}/tmp', method: tmpfs}]", four},
		{"what env says counts", "env: {TMP: /tmp}\ndirectories: [{path: /tmp, method: env, instances: '{A}/own', variables: [TMP, MINE]}]",
			"MINE={A}/own/alice TMP=/tmp TMPDIR=before"},
		{"exempt", "exempt: {users: [alice]}\nenv: {TMPDIR: /t}", "TMPDIR=before"},
		{"a service of another's", "exempt: {services: [gons-test]}\nenv: {TMPDIR: /t}", "TMPDIR=before"},
		{"nothing", "env: {}", "TMPDIR=before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777")
			configure(t, dir, c.yaml)
			r := host(t, "--env", "TMPDIR=before", "--run", "[ ! -e "+dir+"/own/alice ] || stat -c 'stat=%a %u %g' "+dir+"/own "+dir+"/own/alice").opened(t)
			if got := r.env(dir); got != c.want {
				t.Errorf("the environment has %s\nexpected %s", got, c.want)
			}
			if strings.Contains(c.want, "own") && strings.Join(r["stat"], ", ") != "711 0 0, 700 2001 2001" {
				t.Errorf("the directory: %q", r["stat"])
			}
			same := r.get("after.namespace") == r.get("before.namespace")
			if same != (c.name != "beside a namespace") {
				t.Errorf("in the host's namespace: %v", same)
			}
			nothingLeft(t)
		})
	}
}

// Where the session can't be opened, PAM's environment is what it was, whatever has failed and however far it came.
func TestEnvironmentOfAFailure(t *testing.T) {
	const both = "env: {A: a, TMPDIR: new, Z: z}\ndirectories: [{path: '{A}/tmp', method: tmpfs}]"
	const alone = "env: {A: a, TMPDIR: new, Z: z}\ndirectories: [{path: /x, method: env, instances: '{A}/own', variables: [OWN]}]"
	for _, c := range []struct {
		name, yaml string
		args       []string
		log        string
	}{
		{"PAM takes one, not the next", both, []string{"--no-env", "Z"}, "cannot set the session's environment: Memory buffer error"},
		{"no namespace, and PAM takes one, not the next", alone, []string{"--no-env", "Z"}, "cannot set the session's environment: Memory buffer error"},
		{"PAM takes none", alone, []string{"--no-env", "OWN"}, "cannot set the session's environment: Memory buffer error"},
		{"the session can't be kept", both, []string{"--no-data", "pam_gons:sessions"}, "cannot keep the session's id"},
		{"the directory is somebody else's", strings.Replace(both, "{A}/tmp', method: tmpfs", "/x', method: env, instances: '{A}/bobs'", 1), nil,
			"/bobs: it is owned by user 2002, expected root"},
		{"there is nothing to cover", strings.Replace(both, "{A}/tmp", "{A}/none", 1), nil, "cannot open"},
	} {
		t.Run(c.name, func(t *testing.T) {
			makeRunDir(t)
			dir := area(t)
			tree(t, dir, "dir tmp 1777", "dir bobs 0711 2002")
			configure(t, dir, c.yaml)
			log := sandbox.NewLog(t)
			snap := sandbox.NewSnapshot(t, "/tmp", "/run", dir)
			r := host(t, append(c.args, "--env", "TMPDIR=before")...)
			snap.Check()
			if got := r.env(dir); got != "TMPDIR=before" || r.get("open") == "0" {
				t.Errorf("PAM code %s, the environment has %s", r.get("open"), got)
			}
			log.Expect(c.log)
			r.untouched(t, "before", "after")
		})
	}
}

// A second line of the stack sets its own, and the close of both succeeds.
func TestEnvironmentOfTwoLines(t *testing.T) {
	dir := area(t)
	configure(t, dir, "env: {A: main, B: main}")
	sandbox.Write(t, dir+"/second.yaml", "version: 1\nenv: {B: second}\n", 0o644)
	stack, err := os.ReadFile("/etc/pam.d/" + service)
	if err != nil {
		t.Fatal(err)
	}
	sandbox.Write(t, "/etc/pam.d/"+service, string(stack)+"session required "+sandbox.Module(t)+" config="+dir+"/second.yaml\n", 0o644)
	if got := host(t, "--env", "C=c").opened(t).env(dir); got != "A=main B=second C=c" {
		t.Errorf("the environment has %s", got)
	}
}
