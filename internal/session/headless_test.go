package session

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
)

const headlessVar = "GONS_TEST_HEADLESS"

// A process of this program is one whose first thread has ended, where the test below asks for it.
func init() {
	if os.Getenv(headlessVar) != "" {
		time.AfterFunc(time.Minute, func() { os.Exit(0) })
		unix.Syscall(unix.SYS_EXIT, 0, 0, 0) // of this thread alone
	}
}

// A process whose first thread has ended is still in its namespace: a user mustn't hide there.
func TestProcWithoutAFirstThread(t *testing.T) {
	cmd := exec.Command("unshare", "--mount", "/proc/self/exe")
	cmd.Args[2] = os.Args[0]
	cmd.Env = append(os.Environ(), headlessVar+"=1")
	must(t, cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	var p Proc
	var ns Namespace
	for range 500 {
		if _, err := namespaceInode(fmt.Sprintf("/proc/%d/ns/mnt", cmd.Process.Pid)); err != nil {
			break
		}
		if h, err := linux.OpenNamespaceOf(cmd.Process.Pid); err == nil {
			if now := NamespaceOf(h); now != currentNamespace() {
				ns = now
			}
			h.Close()
		}
		time.Sleep(2 * time.Millisecond)
	}
	if found, ok := p.InNamespace(ns, 0); ns.Inode == 0 || !ok || found.PID != cmd.Process.Pid {
		t.Errorf("in %v is %v, %t, expected process %d", ns, found, ok, cmd.Process.Pid)
	}
}
