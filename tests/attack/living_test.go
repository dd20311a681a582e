package attack_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// A12. Attack: from the host's namespace alice, who owns the parent of her directory, or bob, who doesn't, removes or
// renames the covered directory or its parents while a session lives.
// Passes when nobody but the owner of the parent can. The owner can: the kernel takes a mount away with the directory
// below it (rmdir(2)), and a directory that is renamed takes its mount along: a limit, in SECURITY.md.
// Reference: residual weakness 2.
func TestA12CoveredDirectoryRemoved(t *testing.T) {
	for _, c := range []struct {
		name, path, command string
		uid                 int
		gone                bool
	}{
		{"root's, by alice", "tmp", "rmdir {A}/tmp; mv {A}/tmp {A}/u/; mv {A}/tmp {A}/tmp2", 2001, false},
		{"in a sticky directory, by bob", "tmp/d", "rmdir {A}/tmp/d; mv {A}/tmp/d {A}/tmp/e", 2002, false},
		{"alice's, by bob", "u/a/b/c", "rmdir {A}/u/a/b/c; mv {A}/u/a/b {A}/u/a/e; mv {A}/u {A}/v", 2002, false},
		{"alice's, by alice", "u/a/b/c", "rmdir {A}/u/a/b/c", 2001, true},
		{"alice's, its parent renamed by her", "u/a/b/c", "mv {A}/u/a {A}/u/e", 2001, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, m := range both {
				dir := area(t, ground, "dir tmp/d 2001:2001")
				configure(t, dir, "{A}/"+c.path+" {A}/i/ user:noinit")
				s := open(t, m, "alice")
				s.sh(0, "touch "+dir+"/"+c.path+"/mark")
				newThread(t).sh(c.uid, strings.ReplaceAll(c.command, "{A}", dir))
				gone := s.sh(0, "ls "+dir+"/"+c.path) != "mark"
				if t.Logf("%s: the session has lost its instance: %v", m, gone); m == gons && gone != c.gone {
					t.Errorf("expected %v", c.gone)
				}
			}
		})
	}
}

// A13. Attack: none; a process stays in the session when that is closed, or a forked copy of the host ends PAM.
// Passes when the process still sees its instance. pam_namespace takes it away where the directory lies in a user's
// tree, and shows the host's. Reference: residual weakness 3.
func TestA13AfterClosing(t *testing.T) {
	for _, path := range []string{"tmp", "u/a/b/c"} {
		for _, m := range both {
			dir := area(t, ground)
			configure(t, dir, "{A}/"+path+" {A}/i/ user:noinit")
			s := open(t, m, "alice")
			s.sh(0, "touch "+dir+"/"+path+"/mark")
			testkit.Must(t, s.close())
			closed := s.sh(0, "ls "+dir+"/"+path)
			ended := pamhost(t, m, "alice", "--fork-end", "--run", "ls "+dir+"/"+path+" | sed s/^/sees=/")["sees"]
			t.Logf("%s, %s: after the close it sees %q, after pam_end in a child %q", m, path, closed, ended)
			if m == gons && (closed != "mark" || ended != "mark") {
				t.Error("the instance is gone")
			}
		}
	}
}

// A16. Attack: alice mounts a file system of hers (fusermount(1)) over her instance, before su and before the close.
// Passes when bob gets his own on top of it with unmnt_remnt, what is hers stays with unmnt_only and the log says so, the
// outer session keeps it, and the close removes her tmpdir, in time.
func TestA16UsersMountOnTop(t *testing.T) {
	for _, options := range []string{"", "unmnt_remnt", "unmnt_only"} {
		dir := area(t, ground)
		configure(t, dir, "{A}/tmp {A}/i/ tmpdir:noinit")
		outer := open(t, gons, "alice")
		outer.try(func() error { return unix.Mount("hers", dir+"/tmp", "tmpfs", 0, "uid=2001,mode=1777") })
		outer.sh(0, "touch "+dir+"/tmp/hers")
		sandbox.Stack(t, string(gons), "required", options)
		log := sandbox.NewLog(t)
		s := begin(t, gons, "bob", "alice", outer.thread)
		if err := s.open(); err != nil {
			t.Fatal(err)
		}
		want := ""
		if options == "unmnt_only" {
			want = "hers"
		}
		if got := s.sh(0, "ls "+dir+"/tmp"); got != want {
			t.Errorf("%q: bob sees %q, expected %q", options, got, want)
		}
		if options != "" {
			log.Expect("another mount is on top")
		}
		testkit.Must(t, s.close())
		if got := outer.sh(0, "ls "+dir+"/tmp"); got != "hers" {
			t.Errorf("%q: the outer session sees %q", options, got)
		}
		testkit.Must(t, outer.close())
		nothingLeft(t, dir+"/i")
	}
}

// A17. Attack: alice runs su with unmnt_remnt or unmnt_only in its stack where she has no session, and root has mounted
// a file system on the directory.
// Passes when that stays. pam_namespace unmounts it. Reference: residual weakness 8.
func TestA17RealMount(t *testing.T) {
	for _, options := range []string{"unmnt_remnt", "unmnt_only"} {
		for _, m := range both {
			dir := area(t, ground, "dir real; tmpfs real rw; file real/real")
			configure(t, dir, "{A}/real {A}/i/ user:noinit root", options)
			s := begin(t, m, "root", "alice", nil) // root is exempt, so nothing covers it again
			err := s.open()
			got := s.sh(0, "ls "+dir+"/real")
			if t.Logf("%s, %s: error %v, the session sees %q", m, options, err, got); m == gons && (err != nil || got != "real") {
				t.Errorf("the host's file system is gone")
			}
		}
	}
}

// A14. Attack: none; / is private and the directory's file system shared, / is shared or a slave, the namespace is
// nested in another one, or belongs to a user namespace whose mounts are locked.
// Passes when the host's mount table is as before. pam_namespace shows the instance to the host in the first case.
// Reference: residual weakness 4.
func TestA14Propagation(t *testing.T) {
	for name, root := range map[string]uintptr{"private": unix.MS_PRIVATE, "shared": unix.MS_SHARED, "slave": unix.MS_SLAVE} {
		for _, m := range both {
			dir := area(t, ground)
			configure(t, dir, "{A}/tmp {A}/i/ user:noinit\n{A}/n x tmpfs:noinit")
			host := newThread(t)
			host.try(func() error {
				if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
					return err
				}
				if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
					return err
				}
				if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
					return err
				}
				if err := unix.Mount("", "/", "", unix.MS_REC|root, ""); err != nil {
					return err
				}
				return unix.Mount("", dir, "", unix.MS_SHARED, "")
			})
			before := host.mounts()
			s := begin(t, m, "alice", "", host)
			if err := s.open(); err != nil {
				t.Errorf("%s, / %s: %v", m, name, err)
			}
			same := slices.Equal(before, host.mounts())
			if t.Logf("%s, / %s: the host's mount table is as before: %v", m, name, same); m == gons && (!same || !s.covers(dir+"/tmp")) {
				t.Errorf("the host has %v", host.mounts())
			}
		}
	}
}

// A14, continued: a container without privilege.
func TestA14LockedMounts(t *testing.T) {
	dir := area(t, ground)
	configure(t, dir, "{A}/n x tmpfs:noinit")
	th := newThread(t)
	before := th.mounts()
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", sandbox.Built(t, "pamhost"), "--run", "true", string(gons), "alice")
	if r := report(t, cmd); r["open"] != "0" || r["close"] != "0" {
		t.Errorf("open %s, close %s", r["open"], r["close"])
	}
	if !slices.Equal(before, th.mounts()) {
		t.Error("the host's mount table changed")
	}
}

// A15. Attack: alice puts a set-user-id program or a device into her instance; the directory's file system forbids them.
// Passes when the instance's mount forbids what that does. pam_namespace's doesn't.
func TestA15MountFlags(t *testing.T) {
	for _, method := range []string{"user", "tmpdir", "tmpfs"} {
		for _, m := range both {
			dir := area(t, ground, "dir hard; tmpfs hard nosuid,nodev,noexec; dir hard/d 0:0 1777")
			configure(t, dir, "{A}/hard/d {A}/i/ "+method+":noinit")
			s := open(t, m, "alice")
			options := ""
			for _, mnt := range s.mounts() {
				if mnt.point == dir+"/hard/d" {
					options = mnt.options
				}
			}
			hard := strings.Contains(options, "nosuid") && strings.Contains(options, "nodev") && strings.Contains(options, "noexec")
			if t.Logf("%s, %s: %s", m, method, options); m == gons && !hard {
				t.Error("not all flags are there")
			}
		}
	}
}

// A18. Attack: none; the second line of the configuration fails.
// Passes when the host is in its old namespace, no mount is left, and no tmpdir. pam_namespace's host stays in the new
// namespace, half done. Reference: residual weakness 10.
func TestA18FailingSecondLine(t *testing.T) {
	for _, m := range both {
		dir := area(t, ground)
		configure(t, dir, "{A}/tmp {A}/i/ tmpdir:noinit\n{A}/missing {A}/i/ user:noinit")
		s := begin(t, m, "alice", "", nil)
		before, table := namespaceOf(s.thread), s.mounts()
		err := s.open()
		whole := namespaceOf(s.thread) == before && slices.Equal(table, s.mounts())
		t.Logf("%s: error %v, the host is where it was: %v, left: %q", m, err, whole, names(t, dir+"/i"))
		if m == gons {
			if err == nil || !whole {
				t.Error("the host is not where it was")
			}
			nothingLeft(t, dir+"/i")
		}
	}
}

func namespaceOf(th *thread) (ns string) {
	th.do(func() { ns, _ = os.Readlink("/proc/thread-self/ns/mnt") })
	return ns
}
