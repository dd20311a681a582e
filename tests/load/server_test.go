package load_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// stopServer puts a file system on a directory whose server has stopped: it takes no request any more. Unlike one that
// takes requests and never answers (tests/pam), who waits for it can be killed. The function returned ends it.
func stopServer(t testing.TB, at string) (end func()) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		unix.Unmount(at, unix.MNT_DETACH)
		unix.Close(fd)
	})
	t.Cleanup(end)
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=2001,group_id=2001,allow_other", fd)
	if err := unix.Mount("stopped", at, "fuse", 0, options); err != nil {
		t.Fatal(err)
	}
	request := make([]byte, 1<<20)
	if _, err = unix.Read(fd, request); err == nil {
		_, err = unix.Write(fd, started(request[8:16]))
	}
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// started is the answer to FUSE_INIT, the one that is needed for others to be asked for (fuse(4)).
func started(unique []byte) []byte {
	const size = 16 + 64 // of the header and of struct fuse_init_out
	out := binary.NativeEndian.AppendUint32(nil, size)
	out = binary.NativeEndian.AppendUint32(out, 0) // no error
	out = append(out, unique...)
	out = binary.NativeEndian.AppendUint32(out, 7) // the protocol's version
	out = binary.NativeEndian.AppendUint32(out, 31)
	return append(out, make([]byte, size-len(out))...)
}

// place is where a server that is stopped can be in the way of a session of alice's.
type place struct {
	name, mount string                                // of the file system
	entry       string                                // of directories
	option      string                                // of the PAM line
	fill        func(t testing.TB, mount, dir string) // what has to be in there
	everybody   bool                                  // bob's sessions need it, too
}

func mkdirs(mode uint32, uid int, path ...string) func(testing.TB, string, string) {
	return func(t testing.TB, mount, _ string) {
		t.Helper()
		for _, p := range path {
			makeDir(t, filepath.Join(mount, p), mode, uid)
		}
	}
}

func configIn(name string) func(testing.TB, string, string) {
	return func(t testing.TB, mount, dir string) {
		t.Helper()
		sandbox.Write(t, filepath.Join(mount, name), "version: 1\ndirectories: [{path: "+dir+"/tmp, method: tmpfs}]\n", 0o644)
	}
}

var places = []place{
	{name: "the directory", mount: "{A}/her/fs", entry: "path: {A}/her/fs, method: tmpfs, only: {users: [alice]}", fill: mkdirs(0o755, 2001, "")},
	{name: "on the way to it", mount: "{A}/her/fs", entry: "path: {A}/her/fs/sub, method: tmpfs, only: {users: [alice]}", fill: mkdirs(0o755, 2001, "sub")},
	{name: "a directory to be made", mount: "{A}/her/fs", entry: "path: {A}/her/fs/sub, method: tmpfs, create: {}, only: {users: [alice]}", fill: mkdirs(0o755, 2001, "")},
	{name: "the instance parent", mount: "{A}/parent", entry: "path: {A}/tmp, method: user, instances: {A}/parent, only: {users: [alice]}", fill: mkdirs(0, 0, "")},
	{name: "on the way to it", mount: "{A}/her/fs", entry: "path: {A}/tmp, method: tmpdir, instances: {A}/her/fs/inst, only: {users: [alice]}", fill: mkdirs(0, 0, "inst"), option: "ignore_instance_parent_mode"},
	{name: "the instance", mount: "{A}/inst/alice", entry: "path: {A}/tmp, method: user, instances: {A}/inst", fill: mkdirs(0o1777, 0, "")},
	{name: "the configuration", mount: "{A}/conf", option: "config={A}/conf/c.yaml", fill: configIn("c.yaml"), everybody: true},
	{name: "drop-ins", mount: "/etc/security/gons.d", entry: "path: {A}/ram, method: tmpfs", fill: configIn("c.yaml"), everybody: true},
	{name: "a script", mount: "{A}/bin", entry: "path: {A}/tmp, method: user, instances: {A}/inst, init: {A}/bin/init", everybody: true,
		fill: func(t testing.TB, mount, _ string) { script(t, mount+"/init", "exit 0") }},
	{name: "the skeleton", mount: "/etc/skel", option: "config={A}/namespace.conf", everybody: true,
		fill: func(t testing.TB, mount, dir string) {
			sandbox.Write(t, mount+"/.profile", "text", 0o644)
			sandbox.Write(t, dir+"/namespace.conf", "$HOME "+dir+"/homes/ tmpfs:mntopts=size=1M\n", 0o644)
		}},
}

// A file system that stops to answer, wherever a session needs it: that session ends with an error at its deadline, the
// host is as it was and no process is left; other users log in meanwhile, unless all need it; and once it is gone, so
// does everybody.
func TestAServerThatStops(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			dir := area(t)
			at := strings.NewReplacer("{A}", dir)
			makeDir(t, dir+"/her", 0o755, 2001)
			makeDir(t, dir+"/inst", 0, 0)
			for _, name := range []string{"tmp", "ram"} {
				makeDir(t, filepath.Join(dir, name), 0o1777, 0)
			}
			mount := at.Replace(p.mount)
			if strings.HasPrefix(mount, "/etc/") {
				aside(t, mount)
			}
			makeDir(t, mount, 0o755, 0)
			p.fill(t, mount, dir)
			var entries []string
			if p.entry != "" {
				entries = []string{p.entry}
			}
			configure(t, dir, entries, "timeout=30", p.option)
			if p.entry == "" {
				os.Remove(yamlFile)
			}
			checkStopped(t, dir, mount, p)
		})
	}
}

func checkStopped(t *testing.T, dir, mount string, p place) {
	newPamhost(t, "alice", "--brief").run().opened(t)
	sandbox.Stack(t, service+"-soon", "required", "timeout=2", strings.ReplaceAll(p.option, "{A}", dir))
	count := newCensus(t)
	end := stopServer(t, mount)
	log := sandbox.NewLog(t)
	alice := newPamhost(t, "alice").of(service + "-soon").start()
	childOf(t, alice.pid())
	bob := newPamhost(t, "bob", "--brief").of(service + "-soon").run()
	if got, want := bob.get("open"), map[bool]string{false: "0", true: "14"}[p.everybody]; got != want {
		t.Errorf("bob: PAM code %s, expected %s", got, want)
	}
	alice.wait().refused(t)
	if lines := log.Lines(); len(lines) == 0 {
		t.Error("nothing is logged")
	}
	end()
	count.check(1)
	newPamhost(t, "alice", "--brief").run().opened(t)
	count.check(1)
}
