package attack_test

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// A23. Attack: the host is short of something, by its user's limits or by its place.
// Passes when there is a whole session or none, with an error, and nothing is left. The short form of what tests/pam and
// tests/fault try in full.
func TestA23Shortages(t *testing.T) {
	const plain = "{A}/tmp {A}/i/ user:noinit\n{A}/n {A}/i/ tmpdir:noinit"
	for _, c := range []struct {
		name    string
		command []string // that starts the host
		args    []string
		prepare string // a shell command in the host's namespace
		want    string
	}{
		{name: "16 descriptors", args: []string{"--rlimit", "NOFILE=16"}, want: "0"},
		{name: "no file may grow", args: []string{"--rlimit", "FSIZE=0"}, want: "0"},
		{name: "full", prepare: "mount -t tmpfs -o size=4k,nr_inodes=2,mode=0 full {A}/i", want: "14"},
		{name: "read-only", prepare: "mount -t tmpfs -o ro,mode=0 ro {A}/i", want: "14"},
		{name: "/run is read-only", prepare: "mount -t tmpfs -o ro ro /run", want: "14"},
		{name: "no capability", command: []string{"setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"}, want: "14"},
		{name: "no new mounts", args: []string{"--enosys", "open_tree", "--enosys", "mount_setattr", "--enosys", "move_mount"}, want: "14"},
		{name: "no openat2", args: []string{"--enosys", "openat2"}, want: "14"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := area(t, ground)
			configure(t, dir, plain)
			th := elsewhere(t)
			argv := slices.Concat(c.command, []string{sandbox.Built(t, "pamhost")}, c.args, []string{string(gons), "alice"})
			if c.prepare != "" {
				if said := th.sh(0, strings.ReplaceAll(c.prepare, "{A}", dir)); said != "" {
					t.Fatal(said)
				}
			}
			path, err := exec.LookPath(argv[0])
			if err != nil {
				t.Fatal(err)
			}
			var r map[string]string
			th.do(func() { r = report(t, &exec.Cmd{Path: path, Args: argv}) })
			t.Logf("gons: PAM code %q", r["open"])
			if r["open"] != c.want || r["hung"] != "" {
				t.Errorf("PAM code %q, expected %q\n%s", r["open"], c.want, r["output"])
			}
			if r["open"] != "0" && r["before.namespace"] != r["after.namespace"] {
				t.Error("the host is not where it was")
			}
			nothingLeft(t)
			for _, name := range names(t, dir+"/i") {
				if name != "alice" {
					t.Errorf("left over: %s", name)
				}
			}
		})
	}
}

// elsewhere is a thread in a mount namespace of its own that nothing leaves.
func elsewhere(t testing.TB) *thread {
	t.Helper()
	th := newThread(t)
	th.try(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	})
	return th
}

// A23, continued: no /proc. Passes when the session is whole or there is an error. pam_namespace fails.
// Reference: residual weakness 11.
func TestA23NoProc(t *testing.T) {
	for _, m := range both {
		dir := area(t, ground)
		configure(t, dir, "{A}/tmp {A}/i/ user:noinit\n{A}/n x tmpfs:noinit")
		open(t, gons, "alice") // makes alice's instance
		s := begin(t, m, "alice", "", elsewhere(t))
		s.try(func() error {
			if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
				return err
			}
			if exists("/proc/self") {
				return errors.New("/proc is still there")
			}
			return nil
		})
		err := s.open()
		var seen, instance unix.Stat_t
		s.try(func() error {
			unix.Stat(dir+"/tmp", &seen)
			return unix.Stat(dir+"/i/alice", &instance)
		})
		covered := seen.Ino == instance.Ino
		if t.Logf("%s: error %v, covered: %v", m, err, covered); m == gons && covered != (err == nil) {
			t.Error("half a session")
		}
	}
}

// A24. Attack: none; hosts that fork between the calls, have threads, handle or ignore signals, or are started with
// descriptors closed. tests/pam tries these and more, and looks at the host's state.
// Passes when each opens and closes, and the host has the signal handlers and threads that it had.
func TestA24Hosts(t *testing.T) {
	for _, args := range []string{"--fork-open", "--fork-close", "--fork-close --drop", "--fork-end", "--thread", "--thread --stack 64",
		"--busy 8", "--parallel 8", "--handlers", "--sigchld ignore", "--sigchld reap", "--sigchld handler", "--close-std", "--ruid 2001",
		"--rounds 20 --round-fork --busy 4"} {
		t.Run(args, func(t *testing.T) {
			dir := area(t, ground)
			configure(t, dir, "{A}/tmp {A}/i/ user:noinit\n{A}/n {A}/i/ tmpdir:noinit")
			r := pamhost(t, gons, "alice", strings.Fields(args)...)
			if r["done"] != "0" && !strings.Contains(args, "--fork-open") || r["hung"] != "" || strings.Contains(r["output"], "open=14") {
				t.Errorf("%s", r["output"])
			}
			for _, key := range []string{"signals", "mask", "threads", "files"} {
				if before, after := r["before."+key], r["after."+key]; after != "" && before != after && !strings.Contains(args, "thread") {
					t.Errorf("%s: before %q, after %q", key, before, after)
				}
			}
		})
	}
}
