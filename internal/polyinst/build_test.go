package polyinst

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gons/internal/config"
	"gons/internal/md5"
)

func TestInstanceName(t *testing.T) {
	const user, level, context = config.MethodUser, config.MethodLevel, config.MethodContext
	const tmp = "system_u:object_r:tmp_t:s0"
	for _, c := range []struct {
		method  config.Method
		user    string
		shared  bool
		genHash bool
		want    string
	}{
		{user, "alice", false, false, "alice"},
		{user, "Alice", false, false, "Alice"},
		{user, "alice", false, true, "6384e2b2184bcbf58eccf10ca7a6563c"},
		{user, "alice", true, false, ""},
		{user, "alice", true, true, ""},
		{user, strings.Repeat("a", 79), false, false, strings.Repeat("a", 79)},
		{user, strings.Repeat("a", 80), false, false, strings.Repeat("a", 80)},
		{user, strings.Repeat("a", 81), false, false, strings.Repeat("a", 47) + "_986e6938ed767a8ae9530eef54bfe5f1"},
		{user, strings.Repeat("a", 81), false, true, "986e6938ed767a8ae9530eef54bfe5f1"},
		{user, strings.Repeat("é", 40), false, false, strings.Repeat("é", 40)},
		{level, "martin", false, false, tmp + "_martin"},
		{context, "martin", false, false, tmp + "_martin"},
		{context, "martin", true, false, tmp},
		{level, "martin", true, true, md5.Hex(tmp)},
	} {
		if got := InstanceName(difference(c.method, c.user, tmp, c.shared), c.genHash); got != c.want {
			t.Errorf("the instance of %s, %q, shared %t, hashed %t is %q, want %q", c.method, c.user, c.shared, c.genHash, got, c.want)
		}
	}
	if got := InstanceName(strings.Repeat("é", 41), false); len(got) != 80 {
		t.Errorf("82 bytes become %d: %q", len(got), got)
	}
}

// Building again gives an equal plan, and changes neither the configuration nor what was built before.
func TestBuildIsPure(t *testing.T) {
	const text = "/tmp /i/ user:create=0700 root\n/tmp/x /i/ tmpdir\n/m x tmpfs:mntopts=size=1G ~bob,alice\n"
	cfg, same := parseConfig(t, "namespace.conf", text), parseConfig(t, "namespace.conf", text)
	req := aliceRequest()
	facts, err := Gather(cfg, req, newDatabase(req.User), machine{})
	must(t, err)
	first, err := Build(cfg, req, facts)
	must(t, err)
	second, err := Build(cfg, req, facts)
	must(t, err)
	if !reflect.DeepEqual(first, second) || !reflect.DeepEqual(cfg, same) {
		t.Errorf("first\n%ssecond\n%s", first, second)
	}
	second.Warnings = append(second.Warnings, config.Warning{Text: "mine"})
	if third, _ := Build(cfg, req, facts); !reflect.DeepEqual(first, third) {
		t.Errorf("a plan is not its own: %v", third.Warnings)
	}
}

// A home is a path of the name service's. One that isn't a path must not lead to a directory of that name in /.
func TestBuildWithoutAHome(t *testing.T) {
	cfg := parseConfig(t, "namespace.conf", "$HOME/.cache x tmpfs:create\n")
	req := aliceRequest()
	req.Home = ""
	if plan, err := Build(cfg, req, Facts{}); err == nil {
		t.Errorf("got a plan:\n%s", plan)
	}
}

// ignore_config_error is for slips in the configuration. A session whose context nobody has set isn't one.
func TestIgnoreConfigErrorNeedsAContext(t *testing.T) {
	for _, method := range []string{"level", "context"} {
		cfg := parseConfig(t, "namespace.conf", "/tmp /i/ "+method+"\n")
		req := aliceRequest()
		req.Options.SkipBad = true
		if plan, err := Build(cfg, req, Facts{Machine: MachineFacts{SELinux: true}}); err == nil {
			t.Errorf("%s: got a plan:\n%s", method, plan)
		}
	}
}

// Name services hold any string; a log or a terminal that shows a plan must not be made to lie.
func TestPlanQuotesHostileNames(t *testing.T) {
	cfg := parseConfig(t, "namespace.conf", "/tmp /i/ user\n")
	req := aliceRequest()
	req.User = "a\n  9. cover all of it\x1b[2J\xff"
	plan, err := Build(cfg, req, Facts{})
	if err != nil {
		return // refusing is as good
	}
	text := strings.TrimSuffix(plan.String(), "\n")
	if strings.Count(text, "\n") != len(plan.Steps) || strings.ContainsAny(text, "\x1b") || !utf8.ValidString(text) {
		t.Errorf("%d steps are shown as\n%q", len(plan.Steps), text)
	}
}

// What is asked of the name service: every name is a query to a directory server in the way of a login.
func TestGather(t *testing.T) {
	for _, c := range []struct{ name, conf, req, want string }{
		{"nothing", "/a x tmpfs", "alice", ""},
		{"all of a list", "/a x tmpfs root,bob", "alice", "root bob"},
		{"not where the user is named", "/a x tmpfs root,alice,bob", "alice", ""},
		{"not where the user is named, after ~", "/a x tmpfs ~root,alice", "alice", ""},
		{"each once", "/a x tmpfs root,bob\n/b x tmpfs bob,root\n/c x tmpfs ~bob", "alice", "root bob"},
		{"create's", "/a x tmpfs:create=0700,daemon,staff", "alice", "daemon %staff"},
		{"create's defaults", "/a x tmpfs:create", "alice", ""},
	} {
		if got := askedFor(t, "namespace.conf", c.conf, c.req); got != c.want {
			t.Errorf("%s: asked for %q, want %q", c.name, got, c.want)
		}
	}
}

func TestGatherGroups(t *testing.T) {
	const text = "version: 1\nexempt: {groups: [staff], services: [cron]}\ndirectories:\n" +
		"  - {path: /a, method: tmpfs, only: {users: [bob], groups: [team, staff]}, except: {groups: [team], users: [ALICE]}}\n"
	if got, want := askedFor(t, "gons.yaml", text, "alice"), "%staff bob %team ALICE"; got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
}

// askedFor are the names that are asked for, in order.
func askedFor(t *testing.T, file, text, req string) string {
	t.Helper()
	request, _ := parseRequest(t, req)
	db := newDatabase(request.User)
	_, err := Gather(parseConfig(t, file, text), request, db, machine{})
	must(t, err)
	return strings.Join(db.asked, " ")
}

// "Each once" holds for names that don't exist too; those are the slow ones with a directory server.
func TestGatherAsksOnceForUnknownNames(t *testing.T) {
	got := askedFor(t, "namespace.conf", "/a x tmpfs gone,root\n/b x tmpfs gone,root\n/c x tmpfs ~gone", "alice")
	if got != "gone root" {
		t.Errorf("asked for %q", got)
	}
	got = askedFor(t, "gons.yaml", "version: 1\nexempt: {groups: [gone]}\ndirectories:\n  - {path: /a, method: tmpfs, only: {groups: [gone]}}\n", "alice")
	if got != "%gone" {
		t.Errorf("asked for %q", got)
	}
}

// root must be able to log in while the directory server is down: exempting root by name is how that is written.
func TestGatherAsksNothingForTheExempt(t *testing.T) {
	const text = "version: 1\nexempt: {users: [root], services: [cron]}\ndirectories:\n" +
		"  - {path: /a, method: tmpfs, only: {groups: [team]}, create: {owner: daemon}}\n"
	for _, req := range []string{"user=root uid=0 home=/root", "service=cron"} {
		request, _ := parseRequest(t, req)
		db := newDatabase(request.User)
		db.broken = map[string]bool{"team": true, "daemon": true}
		facts, err := Gather(parseConfig(t, "gons.yaml", text), request, db, machine{})
		if err != nil || len(db.asked) > 0 {
			t.Errorf("%s: asked for %v, %v", req, db.asked, err)
			continue
		}
		plan, err := Build(parseConfig(t, "gons.yaml", text), request, facts)
		if err != nil || plan.Namespace || len(plan.Warnings) > 0 {
			t.Errorf("%s: got %v, warnings %v, %v", req, plan, plan.Warnings, err)
		}
	}
}

func TestGatherPassesErrorsOn(t *testing.T) {
	const text = "version: 1\nexempt: {users: [e], groups: [ge]}\ndirectories:\n" +
		"  - {path: /a, method: tmpfs, only: {users: [o], groups: [go]}, except: {users: [x], groups: [gx]}, create: {owner: c, group: gc}}\n"
	cfg := parseConfig(t, "gons.yaml", text)
	order := []string{"e", "%ge", "o", "%go", "x", "%gx", "c", "%gc"}
	for i, name := range order {
		db := newDatabase("alice")
		db.broken = map[string]bool{strings.TrimPrefix(name, "%"): true}
		_, err := Gather(cfg, aliceRequest(), db, machine{})
		if err == nil || !strings.Contains(err.Error(), "doesn't answer for "+strings.TrimPrefix(name, "%")) {
			t.Errorf("%s: got %v", name, err)
		}
		if !slices.Equal(db.asked, order[:i+1]) {
			t.Errorf("%s: asked for %v", name, db.asked)
		}
	}
}

// Facts alone decide, whoever gathered them.
func TestBuildFromFacts(t *testing.T) {
	cfg := parseConfig(t, "gons.yaml", "version: 1\nexempt: {groups: [g]}\ndirectories: [{path: /a, method: tmpfs}]\n")
	for member, want := range map[bool]string{true: "no namespace: exempt", false: "a namespace of its own"} {
		plan, err := Build(cfg, aliceRequest(), Facts{Groups: map[string]Group{"g": {GID: 7, Member: member}}})
		must(t, err)
		if plan.Reason != want {
			t.Errorf("member %t: %s", member, plan.Reason)
		}
	}
}

// Every step of a directory names its line; those of the namespace as a whole have none.
func TestWhy(t *testing.T) {
	cfg := parseConfig(t, "namespace.conf", "/a /i/ user:create\n/b /i/ tmpdir\n/c x tmpfs\n")
	cfg.Home = config.HomeSlave
	plan, err := Build(cfg, aliceRequest(), Facts{})
	must(t, err)
	for _, s := range plan.Steps {
		whole := strings.Contains(s.String(), "/home/alice") || strings.HasPrefix(s.String(), "make / ")
		if whole != (s.Why().Line == 0) || !whole && !strings.HasSuffix(s.String(), "  ["+s.Why().String()+"]") {
			t.Errorf("%s: comes from %q", s, s.Why())
		}
	}
}
