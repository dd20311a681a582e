package load_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gons/tests/sandbox"
)

// deaths are the ways in which a worker can end: as the kernel ends it, as a fatal error of the Go runtime does, by
// signals that the runtime handles, and stopped, which the time limit ends.
var deaths = []syscall.Signal{
	syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGQUIT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL,
	syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE, syscall.SIGALRM,
	syscall.SIGXCPU, syscall.SIGUSR1, syscall.SIGURG, syscall.SIGPROF, syscall.SIGSTOP,
}

// A worker that dies at any moment fails the session with PAM_SESSION_ERR and one line in the log, or was done with it:
// the session is whole or there is none, and nothing stays.
func TestWorkersThatDieAtAnyMoment(t *testing.T) {
	dir := oneOfEach(t, "timeout=3")
	newPamhost(t, "alice", "--brief").run().opened(t)
	count := newCensus(t, dir)
	outcome := map[string]int{}
	log, seen := sandbox.NewLog(t), 0
	for i := range long(60, 3000) {
		signal := deaths[i%len(deaths)]
		p := newPamhost(t, "alice")
		p.start()
		worker := 0
		eventually(t, "there is a worker, or the host is done", func() bool {
			if children := childrenOf(t, p.pid()); len(children) > 0 {
				worker = children[0]
			}
			return worker != 0 || ended(p.pid())
		})
		if worker != 0 { // else all was over between two looks
			time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
			syscall.Kill(worker, signal)
		}
		r := p.wait()
		outcome[r.get("open")]++
		if r.get("open") != "0" {
			r.refused(t)
			checkDeath(t, log.Lines()[seen:])
		}
		seen = len(log.Lines())
		if t.Failed() {
			t.Fatalf("round %d: %v", i, signal)
		}
	}
	cleanDrafts(t)
	count.check(0)
	t.Logf("sessions by PAM code: %v", outcome)
	newPamhost(t, "alice").run().opened(t)
}

// cleanDrafts does what gons clean does some minutes later: a worker that died while it wrote a record for the first time
// leaves the draft.
func cleanDrafts(t testing.TB) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	for _, name := range names(t, "/run/gons/sessions") {
		if err := os.Chtimes("/run/gons/sessions/"+name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	must(t, sandbox.Built(t, "gons"), "clean")
}

// checkDeath fails the test unless one line says that the worker ended or was too late.
func checkDeath(t testing.TB, lines []string) {
	t.Helper()
	count := 0
	for _, line := range lines {
		if strings.Contains(line, "worker ended without an answer") || strings.Contains(line, "did not finish in time") {
			count++
		}
	}
	if count != 1 || len(lines) != 1 {
		t.Errorf("expected one line on the worker's end, got %q", lines)
	}
}

// A worker that is out of memory, at whatever moment, is as good as dead. The host may not lift its hard limits here, as
// in a container; it needs more than its own to load the module.
func TestWorkersWithoutMemory(t *testing.T) {
	dir := oneOfEach(t)
	newPamhost(t, "alice", "--brief").run().opened(t)
	outcome := map[string]int{}
	log, seen := sandbox.NewLog(t), 0
	for _, kind := range []string{"AS", "DATA"} {
		for mb := 4; mb < 400; mb += mb/long(6, 40) + 1 {
			count := newCensus(t, dir)
			limit := fmt.Sprintf("%s=%d", kind, mb<<20)
			r := newPamhost(t, "alice", "--hard-limit", limit).through("setpriv", "--bounding-set", "-sys_resource").run()
			outcome[kind+" "+r.get("open")]++
			switch r.get("open") {
			case "0":
				outcome[kind+" closed with "+r.get("close")]++
				if r.get("close") == "14" && len(log.Lines()) == seen+1 { // just enough to open with, and not to close
					must(t, sandbox.Built(t, "gons"), "clean")
					break
				}
				r.opened(t)
			case "14":
				r.refused(t)
				lines := log.Lines()[seen:]
				if len(lines) == 0 || len(lines) > 2 { // what the worker's end left is cleaned up by another
					t.Errorf("the log has %q", lines)
				}
				if len(lines) == 2 { // which has ended so, too; then it is gons clean's
					must(t, sandbox.Built(t, "gons"), "clean")
				}
			default:
				t.Errorf("PAM code %q", r.get("open"))
			}
			seen = len(log.Lines())
			if count.check(0); t.Failed() {
				t.Fatal(limit)
			}
		}
	}
	if outcome["DATA closed with 14"]+outcome["AS closed with 14"] > 4 {
		t.Error("more sessions than those at the very limit can't be closed")
	}
	t.Logf("sessions by limit and PAM code: %v", outcome)
}
