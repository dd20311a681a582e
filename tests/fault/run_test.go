package fault_test

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gons/tests/sandbox"
)

// report is what pamhost printed, by key.
type report map[string][]string

func (r report) get(key string) string {
	if len(r[key]) == 0 {
		return ""
	}
	return r[key][len(r[key])-1]
}

// deadline is that of a run: more than any timeout= of a session.
const deadline = 60 * time.Second

// parse reads the lines "KEY=VALUE" of pamhost.
func parse(out string) report {
	r := report{}
	for _, line := range strings.Split(out, "\n") {
		key, value, _ := strings.Cut(line, "=")
		r[key] = append(r[key], value)
	}
	return r
}

const service = "gons-fault"

// command is a run of pamhost with these flags for alice.
func command(t testing.TB, args ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	t.Helper()
	out = &bytes.Buffer{}
	cmd = exec.Command(sandbox.Built(t, "pamhost"), append(args, service, "alice")...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", []string{"PATH=/usr/bin:/bin"}, out, out
	return cmd, out
}

// run runs pamhost without a trap.
func run(t testing.TB, args ...string) report {
	t.Helper()
	return runThrough(t, nil, args...)
}

// runThrough has another command, which executes the rest of its arguments, start pamhost.
func runThrough(t testing.TB, by []string, args ...string) report {
	t.Helper()
	cmd, out := command(t, args...)
	if len(by) > 0 {
		path, err := exec.LookPath(by[0])
		must(t, err)
		cmd.Args = slices.Concat(by, []string{cmd.Path}, cmd.Args[1:])
		cmd.Path = path
	}
	must(t, cmd.Start())
	watch := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
	defer watch.Stop()
	cmd.Wait()
	return parse(out.String())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
