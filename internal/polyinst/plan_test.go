package polyinst

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gons/internal/config"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// database is a NameService of a few names; it counts what is asked. A name in broken fails.
type database struct {
	users  map[string]Account
	groups map[string]Group
	broken map[string]bool
	asked  []string
}

// machine is a Machine with a fixed answer to everything.
type machine struct {
	facts MachineFacts
	err   error
}

func (m machine) SELinux(string, NameService, bool, config.ContextSource) (bool, string, error) {
	return m.facts.SELinux, m.facts.Context, m.err
}
func (m machine) StandardInit() (config.Init, error) { return m.facts.Standard, m.err }
func (m machine) HomeMode() (uint32, error)          { return m.facts.HomeMode, m.err }
func (m machine) Inherited() ([]Covering, error)     { return m.facts.Inherited, m.err }

// Covers says that whatever is at /tmp-inst covers what it is for.
func (m machine) Covers(path, parent, _ string) (Covering, bool) {
	return Covering{path, 3, 4}, parent == "/tmp-inst"
}

func (m machine) Remains(string) (Covering, bool) { return Covering{}, false }

// newDatabase is as the host of a user sees it: alice has a second name and is in team. A group's name is "%team" in
// asked.
func newDatabase(user string) *database {
	team := strings.EqualFold(user, "alice")
	return &database{
		users: map[string]Account{
			"root": {0, 0, "root", "/root"}, "alice": {2001, 2001, "alice", "/home/alice"}, "ALICE": {2001, 2001, "alice", "/home/alice"},
			"bob": {2002, 2002, "bob", "/home/bob"}, "daemon": {1, 11, "daemon", "/usr/sbin"},
		},
		groups: map[string]Group{"root": {0, false}, "team": {2100, team}, "staff": {50, false}},
	}
}

func (d *database) LookupUser(name string) (Account, bool, error) {
	d.asked = append(d.asked, name)
	a, ok := d.users[name]
	return a, ok, d.failure(name)
}

// LookupUID isn't counted: who the host runs for is always asked for.
func (d *database) LookupUID(uid uint32) (Account, bool, error) {
	for _, a := range d.users {
		if a.UID == uid {
			return a, true, nil
		}
	}
	return Account{}, false, nil
}

func (d *database) LookupGroup(name string) (Group, bool, error) {
	d.asked = append(d.asked, "%"+name)
	g, ok := d.groups[name]
	return g, ok, d.failure(name)
}

func (d *database) failure(name string) error {
	if d.broken[name] {
		return fmt.Errorf("the directory server doesn't answer for %s", name)
	}
	return nil
}

// parseConfig parses text by the grammar that the file's name asks for.
func parseConfig(t testing.TB, file, text string) *config.Config {
	t.Helper()
	parse := config.ParseNamespaceConf
	if strings.HasSuffix(file, ".yaml") {
		parse = config.ParseYAML
	}
	cfg, err := parse(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// aliceRequest is the request that others are written as a difference from.
func aliceRequest() Request {
	return Request{User: "alice", Service: "sshd", UID: 2001, GID: 2001, Home: "/home/alice", Umask: 0o022}
}

// parseRequest reads "user=bob uid=2002 home=\"a b\" gen_hash selinux"; text in quotes is Go's.
func parseRequest(t testing.TB, line string) (Request, MachineFacts) {
	t.Helper()
	req, f := aliceRequest(), MachineFacts{HomeMode: 0o700}
	inherited := ""
	texts := map[string]*string{"user": &req.User, "service": &req.Service, "home": &req.Home, "requester": &req.Requester,
		"context": &f.Context, "script": &f.Standard.Script, "unmount": (*string)(&req.Options.Inherited), "inherited": &inherited}
	numbers := map[string]*uint32{"uid": &req.UID, "gid": &req.GID, "umask": &req.Umask}
	flags := map[string]*bool{"gen_hash": &req.Options.GenHash, "ignore_instance_parent_mode": &req.Options.IgnoreParentMode,
		"require_selinux": &req.Options.RequireSELinux, "ignore_config_error": &req.Options.SkipBad, "selinux": &f.SELinux}
	for _, word := range strings.Fields(line) {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case texts[key] != nil:
			*texts[key] = unquote(t, value)
		case numbers[key] != nil:
			n, err := strconv.ParseUint(value, 0, 32)
			must(t, err)
			*numbers[key] = uint32(n)
		case flags[key] != nil:
			*flags[key] = true
		case key == "builtin":
			f.Standard.Kind = config.InitBuiltin
		case key != "alice":
			t.Fatalf("no such word in a request: %s", word)
		}
	}
	if f.Standard.Script != "" {
		f.Standard.Kind = config.InitScript
	}
	if inherited != "" {
		f.Inherited = []Covering{{inherited, 1, 2}}
	}
	return req, f
}

// unquote reads a Go string or a plain one; "x*300" is 300 of them.
func unquote(t testing.TB, text string) string {
	t.Helper()
	if of, count, ok := strings.Cut(text, "*"); ok {
		n, err := strconv.Atoi(count)
		must(t, err)
		return strings.Repeat(of, n)
	}
	if !strings.HasPrefix(text, `"`) {
		return text
	}
	plain, err := strconv.Unquote(text)
	must(t, err)
	return plain
}

// planFor is the plan for a request, or the error, with the warnings.
func planFor(cfg *config.Config, req Request, f MachineFacts) string {
	facts, err := Gather(cfg, req, newDatabase(req.User), machine{facts: f})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	plan, err := Build(cfg, req, facts)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	text := plan.String()
	for _, w := range plan.Warnings {
		text += "warning: " + w.String() + "\n"
	}
	for _, n := range plan.Notices {
		text += "note: " + n.String() + "\n"
	}
	return text
}

// sections splits "-- name --" from what follows it.
func sections(text string) [][2]string {
	var out [][2]string
	for _, line := range strings.SplitAfter(text, "\n") {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		name, also := strings.CutSuffix(name, " --")
		if ok && also {
			out = append(out, [2]string{name, ""})
		} else if len(out) > 0 {
			out[len(out)-1][1] += line
		}
	}
	return out
}

// Every file is a configuration, named for its grammar, and the plans that it makes for requests. The first lines, up
// to the configuration, say what the file is about.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data: ", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { checkPlans(t, file) })
	}
}

func checkPlans(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	must(t, err)
	about, _, _ := strings.Cut(string(data), "-- ")
	parts := sections(string(data))
	cfg := parseConfig(t, parts[0][0], parts[0][1])
	got := about + "-- " + parts[0][0] + " --\n" + parts[0][1]
	for _, part := range parts[1:] {
		req, facts := parseRequest(t, part[0])
		got += "-- " + part[0] + " --\n" + planFor(cfg, req, facts)
	}
	if *update {
		must(t, os.WriteFile(file, []byte(got), 0o644))
		data = []byte(got)
	}
	if got != string(data) {
		t.Errorf("got\n%s\nwant\n%s", got, data)
	}
}

// The fingerprint of a namespace that sessions share is that of what they see, whichever of them is the first.
func TestFingerprint(t *testing.T) {
	const head = "version: 1\nnamespace: {scope: user}\n"
	of := func(yaml string, change func(*Request)) string {
		req := aliceRequest()
		change(&req)
		cfg := parseConfig(t, "gons.yaml", head+yaml)
		facts, err := Gather(cfg, req, newDatabase(req.User), machine{})
		must(t, err)
		plan, err := Build(cfg, req, facts)
		must(t, err)
		return plan.Fingerprint
	}
	const yaml = "directories: [{path: /tmp, method: tmpfs, create: {}}]\n"
	same := func(*Request) {}
	want := of(yaml, same)
	if got := of("# a comment\n"+yaml, func(r *Request) { r.Umask, r.Service = 0o077, "cron" }); got != want {
		t.Error("a comment, the umask or the service changes the fingerprint")
	}
	for _, other := range []string{strings.Replace(yaml, "tmpfs", "tmpfs, options: [nodev]", 1), strings.Replace(yaml, "/tmp", "/x", 1)} {
		if of(other, same) == want {
			t.Errorf("the same fingerprint for %s", other)
		}
	}
}
