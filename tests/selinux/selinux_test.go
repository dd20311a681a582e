package selinux

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
		if err = prepare(dir); err == nil {
			code = m.Run()
		}
		if os.Getenv("GONS_TEST_KEEP") == "" { // for a look at what it left
			os.RemoveAll(dir)
		}
	}
	if err != nil {
		fmt.Println("these tests need root and the packages of `scripts/setup selinux`:", err)
	}
	os.Exit(code)
}

// prepare runs the machine with what has been built, the scripts and a key to log in with.
func prepare(dir string) error {
	in := filepath.Join(dir, "in")
	image, err := filepath.Abs(top)
	if err == nil {
		image, err = BuildImage(image)
	}
	if err != nil {
		return err
	}
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
	return Run(image, in, results)
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
	for _, service := range []string{"sshd", "su"} {
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

// SELinux, with contrib/selinux/gons.cil, refuses pam_gons nothing.
func TestDenials(t *testing.T) {
	if text := read(t, "gons.denied"); text != "" {
		t.Errorf("pam_gons:\n%s", text)
	}
	t.Logf("pam_namespace:\n%s", read(t, "namespace.denied"))
}
