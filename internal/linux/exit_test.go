package linux

import (
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
)

// A signal without a name is a signal still, and no success.
func TestWaitKnowsEverySignal(t *testing.T) {
	for _, n := range []int{1, 6, 15, 34, 35, 64} {
		if signal.Ignored(syscall.Signal(n)) { // as under nohup; then the shell ignores it, too
			continue
		}
		cmd := exec.Command("/bin/sh", "-c", "ulimit -c 0; kill -"+strconv.Itoa(n)+" $$")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exit, err := (&Process{pid: cmd.Process.Pid}).Wait()
		if err != nil || exit.Signal == nil || exit.Status != 128+n {
			t.Errorf("signal %d: %+v, %v", n, exit, err)
		}
	}
}
