package selinux

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gons/tests/vm"
)

const top = "../.."

// results is the directory with what the machine wrote, "" where none was booted.
var results string

func TestMain(m *testing.M) {
	if os.Getenv("GONS_TEST_SELINUX") == "" {
		os.Exit(m.Run())
	}
	code := 1
	dir, err := os.MkdirTemp("", "gons-selinux-results")
	if err == nil {
		results = filepath.Join(dir, "out")
		if err = prepare(dir); m.Run() == 0 && err == nil {
			code = 0
		}
		if os.Getenv("GONS_TEST_KEEP") == "" { // for a look at what it left
			os.RemoveAll(dir)
		}
	}
	if err != nil {
		fmt.Println("these tests need root and the packages of `scripts/setup vm`:", err)
	}
	os.Exit(code)
}

// prepare runs the machine with what has been built, the scripts and a key to log in with.
func prepare(dir string) error {
	in := filepath.Join(dir, "in")
	build := exec.Command("go", "build", "-o", in+"/probe", "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	for _, step := range []*exec.Cmd{
		exec.Command("mkdir", in, results),
		exec.Command("sh", "-c", `cp guest/* "$0"/build/pam_gons.so "$1"`, top, in),
		exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", in+"/key"),
		build,
	} {
		if output, err := step.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", step, err, output)
		}
	}
	files, err := filesIn(in, "/root/in/")
	if err != nil {
		return err
	}
	return Run(files, results)
}

// filesIn returns a directory's files, for the directory to of the machine.
func filesIn(dir, to string) ([]vm.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []vm.File
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, vm.File{Path: to + entry.Name(), Mode: info.Mode(), Content: content})
	}
	return files, nil
}

func read(t *testing.T, name string) string {
	t.Helper()
	if results == "" {
		t.Skip("this boots an emulated machine, which takes minutes; `make test-selinux` does")
	}
	b, err := os.ReadFile(filepath.Join(results, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(read(t, name), "\n"), "\n")
}

// Package selinux answers what libselinux answers. Where that fails and says nothing, it may say why.
func TestPolicy(t *testing.T) {
	for _, part := range []string{"files", "member", "mkdir_", "default-sshd", "default-local_login", "default-crond", "default-initrc"} {
		asked, want, got := lines(t, part+".asked"), lines(t, part+".libselinux"), lines(t, part+".gons")
		if len(asked) < 3 || len(asked) != len(want) || len(asked) != len(got) {
			t.Fatalf("%s: %d questions, %d and %d answers", part, len(asked), len(want), len(got))
		}
		for i, question := range asked {
			t.Logf("%-90s %s", part+": "+question, got[i])
			if got[i] != want[i] && !(want[i] == "none" && strings.HasPrefix(got[i], "error: ")) {
				t.Errorf("%s: %s\n got %s\nwant %s", part, question, got[i], want[i])
			}
		}
	}
}

// Sessions of both modules see the same names, labels and modes, and leave the same on disk.
func TestSessions(t *testing.T) {
	for _, service := range []string{"sshd", "su", "cron"} {
		for _, part := range []string{"alice", "bob", "instances"} {
			t.Run(service+"/"+part, func(t *testing.T) {
				want, got := session(t, "namespace", service, part), session(t, "gons", service, part)
				t.Logf("\n%s", got)
				if got != want {
					t.Errorf("pam_namespace:\n%s", want)
				}
				if part != "instances" && !strings.HasSuffix(got, "exit 0\n") {
					t.Error("no session")
				}
			})
		}
	}
	if t.Failed() {
		t.Logf("log of pam_namespace:\n%s", read(t, "namespace.log"))
		t.Logf("log of pam_gons:\n%s", read(t, "gons.log"))
	}
}

// session is what a session says, without what two modules, or two sessions, can't have in common.
func session(t *testing.T, module, service, part string) string {
	text := read(t, strings.Join([]string{module, service, part}, "."))
	text = strings.ReplaceAll(text, "/srv/"+module+".", "/srv/MODULE.")
	if part == "instances" { // pam_namespace leaves what tmpdir made, unless it is told to unmount
		return regexp.MustCompile(`(?m)^.*/tmpdir/.*\n`).ReplaceAllString(text, "")
	}
	return regexp.MustCompile(`(/tmpdir/)[[:alnum:]]{6}`).ReplaceAllString(text, "${1}XXXXXX")
}

// At the console login is in a domain of its own; Debian's stack has pam_selinux there.
func TestConsole(t *testing.T) {
	got := read(t, "console.alice")
	t.Logf("\n%s", got)
	for _, want := range []string{
		"/srv/level 1777 root:root system_u:object_r:tmp_t:s0-s0:c0.c1023 /srv/console.login.inst/level/",
		"/srv/context 1777 root:root system_u:object_r:user_tmp_t:s0 /srv/console.login.inst/context/", "exit 0\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it hasn't %q", want)
		}
	}
}

// SELinux, with contrib/selinux/gons.cil, refuses nothing to the hosts of pam_gons, and nothing to anybody that names gons.
func TestDenials(t *testing.T) {
	for _, name := range []string{"gons.denied", "console.denied"} {
		if text := read(t, name); text != "" {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	t.Logf("pam_namespace:\n%s", read(t, "namespace.denied"))
}

// rule is one of gons.cil: what hosts may do to the files of a type, or of the types with an attribute.
type rule struct{ target, class, permission string }

// rules reads the rules of gons.cil, a permission each.
func rules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(top + "/contrib/selinux/gons.cil")
	if err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, m := range regexp.MustCompile(`(?m)^\((?:allow|dontaudit) gons_host (\w+) \((\w+) \(([\w ]+)\)\)\)$`).FindAllStringSubmatch(string(text), -1) {
		for _, permission := range strings.Fields(m[3]) {
			all = append(all, rule{m[1], m[2], permission})
		}
	}
	if lines := regexp.MustCompile(`(?m)^\((allow|dontaudit) `).FindAllString(string(text), -1); len(all) < len(lines) {
		t.Fatalf("%d permissions in %d rules", len(all), len(lines))
	}
	return all
}

// refused reads what hosts were refused, without gons.cil's rules.
func refused(t *testing.T) map[rule]bool {
	t.Helper()
	all := map[rule]bool{}
	line := regexp.MustCompile(`denied  \{ ([^}]*)\}.* scontext=\w+:\w+:((?:sshd|crond|local_login)_t):\S* tcontext=\w+:\w+:(\w+)\S* tclass=(\w+)`)
	for _, m := range line.FindAllStringSubmatch(read(t, "needed"), -1) {
		target := m[3]
		if strings.Contains(m[0], `path="/run/gons`) && target != "gons_runtime_t" {
			t.Errorf("a record has another type: %s", m[0])
		}
		if target == m[2] {
			target = "self"
		}
		for _, permission := range strings.Fields(m[1]) {
			all[rule{target, m[4], permission}] = true
		}
	}
	return all
}

// Each permission of gons.cil is one that the policy otherwise refuses, and hosts ask for.
func TestPolicyIsNarrow(t *testing.T) {
	all, denied := rules(t), refused(t)
	named := map[string]bool{}
	for _, r := range all {
		named[r.target] = strings.HasSuffix(r.target, "_t") || r.target == "self"
	}
	asked := map[rule]bool{}
	for r := range denied {
		t.Logf("refused: %s", r)
		asked[r] = true
		if !named[r.target] { // of a type that rules know by an attribute
			asked[rule{"", r.class, r.permission}] = true
		}
	}
	for _, r := range all {
		if !asked[r] && (named[r.target] || !asked[rule{"", r.class, r.permission}]) {
			t.Errorf("nothing needs %s", r)
		}
	}
}

func (r rule) String() string { return r.target + " " + r.class + " " + r.permission }
