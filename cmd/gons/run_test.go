package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gons/tests/sandbox"
)

// TestRun runs the transcripts of gons run in testdata/run.
func TestRun(t *testing.T) {
	gons := sandbox.Built(t, "gons")
	sandbox.Built(t, "newns")
	testscript.RunT(inTurn{t}, testscript.Params{
		Dir: "testdata/run",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(gons)+":/usr/sbin:/usr/bin:/sbin:/bin")
			e.Setenv("CONTRIB", filepath.Join(filepath.Dir(gons), "../contrib"))
			return os.Chmod(e.WorkDir, 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"terminals": terminals},
	})
}

// terminals plays a transcript: lines that begin with a prompt, "A# " or "B# " of two shells of root's, "alice$ " of one of
// hers, are typed there, and what is between them must be what the command wrote. The shells live until the transcript
// ends, so that "A# newns" is followed by what is typed into the namespace.
func terminals(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: terminals FILE")
	}
	file := ts.MkAbs(args[0])
	want := ts.ReadFile(args[0])
	shells := map[string]*typedShell{}
	defer func() {
		for _, s := range shells {
			s.close()
		}
	}()
	got := &strings.Builder{}
	for _, line := range strings.SplitAfter(want, "\n") {
		prompt, command, ok := typed(line)
		if !ok {
			if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" && !strings.HasSuffix(got.String(), "\n\n") {
				got.WriteString(line)
			}
			continue
		}
		if shells[prompt] == nil {
			s, err := openTerminal(ts, prompt)
			ts.Check(err)
			shells[prompt] = s
		}
		out, err := shells[prompt].run(command)
		ts.Check(err)
		got.WriteString(line + out)
	}
	if got.String() != want {
		os.WriteFile(file+".got", []byte(got.String()), 0o644)
		out, _ := exec.Command("diff", "-u", file, file+".got").CombinedOutput()
		ts.Fatalf("it went otherwise:\n%s", out)
	}
}

// typed takes a line of a transcript apart.
func typed(line string) (prompt, command string, ok bool) {
	for _, prompt := range []string{"A# ", "B# ", "alice$ "} {
		if command, ok := strings.CutPrefix(line, prompt); ok {
			return prompt, strings.TrimSuffix(command, "\n"), true
		}
	}
	return "", "", false
}

// typedShell is a shell that commands are typed into.
type typedShell struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	read io.Closer
}

func openTerminal(ts *testscript.TestScript, prompt string) (*typedShell, error) {
	args := []string{"bash", "--norc"}
	if prompt == "alice$ " {
		id := fmt.Sprint(sandbox.Alice.UID)
		args = append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "env", "HOME=" + sandbox.Alice.Home}, args...)
	}
	t := &typedShell{cmd: exec.Command(args[0], args[1:]...)}
	t.cmd.Dir = ts.MkAbs(".")
	t.cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "CONTRIB=" + ts.Getenv("CONTRIB"), "SHELL=/bin/bash", "HOME=/root", "LC_ALL=C"}
	var err error
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out, t.read = bufio.NewReader(out), out
	t.cmd.Stderr = t.cmd.Stdout
	t.cmd.WaitDelay = time.Second
	return t, t.cmd.Start()
}

const endMark = "--end of output--"

// run types a command and returns what it wrote.
func (t *typedShell) run(command string) (string, error) {
	if _, err := fmt.Fprintf(t.in, "%s\necho '%s'\n", command, endMark); err != nil {
		return "", err
	}
	timer := time.AfterFunc(10*time.Second, t.stop)
	defer timer.Stop()
	out := ""
	for {
		line, err := t.out.ReadString('\n')
		if rest, ok := strings.CutSuffix(line, endMark+"\n"); ok {
			return out + rest, nil
		}
		out += line
		if err != nil {
			return "", fmt.Errorf("%s: the shell is gone: %w; it said\n%s", command, err, out)
		}
	}
}

// close ends the shells, of which one may be in the other.
func (t *typedShell) close() {
	t.in.Close()
	timer := time.AfterFunc(2*time.Second, t.stop)
	defer timer.Stop()
	t.cmd.Wait()
}

// stop kills the shell and gives up what it may have left to write.
func (t *typedShell) stop() {
	t.cmd.Process.Kill()
	t.read.Close()
}
