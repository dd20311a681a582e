package load_test

import (
	"strconv"
	"testing"
	"time"
)

// A host whose other threads allocate, load libraries, start threads and look users up all the time, which a fork finds
// in the middle of it, opens session after session and never hangs.
func TestAHostWithBusyThreads(t *testing.T) {
	dir := oneOfEach(t, "timeout=60")
	count := newCensus(t)
	rounds := long(200, 2000)
	p := newPamhost(t, "alice", "--busy", "16", "--rounds", strconv.Itoa(rounds))
	p.patience = time.Hour
	r := p.run()
	if r.number(t, "rounds") != rounds || r.number(t, "failed") != 0 {
		t.Errorf("%s of %s sessions failed", r.get("failed"), r.get("rounds"))
	}
	r.unchanged(t, "before", "after", "namespace", "cwd")
	count.check(rounds)
	if left := names(t, dir+"/inst-fresh"); len(left) > 0 {
		t.Errorf("instances are left: %q", left)
	}
}
