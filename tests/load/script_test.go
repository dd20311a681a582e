package load_test

import (
	"testing"

	"gons/tests/sandbox"
)

// A script that never ends is killed with all that it has started, however that tries to get away (tests/pam has those
// that ignore signals and start sessions of their own).
func TestScriptsThatNeverEnd(t *testing.T) {
	const rest = "sleep 1001"
	for name, text := range map[string]string{
		"two forks away":           "(setsid sh -c '(" + rest + " &) &' &) & wait; " + rest,
		"stopped":                  "kill -STOP $$",
		"a child that is stopped":  "sh -c 'kill -STOP $$' & " + rest + " & wait",
		"stopped two forks away":   "(setsid sh -c 'kill -STOP $$' &) & wait; " + rest,
		"hundreds of children":     "i=0; while [ $i -lt 300 ]; do " + rest + " & i=$((i+1)); done; wait",
		"forks and ends, for ever": "run() { sleep 0.05; run & }; run & " + rest,
		"output without end":       "yes",
		"closes its output":        "exec >&- 2>&-; " + rest,
	} {
		t.Run(name, func(t *testing.T) {
			dir := area(t)
			makeDir(t, dir+"/tmp", 0o1777, 0)
			makeDir(t, dir+"/inst", 0, 0)
			script(t, dir+"/init", text)
			configure(t, dir, []string{"path: {A}/tmp, method: user, instances: {A}/inst, init: {A}/init"}, "timeout=2")
			count := newCensus(t, dir)
			log := sandbox.NewLog(t)
			newPamhost(t, "alice").run().refused(t)
			log.Expect(dir+"/init", "took too long and was killed")
			count.check(1)
		})
	}
}
