package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCommands are what transcripts have besides testscript's own:
//
//	stack SERVICE [LINE...]       write a PAM service whose session lines are those, the module's alone without any
//	login NAME SERVICE USER [FLAG...]  open a session, which stays open; $NAME is the process that has it
//	logout NAME                   close it
//	crash NAME                    kill the process instead, so that the session isn't closed
func scriptCommands(module, pamhost string) map[string]func(*testscript.TestScript, bool, []string) {
	s := &openSessions{pamhost: pamhost, open: map[string]*openSession{}}
	return map[string]func(*testscript.TestScript, bool, []string){
		"stack":  func(ts *testscript.TestScript, _ bool, args []string) { writeStack(ts, module, args) },
		"login":  s.login,
		"logout": s.logout,
		"crash":  s.crash,
	}
}

func writeStack(ts *testscript.TestScript, module string, args []string) {
	lines := []string{"auth required pam_permit.so", "account required pam_permit.so"}
	if len(args) == 1 {
		args = append(args, "session required "+module)
	}
	lines = append(lines, args[1:]...)
	ts.Check(os.WriteFile("/etc/pam.d/"+args[0], []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	ts.Defer(func() { os.Remove("/etc/pam.d/" + args[0]) })
}

type openSessions struct {
	pamhost string
	open    map[string]*openSession
}

type openSession struct {
	cmd   *exec.Cmd
	input io.Closer
}

func (s *openSessions) login(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(s.pamhost, append(append([]string{"--brief", "--hold"}, args[3:]...), args[1], args[2])...)
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	ts.Check(err)
	output, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s.open[args[0]] = &openSession{cmd, input}
	ts.Defer(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if lines.Text() == "open=14" {
			ts.Fatalf("the session of %s doesn't open", args[2])
		}
		if pid, ok := strings.CutPrefix(lines.Text(), "held="); ok {
			ts.Setenv(args[0], pid)
			return
		}
	}
	ts.Fatalf("the session of %s didn't open", args[2])
}

func (s *openSessions) logout(_ *testscript.TestScript, _ bool, args []string) {
	s.open[args[0]].input.Close()
	s.open[args[0]].cmd.Wait()
}

func (s *openSessions) crash(_ *testscript.TestScript, _ bool, args []string) {
	s.open[args[0]].cmd.Process.Kill()
	s.open[args[0]].cmd.Wait()
}

// clearMachine takes away what a script has left in the sandbox that all of them share.
func clearMachine() {
	left, _ := filepath.Glob("/run/gons/sessions/*")
	for _, path := range append(left, "/etc/security/gons.yaml") {
		os.Remove(path)
	}
}
