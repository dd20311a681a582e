package login

import (
	"errors"
	"os"
	"os/user"
	"slices"
	"strings"
	"testing"

	"gons/internal/linux"
)

func TestNamed(t *testing.T) {
	p, err := Named("root")
	if err != nil || p.UID != 0 || p.GID != 0 || p.Home != "/root" || !strings.HasPrefix(p.Shell, "/") || !slices.Contains(p.Groups, 0) {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := NamedWithID("root", 7); err == nil {
		t.Error("root has the number 7")
	}
	var unknown user.UnknownUserError
	if _, err := Named("nobody-at-all"); !errors.As(err, &unknown) {
		t.Errorf("nobody-at-all: %v", err)
	}
	if got := shellOf("nobody-at-all"); got != "/bin/sh" {
		t.Errorf("who isn't known has the shell %s", got)
	}
}

func TestEnvironmentAndCommand(t *testing.T) {
	p := &Person{Name: "alice", Home: "/home/alice", Shell: "/bin/dash"}
	env := p.Environment([]string{"LD_PRELOAD=x", "PATH=/evil", "TERM=xterm", "LC_TIME=C", "HOME=/root", "LANGUAGE=x"})
	want := "HOME=/home/alice USER=alice LOGNAME=alice SHELL=/bin/dash PATH=" + userPath + " TERM=xterm LC_TIME=C"
	if got := strings.Join(env, " "); got != want {
		t.Errorf("the environment is %s, want %s", got, want)
	}
	if program, argv := p.Command(nil); program != "/bin/dash" || !slices.Equal(argv, []string{"-dash"}) {
		t.Errorf("without a command: %s %q", program, argv)
	}
	if program, argv := p.Command([]string{"ls", "-l"}); program != "ls" || !slices.Equal(argv, []string{"ls", "-l"}) {
		t.Errorf("a command: %s %q", program, argv)
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"a/run": 0o755, "b/run": 0o755, "a/text": 0o644, "a/later": 0o644, "b/later": 0o755} {
		if err := os.MkdirAll(dir+"/"+name[:1], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"X=1", "PATH=.:" + dir + "/a:" + dir + "/b:"}
	for name, want := range map[string]string{"run": "/a/run", "later": "/b/later", "text": "EACCES", "none": "ENOENT"} {
		got, err := LookPath(name, env)
		switch {
		case want == "EACCES" && linux.Is(err, linux.EACCES), want == "ENOENT" && linux.Is(err, linux.ENOENT):
		case got != dir+want || err != nil:
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	t.Chdir(dir + "/a")
	if got, err := LookPath("run", []string{"PATH=.:"}); err == nil {
		t.Errorf("%s comes from the working directory", got)
	}
	if got, err := LookPath("./x", nil); got != "./x" || err != nil {
		t.Errorf("a path: %s, %v", got, err)
	}
}
