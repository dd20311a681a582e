// Package pam_test opens sessions through the real libpam: in this process by github.com/msteinert/pam, and in the ways
// that real hosts fork and thread by tests/pamhost.
package pam_test

import (
	"runtime"
	"testing"

	"github.com/msteinert/pam/v2"

	"gons/tests/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// inThread runs f on a thread that nothing else will use: what a session does to its thread can't be undone.
func inThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		f()
	}()
	<-done
}

func TestOpenAndClose(t *testing.T) {
	sandbox.Config(t, `version: 1
directories:
  - {path: /tmp, method: user, instances: /tmp-inst}
  - {path: /var/tmp, method: tmpdir, instances: /var-inst}
`)
	sandbox.Stack(t, "gons-test", "required", "debug")
	log := sandbox.NewLog(t)
	snap := sandbox.NewSnapshot(t, "/tmp", "/var/tmp")
	inThread(func() {
		tx, err := pam.StartFunc("gons-test", "alice", func(s pam.Style, msg string) (string, error) {
			t.Logf("said: %s", msg)
			return "", nil
		})
		if err != nil {
			t.Error(err)
			return
		}
		defer tx.End()
		if err := tx.OpenSession(0); err != nil {
			t.Error(err)
			return
		}
		for _, m := range sandbox.Mounts(t, "thread-self") {
			t.Log(m)
		}
		if err := tx.CloseSession(0); err != nil {
			t.Error(err)
		}
	})
	log.Expect("plan:")
	snap.Check()
	t.Log(sandbox.Tree(t, "/tmp-inst"), sandbox.Tree(t, "/var-inst"), sandbox.Tree(t, "/run"))
}
