package pam_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// oldKernel makes the thread, and what it starts, see a kernel before 6.11, by which namespaces have no numbers of their
// own and are known by inode numbers, which are used again: ioctl(2) is an error.
func (th *thread) oldKernel() {
	th.t.Helper()
	th.try(func() error {
		const load, equal, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		code := []unix.SockFilter{
			{Code: load}, {Code: equal, K: unix.SYS_IOCTL, Jf: 1},
			{Code: give, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOTTY)}, {Code: give, K: unix.SECCOMP_RET_ALLOW},
		}
		prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
		_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// openOld opens a session on a kernel before 6.11. There its namespace can be pinned, which Linux 6.18 refuses in a container
// on some processors (openNewer).
func openOld(t testing.TB, user string) *session {
	t.Helper()
	for cpu := range runtime.NumCPU() {
		s := begin(t, user, nil)
		s.oldKernel()
		s.useProcessor(cpu)
		if s.open(0) == nil {
			return s
		}
	}
	t.Fatal("no processor makes a namespace that can be pinned")
	return nil
}

// A host with threads opens sessions for several users. Where the kernel gives namespaces no numbers, one may get the inode
// number that another's had: that isn't the other user's.
func TestScopeUserInodeUsedAgain(t *testing.T) {
	dir := shareArea(t)
	alice := openOld(t, "alice")
	alice.sh(2001, "touch "+dir+"/new/alices")
	was := alice.namespace()
	alice.try(func() error { // the last of it: the namespace ends
		fd, err := unix.Open("/proc/1/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Setns(fd, unix.CLONE_NEWNS)
	})
	bob := openOld(t, "bob")
	for i := 0; i < 10 && bob.namespace() != was; i++ { // Linux gives the lowest number that is free
		bob.close()
		bob = openOld(t, "bob")
	}
	again := openOld(t, "alice")
	if again.namespace() == bob.namespace() {
		t.Errorf("alice is in bob's namespace")
	}
	if got := again.sh(2001, "ls "+dir+"/new"); got != "alices" {
		t.Errorf("alice sees %q", got)
	}
}

// Where namespaces have no numbers, what a killed script has started is killed, and nobody whose namespace has got the
// number since.
func TestScriptsKillNobodyElse(t *testing.T) {
	dir := area(t)
	scripted(t, dir, "[ -e "+dir+"/quick ] || { touch "+dir+"/said; exec sleep 1002; }")
	old := newThread(t)
	old.oldKernel()
	old.useProcessor(runtime.NumCPU() - 1)
	p := newPamhost(t, "alice")
	old.do(p.start)
	eventually(t, "the script runs", func() bool { return exists(dir + "/said") })
	worker := childOf(t, p.cmd.Process.Pid)
	was, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	unix.Kill(p.cmd.Process.Pid, unix.SIGKILL)
	p.cmd.Wait()
	p.timer.Stop()
	eventually(t, "the worker ends", func() bool { return gone(worker) })
	eventually(t, "the script ends", func() bool { return exec.Command("pgrep", "-f", "sleep 1002").Run() != nil })
	others := map[int]string{}
	for range 10 { // one of them gets the number
		cmd := exec.Command("unshare", "--mount", "sleep", "1003")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		eventually(t, "it runs", func() bool {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
			return string(comm) == "sleep\n"
		})
		others[cmd.Process.Pid], _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", cmd.Process.Pid))
	}
	tree(t, dir, "file quick 0600")
	again := newPamhost(t, "alice")
	old.do(again.start)
	again.wait().opened(t)
	for pid, in := range others {
		if ns, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid)); ns != in {
			t.Errorf("process %d in %s was killed; the script was in %s", pid, in, was)
		}
		unix.Kill(pid, unix.SIGKILL)
		eventually(t, "it has ended", func() bool { return gone(pid) })
	}
	gons(t, "clean")
	nothingLeft(t)
}

// First sessions of two users at once make the directory of pins once: or one would cover the other's pin.
func TestFirstPinsAtOnce(t *testing.T) {
	shareArea(t)
	for range 5 {
		if out, err := exec.Command("nsenter", "--mount=/proc/1/ns/mnt", "umount", "-A", "-l", "/run/gons/kept").CombinedOutput(); err != nil {
			t.Logf("%s", out)
		}
		var all sync.WaitGroup
		users := []string{"alice", "bob"}
		for i, user := range users {
			s := begin(t, user, nil)
			s.oldKernel()
			s.useProcessor(i % runtime.NumCPU())
			all.Add(1)
			go func() {
				defer all.Done()
				s.open(0)
			}()
			defer s.end()
		}
		all.Wait()
		out, _ := exec.Command("nsenter", "--mount=/proc/1/ns/mnt", "grep", "-c", " /run/gons/kept ", "/proc/self/mountinfo").Output()
		if n := strings.TrimSpace(string(out)); n != "1" {
			t.Errorf("%s mounts are on kept", n)
		}
	}
}
