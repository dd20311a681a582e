package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"gons/tests/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestScript runs the transcripts in testdata/script against the built command, in the sandbox.
func TestScript(t *testing.T) {
	gons := sandbox.Built(t, "gons")
	module := sandbox.Module(t)
	testscript.RunT(inTurn{t}, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(gons)+":/usr/sbin:/usr/bin:/sbin:/bin")
			e.Setenv("MODULE", module)
			e.Defer(clearMachine)
			return os.Chmod(e.WorkDir, 0o755)
		},
		Cmds:          scriptCommands(module, sandbox.Built(t, "pamhost")),
		UpdateScripts: os.Getenv("UPDATE") != "",
	})
}

// inTurn runs the scripts one after another: they share the sandbox's /etc/security.
type inTurn struct{ *testing.T }

func (t inTurn) Parallel() {}

func (t inTurn) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(inTurn{t}) })
}

func (t inTurn) Verbose() bool { return testing.Verbose() }
