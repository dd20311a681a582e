package pam_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// sharedScope is the configuration of what follows: a tmpfs at new, and a directory that is fresh for each namespace.
const sharedScope = `namespace: {scope: user}
exempt: {users: [root], action: host}
directories:
  - {path: "{A}/new", method: tmpfs}
  - {path: "{A}/fresh", method: tmpdir, instances: "{A}/i"}
`

func shareArea(t testing.TB) string {
	t.Helper()
	dir := area(t)
	tree(t, dir, "dir new 1777", "dir fresh 1777", "file new/hosts 0644", "file fresh/hosts 0644")
	configure(t, dir, sharedScope)
	return dir
}

// All sessions of a user see one tmpfs; another user's see another. What is mounted in one is in the other.
func TestScopeUser(t *testing.T) {
	dir := shareArea(t)
	first, second, bob := open(t, "alice"), open(t, "alice"), open(t, "bob")
	if a, b, c := first.namespace(), second.namespace(), bob.namespace(); a != b || a == c {
		t.Errorf("alice is in %s and %s, bob in %s", a, b, c)
	}
	first.sh(2001, "echo hello >"+dir+"/new/note; mkdir "+dir+"/fresh/d")
	if got := second.sh(2001, "cat "+dir+"/new/note; ls "+dir+"/fresh"); got != "hello\nd" {
		t.Errorf("the second session sees %q", got)
	}
	if got := bob.sh(2002, "ls -A "+dir+"/new "+dir+"/fresh"); strings.Contains(got, "note") {
		t.Errorf("bob sees %q", got)
	}
	second.sh(0, "mount -t tmpfs secret "+dir+"/fresh/d && touch "+dir+"/fresh/d/inside")
	if got := first.sh(2001, "ls "+dir+"/fresh/d"); got != "inside" {
		t.Errorf("the first session sees %q in what the second has mounted", got)
	}
	first.close()
	if got := second.sh(2001, "cat "+dir+"/new/note; ls "+dir+"/fresh"); got != "hello\nd" {
		t.Errorf("once the first session is closed, the second sees %q", got)
	}
	third := open(t, "alice")
	if a, b := second.namespace(), third.namespace(); a != b {
		t.Errorf("the third session is in %s, the second in %s", b, a)
	}
	second.close()
	if left := names(t, dir+"/i"); len(left) != 2 {
		t.Errorf("with a session of each user open, %q is in i", left)
	}
	third.close()
	if left := names(t, dir+"/i"); len(left) != 1 {
		t.Errorf("after alice's last session, %q is in i", left)
	}
	again := open(t, "alice")
	if got := again.sh(2001, "ls -A "+dir+"/new "+dir+"/fresh"); strings.Contains(got, "note") || strings.Contains(got, "d\n") {
		t.Errorf("a new session sees %q", got)
	}
	again.close()
	bob.close()
	if left := append(names(t, dir+"/i"), records(t)...); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// First sessions in the same instant are in one namespace.
func TestScopeUserAtOnce(t *testing.T) {
	dir := shareArea(t)
	const many = 100
	sessions := make([]*session, many)
	for i := range sessions {
		sessions[i] = begin(t, "alice", nil)
	}
	errs := make([]error, many)
	var all sync.WaitGroup
	for i, s := range sessions {
		all.Add(1)
		go func() {
			defer all.Done()
			s.work <- func() { errs[i] = s.tx.OpenSession(0) }
			<-s.done
		}()
	}
	all.Wait()
	in := map[string]bool{}
	for i, s := range sessions {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		s.isOpen = true
		in[s.namespace()] = true
	}
	if len(in) != 1 {
		t.Errorf("%d sessions are in %d namespaces", many, len(in))
	}
	if left := names(t, dir+"/i"); len(left) != 1 {
		t.Errorf("%q is in i", left)
	}
	for _, s := range sessions {
		all.Add(1)
		go func() {
			defer all.Done()
			s.work <- func() { s.tx.CloseSession(0) }
			<-s.done
			s.isOpen = false
		}()
	}
	all.Wait()
	if left := append(names(t, dir+"/i"), records(t)...); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// The namespace of a user is made from the host's, whichever session its first session is opened from; and an exempt user
// goes back to the host's.
func TestScopeUserFromAnotherSession(t *testing.T) {
	dir := shareArea(t)
	alice := open(t, "alice")
	alice.sh(2001, "touch "+dir+"/new/alices")
	bob := begin(t, "bob", alice.thread)
	if err := bob.open(0); err != nil {
		t.Fatal(err)
	}
	direct := open(t, "bob")
	if a, b := bob.namespace(), direct.namespace(); a != b {
		t.Errorf("bob is in %s through alice, in %s directly", a, b)
	}
	if got := bob.sh(0, "umount "+dir+"/new; ls "+dir+"/new"); got != "hosts" {
		t.Errorf("below bob's tmpfs is %q", got)
	}
	bob.close()
	direct.close()
	root := begin(t, "root", alice.thread)
	root.try(func() error { return unix.Chdir(dir + "/new") })
	if err := root.open(0); err != nil {
		t.Fatal(err)
	}
	if got, want := root.namespace(), hostsNamespace(t); got != want {
		t.Errorf("root is in %s, the host in %s", got, want)
	}
	var cwd string
	root.try(func() (err error) { cwd, err = os.Readlink("/proc/thread-self/cwd"); return err })
	if got := root.sh(0, "ls "+dir+"/new"); got != "hosts" || cwd != dir+"/new" {
		t.Errorf("root sees %q, and is in %s", got, cwd)
	}
	root.close()
	alice.close()
	if left := append(names(t, dir+"/i"), records(t)...); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func hostsNamespace(t testing.TB) string {
	t.Helper()
	ns, err := os.Readlink("/proc/1/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// linger keeps the namespace after the last session: who comes back finds what was there, until gons clean lets it go.
func TestLinger(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777", "dir fresh 1777")
	configure(t, dir, strings.Replace(sharedScope, "scope: user", "scope: user, linger: 2s", 1))
	s := openNewer(t, "alice")
	in := s.namespace()
	s.sh(2001, "touch "+dir+"/new/kept")
	s.close()
	s.end()
	s = open(t, "alice")
	if got := s.sh(2001, "ls "+dir+"/new"); got != "kept" || s.namespace() != in {
		t.Errorf("who comes back sees %q in %s, was in %s", got, s.namespace(), in)
	}
	s.close()
	s.end()
	if got := gons(t, "clean"); got != "nothing to do" {
		t.Errorf("gons clean, too early: %s", got)
	}
	if len(names(t, dir+"/i")) != 1 || len(names(t, "/run/gons/kept")) != 1 {
		t.Errorf("kept: %q, %q", names(t, dir+"/i"), names(t, "/run/gons/kept"))
	}
	eventually(t, "the namespace goes", func() bool {
		gons(t, "clean")
		return len(records(t)) == 0
	})
	if left := append(names(t, dir+"/i"), names(t, "/run/gons/kept")...); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	openNewer(t, "alice").end()
	for _, id := range records(t) {
		os.Remove("/run/gons/sessions/" + id) // by somebody who shouldn't
	}
	gons(t, "clean")
	if left := names(t, "/run/gons/kept"); len(left) != 0 {
		t.Errorf("pinned without a record: %q", left)
	}
	s = open(t, "alice")
	if got := s.sh(2001, "ls "+dir+"/new"); got != "" || s.namespace() == in {
		t.Errorf("afterwards alice sees %q", got)
	}
}

// A host in a chroot is refused, since joining would lead out of it, or gets a namespace of its own.
func TestScopeUserInAChroot(t *testing.T) {
	for _, c := range []struct{ chrooted, open string }{{"refuse", "14"}, {"session", "0"}} {
		dir := area(t)
		root := newChroot(t, dir)
		sandbox.Write(t, root+"/etc/security/gons.yaml", "version: 1\nnamespace: {scope: user, chrooted: "+c.chrooted+"}\ndirectories: [{path: /tmp, method: tmpfs}]\n", 0o644)
		configure(t, dir, "")
		mustMount(t, root, root, "", unix.MS_BIND, "")
		log := sandbox.NewLog(t)
		r := host(t, "--chroot", root, "--cwd", "/tmp")
		if r.get("open") != c.open {
			t.Errorf("chrooted: %s: open %q", c.chrooted, r["open"])
		}
		if c.open != "0" {
			r.untouched(t, "before", "after")
			log.Expect("in a chroot", "chrooted: session")
		}
	}
}

// Only through the services that are named does an exempt user go back; through others they stay in the caller's session.
func TestHostServices(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777", "file new/hosts 0644")
	configure(t, dir, "exempt: {users: [root], action: host, host_services: [su-l]}\ndirectories:\n  - {path: \"{A}/new\", method: tmpfs}\n")
	for service, want := range map[string]string{service: "", "su-l": "hosts"} {
		sandbox.Stack(t, service, "required", "")
		alice := open(t, "alice")
		p := newPamhost(t, "root", "--run-root", "echo see=$(ls "+dir+"/new)").of(service)
		alice.do(p.start)
		if r := p.wait().opened(t); r.get("see") != want {
			t.Errorf("through %s root sees %q, expected %q", service, r.get("see"), want)
		}
	}
}

// Processes that outlive the last session keep their namespace, and who comes back is in it with them.
func TestScopeUserOutlived(t *testing.T) {
	dir := shareArea(t)
	newPamhost(t, "alice", "--run", "cd "+dir+"/new; touch mine "+dir+"/fresh/mine; setsid sleep 1000 >&- 2>&- & echo $! >"+dir+"/new/pid").run().opened(t)
	if left := names(t, dir+"/i"); len(left) != 1 {
		t.Errorf("while a process is left: %q", left)
	}
	s := open(t, "alice")
	if got := s.sh(2001, "ls "+dir+"/new "+dir+"/fresh"); got != dir+"/fresh:\nmine\n\n"+dir+"/new:\nmine\npid" {
		t.Errorf("who comes back sees %q", got)
	}
	s.sh(0, "kill -9 $(cat "+dir+"/new/pid)")
	s.close()
	if left := append(names(t, dir+"/i"), records(t)...); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// Hosts that are killed leave a namespace to those that live, and in the end nothing.
func TestScopeUserKilled(t *testing.T) {
	dir := shareArea(t)
	first, _ := held(t, "alice")
	second, letGo := held(t, "alice")
	first.cmd.Process.Kill()
	first.cmd.Wait()
	gons(t, "clean") // its record goes, that of the namespace, whose maker it was, stays
	third, _ := held(t, "alice")
	if a, b := namespaceOf(t, second), namespaceOf(t, third); a != b {
		t.Errorf("after the first was killed, the third is in %s, the second in %s", b, a)
	}
	letGo()
	second.wait().opened(t)
	if left := names(t, dir+"/i"); len(left) != 1 {
		t.Errorf("with one session left: %q", left)
	}
	third.cmd.Process.Kill()
	third.cmd.Wait()
	gons(t, "clean")
	if left := append(names(t, dir+"/i"), records(t)...); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func namespaceOf(t testing.TB, p *pamhost) string {
	t.Helper()
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// A changed configuration is for the next namespace; the log says that an open one is of another.
func TestScopeUserChangedConfiguration(t *testing.T) {
	dir := shareArea(t)
	first := open(t, "alice")
	configure(t, dir, strings.Replace(sharedScope, "method: tmpfs", "method: tmpfs, options: [nosuid]", 1))
	log := sandbox.NewLog(t)
	second := open(t, "alice")
	log.Expect("<85>", "made by another configuration")
	if a, b := first.namespace(), second.namespace(); a != b {
		t.Errorf("the second session is in %s, the first in %s", b, a)
	}
	first.close()
	second.close()
	if third := open(t, "alice"); !slices.Contains(third.mount(dir+"/new").options, "nosuid") {
		t.Error("the next namespace is of the old configuration")
	}
}

// What gons boot was run in is the host's namespace, also where process 1 is in another one.
func TestHostNamespaceOfBoot(t *testing.T) {
	dir := shareArea(t)
	other := newHost(t, unix.MS_SHARED)
	t.Cleanup(func() { os.Remove("/run/gons/host") })
	other.sh(0, sandbox.Built(t, "gons")+" boot >/dev/null")
	other.sh(0, "touch "+dir+"/new/x; mount -t tmpfs elsewhere "+dir+"/new")
	holder := exec.Command("sleep", "1000") // a process in it, whose first thread is
	other.try(holder.Start)
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	s := open(t, "alice")
	if got := s.sh(0, "umount "+dir+"/new; ls -A "+dir+"/new"); got != "" {
		t.Errorf("below alice's is %q", got)
	}
	holder.Process.Kill()
}

// openNewer opens a session whose namespace has a higher number than the host's, as every one has on a real host, so that
// it can be pinned: Linux 6.18 has numbers for each processor.
func openNewer(t testing.TB, user string) *session {
	t.Helper()
	host, before := namespaceID(t, "/proc/1/ns/mnt"), records(t)
	for cpu := range runtime.NumCPU() {
		s := begin(t, user, nil)
		s.useProcessor(cpu)
		if err := s.open(0); err != nil {
			t.Fatal(err)
		}
		var id uint64
		s.do(func() { id = namespaceID(t, "/proc/thread-self/ns/mnt") })
		if id == 0 || id > host {
			return s
		}
		s.end()
		if left := records(t); !slices.Equal(left, before) { // of a namespace that couldn't be pinned there is none
			t.Errorf("left: %q, where there was %q", left, before)
		}
	}
	t.Fatal("no processor makes a namespace with a higher number than the host's")
	return nil
}

func (th *thread) useProcessor(cpu int) {
	th.t.Helper()
	th.try(func() error {
		var set unix.CPUSet
		set.Set(cpu)
		return unix.SchedSetaffinity(0, &set)
	})
}

func namespaceID(t testing.TB, path string) (id uint64) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer unix.Close(fd)
	const getID = 0x8008b705 // NS_GET_MNTNS_ID
	unix.Syscall(unix.SYS_IOCTL, uintptr(fd), getID, uintptr(unsafe.Pointer(&id)))
	return id
}

// What gons boot says from inside a session isn't the host's namespace: neither bob nor root come to alice's by it.
func TestBootInsideASession(t *testing.T) {
	dir, gons := shareArea(t), sandbox.Built(t, "gons")
	t.Cleanup(func() { os.Remove("/run/gons/host") })
	for name, copied := range map[string]string{"in the session": "", "in a copy of its namespace": "unshare --mount --propagation unchanged "} {
		alice := open(t, "alice")
		alice.sh(2001, "touch "+dir+"/new/alices")
		alice.do(func() {
			exec.Command("/bin/sh", "-c", copied+"sh -c '"+gons+" boot; sleep 1000 & echo $! >"+dir+"/pid'").Run()
		})
		bob := open(t, "bob")
		if got := bob.sh(0, "umount "+dir+"/new; ls "+dir+"/new"); got != "hosts" {
			t.Errorf("boot %s: below bob's is %q", name, got)
		}
		bob.close()
		root := begin(t, "root", alice.thread)
		if err := root.open(0); err != nil || root.namespace() != hostsNamespace(t) {
			t.Errorf("boot %s: root is in %s, %v", name, root.namespace(), err)
		}
		root.end()
		exec.Command("/bin/sh", "-c", "kill -9 $(cat "+dir+"/pid)").Run()
		alice.close()
	}
}

// The namespace that gons boot was run in has ended, where that wasn't process 1's: people can log in.
func TestBootNamespaceIsGone(t *testing.T) {
	shareArea(t)
	t.Cleanup(func() { os.Remove("/run/gons/host") })
	other := newHost(t, unix.MS_SHARED)
	other.sh(0, sandbox.Built(t, "gons")+" boot >/dev/null; unshare --mount "+sandbox.Built(t, "gons")+" boot >/dev/null")
	s := begin(t, "alice", nil)
	if err := s.open(0); err != nil {
		t.Error(err)
	}
}

// The working directory is taken along by name. A name that leads elsewhere in the host's namespace leads nobody into what
// they have no way to, as a service's own directory in /tmp, below one that is root's alone.
func TestTheWayBackIsTheUsers(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777", "dir new/private 0700", "dir new/private/tmp 1777", "file new/private/tmp/secret 0644",
		"dir new/open 0755", "dir new/open/sub 0755")
	configure(t, dir, "exempt: {services: [su-l], action: host}\ndirectories:\n  - {path: \"{A}/new\", method: tmpfs}\n")
	sandbox.Stack(t, "su-l", "required", "")
	alice := open(t, "alice")
	alice.sh(2001, "mkdir -p "+dir+"/new/private/tmp "+dir+"/new/open/sub")
	for _, c := range []struct{ user, cwd, see string }{
		{"alice", "/new/private/tmp", ""}, {"root", "/new/private/tmp", "secret"}, {"alice", "/new/open/sub", dir + "/new/open/sub"},
	} {
		p := newPamhost(t, c.user, "--cwd", dir+c.cwd, "--run", "echo see=$(pwd -P) $(ls)").of("su-l")
		alice.do(p.start)
		if r := p.wait().opened(t); c.see == "" && strings.Contains(r.get("see"), "secret") || !strings.Contains(r.get("see"), c.see) {
			t.Errorf("%s, who was in %s, sees %q", c.user, c.cwd, r.get("see"))
		}
	}
}

// The working directory stays the one of its name: of the session that makes the namespace, and of those that join it.
func TestScopeUserWorkingDirectory(t *testing.T) {
	dir := shareArea(t)
	tree(t, dir, "dir plain 0755")
	for _, which := range []string{"first", "second"} {
		p, letGo := held(t, "alice", "--cwd", dir+"/plain")
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.cmd.Process.Pid)); got != dir+"/plain" {
			t.Errorf("the %s session is in %s, %v", which, got, err)
		}
		defer letGo()
	}
}

// What is pinned is let go whatever the order: a file without a pin, a directory that isn't private yet, a second time that
// fails, a clock that was set back.
func TestLingerAgain(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777", "dir fresh 1777")
	configure(t, dir, strings.Replace(sharedScope, "scope: user", "scope: user, linger: 720h", 1))
	before := len(names(t, "/run/gons/kept")) // of other tests, whose records have gone with them
	openNewer(t, "alice").end()
	gons(t, "clean")
	setHost := func(script string) {
		t.Helper()
		if out, err := exec.Command("nsenter", "--mount=/proc/1/ns/mnt", "sh", "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", script, err, out)
		}
	}
	ids := records(t)
	if len(ids) != 1 {
		t.Fatalf("records: %q", ids)
	}
	setHost("mount --make-shared /run/gons/kept") // as of one who was killed
	s := openNewer(t, "bob")
	s.close()
	s.end()
	if got := names(t, "/run/gons/kept"); len(got) != before+2 {
		t.Errorf("kept: %q", got)
	}
	for _, id := range records(t) { // the clock was set back by a year
		file := "/run/gons/sessions/" + id
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		year := fmt.Sprint(time.Now().Year())
		sandbox.Write(t, file, strings.ReplaceAll(string(data), `"Until":"`+year[:3], `"Until":"2`+"09"), 0o600)
	}
	eventually(t, "the namespaces go", func() bool {
		gons(t, "clean")
		return len(records(t)) == 0
	})
	if got := names(t, "/run/gons/kept"); len(got) != before {
		t.Errorf("left: %q", got)
	}
}

// The last session of a user is that of systemd, which drops its privileges before it closes: the namespace is kept too.
func TestLingerWithoutPrivilege(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir new 1777", "dir fresh 1777")
	configure(t, dir, strings.Replace(sharedScope, "scope: user", "scope: user, linger: 1h", 1))
	before := len(names(t, "/run/gons/kept"))
	s := openNewer(t, "alice")
	s.sh(2001, "touch "+dir+"/new/kept")
	manager := newPamhost(t, "alice", "--fork-close", "--drop", "--hold")
	stdin, err := manager.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	manager.start()
	eventually(t, "the manager's session is open", func() bool { return len(records(t)) == 3 && len(childrenOf(t, manager.cmd.Process.Pid)) == 0 })
	s.close()
	s.end()
	stdin.Close()
	manager.wait()
	s = open(t, "alice")
	if got := s.sh(2001, "ls "+dir+"/new"); got != "kept" {
		t.Errorf("who comes back sees %q", got)
	}
	for _, id := range records(t) { // let it go now
		file := "/run/gons/sessions/" + id
		data, _ := os.ReadFile(file)
		sandbox.Write(t, file, strings.ReplaceAll(string(data), `"Linger":3600000000000`, `"Linger":1`), 0o600)
	}
	s.close()
	s.end()
	eventually(t, "the namespace goes", func() bool {
		gons(t, "clean")
		return len(records(t)) == 0
	})
	if got := names(t, "/run/gons/kept"); len(got) != before {
		t.Errorf("left: %q", got)
	}
}

// A host that stays, and opens and closes one session after the other, is noted once.
func TestScopeUserOfOneHost(t *testing.T) {
	shareArea(t)
	open(t, "alice")
	size := func() (n int64) {
		for _, id := range records(t) {
			if st, err := os.Stat("/run/gons/sessions/" + id); err == nil && strings.HasPrefix(id, "shared-") {
				n = st.Size()
			}
		}
		return n
	}
	for range 20 {
		s := open(t, "alice")
		s.close()
	}
	before := size()
	for range 20 {
		s := open(t, "alice")
		s.close()
	}
	if after := size(); after > before+50 {
		t.Errorf("the record has grown from %d to %d bytes", before, after)
	}
}

// A stack that names the module three times, hosts with threads, and hosts that open and close in copies of themselves.
func TestScopeUserStacks(t *testing.T) {
	dir := shareArea(t)
	stack, err := os.ReadFile("/etc/pam.d/" + service)
	if err != nil {
		t.Fatal(err)
	}
	line := "session required " + sandbox.Built(t, "pam_gons.so") + "\n"
	sandbox.Write(t, "/etc/pam.d/"+service, string(stack)+line+line, 0o644)
	host(t, "--run", "ls "+dir+"/new").opened(t)
	if r := host(t, "--rounds", "5"); r.get("failed") != "0" {
		t.Errorf("of rounds %v failed", r["failed"])
	}
	host(t, "--fork-close").opened(t)
	host(t, "--fork-open").opened(t)
	host(t, "--thread").opened(t)
	host(t, "--parallel", "8")
	if left := append(names(t, dir+"/i"), records(t)...); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// Root's way to the host's namespace doesn't lead through a user's file system that hangs.
func TestTheWayBackDoesntHang(t *testing.T) {
	dir := shareArea(t)
	tree(t, dir, "dir at 0755", "dir at/sub 0755")
	alice := open(t, "alice")
	root := begin(t, "root", alice.thread)
	root.try(func() error { return unix.Chdir(dir + "/at/sub") })
	defer hang(t, dir+"/at")()
	if err := root.open(0); err != nil {
		t.Fatal(err)
	}
	var cwd string
	root.try(func() (err error) { cwd, err = os.Readlink("/proc/thread-self/cwd"); return err })
	if cwd != "/" || root.namespace() != hostsNamespace(t) {
		t.Errorf("root is in %s, %s", cwd, root.namespace())
	}
}
