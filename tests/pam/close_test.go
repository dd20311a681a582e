package pam_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// fresh covers {A}/tmp with a tmpdir, instances in {A}/inst.
func fresh(t testing.TB) string {
	t.Helper()
	dir := area(t)
	tree(t, dir, "dir tmp 1777")
	directories(t, dir, "path: {A}/tmp, method: tmpdir, instances: {A}/inst")
	return dir
}

// nothingLeft fails the test unless a session's record is gone, and its instance from the directories.
func nothingLeft(t testing.TB, instances ...string) {
	t.Helper()
	left := records(t)
	for _, dir := range instances {
		left = append(left, names(t, dir)...)
	}
	if len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func TestCloseRemovesTheTmpdir(t *testing.T) {
	for _, args := range [][]string{nil, {"--fork-close"}, {"--fork-open"}, {"--fork-end"}, {"--thread"}, {"--sigchld", "ignore"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			dir := fresh(t)
			r := host(t, append(args, "--run", "echo x >"+dir+"/tmp/file; ls /run/gons 2>&1 | sed s/^/spy=/")...).opened(t)
			if r.get("run") != "0" || strings.Contains(r.get("spy"), "sessions") {
				t.Errorf("run: %s; the user sees in /run/gons: %s", r.get("run"), r.get("spy"))
			}
			nothingLeft(t, dir+"/inst")
		})
	}
}

// Where close has no privilege, or never comes, the next open removes what the session left.
func TestTheNextOpenRemovesWhatAnUnprivilegedCloseLeaves(t *testing.T) {
	for _, args := range [][]string{{"--fork-close", "--drop"}, {"--no-close"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			dir := fresh(t)
			host(t, append(args, "--run", "echo x >"+dir+"/tmp/file")...).opened(t)
			if len(names(t, dir+"/inst")) != 1 || len(records(t)) != 1 {
				t.Errorf("expected the tmpdir and the record to stay: %q %q", names(t, dir+"/inst"), records(t))
			}
			host(t).opened(t)
			nothingLeft(t, dir+"/inst")
		})
	}
}

// A process that the user left in the session keeps it alive, and its files: until it ends, waited for or not.
func TestASessionLivesAsLongAsAProcessInIt(t *testing.T) {
	for _, waited := range []bool{true, false} {
		t.Run(fmt.Sprintf("waited for: %v", waited), func(t *testing.T) {
			dir := fresh(t)
			host(t, "--fork-close", "--drop", "--run", "(cd "+dir+"/tmp && setsid sh -c 'echo $$ >pid; exec sleep 60' >/dev/null 2>&1 &) ; "+
				"while [ ! -s "+dir+"/tmp/pid ]; do sleep 0.01; done").opened(t)
			host(t).opened(t)
			found, _ := filepath.Glob(dir + "/inst/*/pid")
			if len(found) != 1 {
				t.Fatalf("the session's file is gone: %q", found)
			}
			data, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			pid := number(t, strings.TrimSpace(string(data)))
			syscall.Kill(pid, syscall.SIGKILL)
			eventually(t, "the process ends", func() bool { return gone(pid) })
			if waited { // orphans are this process's to wait for
				syscall.Wait4(pid, nil, 0, nil)
			}
			host(t).opened(t)
			nothingLeft(t, dir+"/inst")
		})
	}
}

// Other directories of the session are not touched by a copy of the host that ends PAM.
func TestPamEndInAForkedChildLeavesTheSessionAlone(t *testing.T) {
	dir := fresh(t)
	r := host(t, "--fork-end", "--run", "touch "+dir+"/tmp/x; ls "+dir+"/tmp | sed s/^/sees=/").opened(t)
	if r.get("sees") != "x" {
		t.Errorf("the session sees %q", r.get("sees"))
	}
	nothingLeft(t, dir+"/inst")
}

// What distributions ship: /var/tmp over /var/tmp/tmp-inst. From inside the session the instance parent is hidden.
func TestAnInstanceParentBelowTheCoveredDirectory(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir var 1777", "dir other 1777")
	conf := "{A}/var {A}/var/tmp-inst/ tmpdir\n{A}/other {A}/other/tmp-inst/ user\n"
	sandbox.Write(t, dir+"/namespace.conf", strings.ReplaceAll(conf, "{A}", dir), 0o644)
	sandbox.Stack(t, service, "required", "config="+dir+"/namespace.conf")
	s := open(t, "alice")
	s.sh(2001, "echo x >"+dir+"/var/file; echo y >"+dir+"/other/file")
	s.close()
	nothingLeft(t, dir+"/var/tmp-inst")
	if s.mount(dir+"/other") == nil || s.mount(dir+"/var") == nil {
		t.Error("closing uncovered directories of a session that may still have processes")
	}
	host(t, "--fork-close", "--run", "echo x >"+dir+"/var/file").opened(t)
	nothingLeft(t, dir+"/var/tmp-inst")
	if got := names(t, dir+"/other/tmp-inst"); len(got) != 1 || got[0] != "alice" {
		t.Errorf("alice's lasting instance: %q", got)
	}
}

// Mounts in the tmpdir, and links that lead out of it, are not followed: nothing outside is lost.
func TestCloseStaysInTheTmpdir(t *testing.T) {
	dir := fresh(t)
	tree(t, dir, "dir precious 0777", "file precious/file 0666", "dir precious/sub 0777", "file precious/sub/file 0666")
	before := sandbox.Tree(t, dir+"/precious")
	s := open(t, "alice")
	s.sh(2001, strings.ReplaceAll("cd {A}/tmp && ln -s {A}/precious link && ln -s {A}/precious/file lf && ln {A}/precious/file hard || :; "+
		"mkdir -p bound ram a/b && ln -s .. a/b/up && mkfifo fifo && ln -s / root", "{A}", dir))
	s.try(func() error { return unix.Mount(dir+"/precious", dir+"/tmp/bound", "", unix.MS_BIND, "") })
	s.try(func() error { return unix.Mount("x", dir+"/tmp/ram", "tmpfs", 0, "") })
	s.sh(0, "echo x >"+dir+"/tmp/ram/file")
	s.close()
	if after := sandbox.Tree(t, dir+"/precious"); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before %q, after %q", before, after)
	}
	nothingLeft(t, dir+"/inst")
}

// The same where the mount is the host's, in the instance itself.
func TestCloseDoesNotCrossAMountOfTheHost(t *testing.T) {
	dir := fresh(t)
	tree(t, dir, "dir precious 0755", "file precious/file 0644")
	s := open(t, "alice")
	instance := dir + "/inst/" + names(t, dir+"/inst")[0]
	tree(t, instance, "dir bound 0755")
	mustMount(t, dir+"/precious", instance+"/bound", "", unix.MS_BIND, "")
	s.close()
	if got := names(t, dir+"/precious"); len(got) != 1 {
		t.Errorf("what was mounted there holds %q", got)
	}
}

// deep makes a chain of directories.
func deep(dir string, levels int) error {
	fd, err := unix.Open(dir, unix.O_PATH, 0)
	for i := 0; i < levels && err == nil; i++ {
		if err = unix.Mkdirat(fd, "d", 0o755); err != nil {
			break
		}
		var next int
		next, err = unix.Openat(fd, "d", unix.O_PATH|unix.O_DIRECTORY, 0)
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
	return err
}

// many makes files whose names begin as prefix does.
func many(prefix string, files int) error {
	for i := range files {
		fd, err := unix.Open(fmt.Sprintf("%s%d", prefix, i), unix.O_CREAT|unix.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return nil
}

func TestCloseRemovesLargeTrees(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(instance string) error
	}{
		{"2000 levels", func(dir string) error { return deep(dir, 2000) }},
		{"20000 files", func(dir string) error { return many(dir+"/", 20000) }},
		{"two deep chains", func(dir string) error {
			os.Mkdir(dir+"/a", 0o755)
			if err := deep(dir+"/a", 300); err != nil {
				return err
			}
			return deep(dir, 300)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := fresh(t)
			s := open(t, "alice")
			s.try(func() error { return c.make(dir + "/tmp") })
			s.close()
			nothingLeft(t, dir+"/inst")
		})
	}
}

// An open removes what others left only as long as that doesn't keep the user waiting.
func TestTheNextOpenIsNotHeldUpByALargeTree(t *testing.T) {
	dir := fresh(t)
	host(t, "--no-close").opened(t)
	if err := many(dir+"/inst/"+names(t, dir+"/inst")[0]+"/", 20000); err != nil {
		t.Fatal(err)
	}
	if ns := number(t, host(t, "--measure").opened(t).get("start_open_ns")); ns > 2e9 {
		t.Errorf("it took %d ms", ns/1e6)
	}
	eventually(t, "later opens go on with it", func() bool {
		host(t).opened(t)
		return len(names(t, dir+"/inst")) == 0
	})
}

// What a worker uses is charged to the host's control group, and must not grow with what a user leaves to be removed.
func TestRemovingAHugeTreeTakesLittleMemory(t *testing.T) {
	dir := fresh(t)
	tree(t, dir, "dir inst 0000")
	mustMount(t, "x", dir+"/inst", "tmpfs", 0, "mode=0000") // quicker than the sandbox's overlay
	p, letGo := held(t, "alice")
	if err := many(dir+"/inst/"+names(t, dir+"/inst")[0]+"/"+strings.Repeat("x", 40), 100000); err != nil {
		t.Fatal(err)
	}
	letGo()
	r := p.wait().opened(t)
	if kb := number(t, r.get("closed.children_kb")); kb > 64<<10 {
		t.Errorf("a worker used %d kB", kb)
	}
	nothingLeft(t, dir+"/inst")
}

func TestSessionRecords(t *testing.T) {
	dir := fresh(t)
	s := open(t, "alice")
	ids := records(t)
	if len(ids) != 1 {
		t.Fatalf("records while open: %q", ids)
	}
	path := "/run/gons/sessions/" + ids[0]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"User":"alice"`, `"Service":"gons-test"`, dir + "/tmp", dir + "/inst"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the record has no %s: %s", want, data)
		}
	}
	for file, want := range map[string]string{"/run/gons": "0700 0 0", "/run/gons/sessions": "0700 0 0", "/run/gons/lock": "0600 0 0", path: "0600 0 0"} {
		if got := looks(t, file); got != want {
			t.Errorf("%s is %s, expected %s", file, got, want)
		}
	}
	if out, err := exec.Command("setpriv", "--reuid=2001", "--clear-groups", "ls", "/run/gons").CombinedOutput(); err == nil {
		t.Errorf("alice sees %s", out)
	}
	s.close()
	nothingLeft(t, dir+"/inst")
}
