package pam_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// looks is the mode, owner and group of a file: "1777 0 0".
func looks(t testing.TB, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%04o %d %d", st.Mode&0o7777, st.Uid, st.Gid)
}

func appendTo(t testing.TB, path, line string) {
	t.Helper()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(path)
	sandbox.Write(t, path, string(old)+line+"\n", info.Mode().Perm())
	t.Cleanup(func() { sandbox.Write(t, path, string(old), info.Mode().Perm()) })
}

// addUser makes a user for one test.
func addUser(t testing.TB, name string, uid int, home string) {
	t.Helper()
	appendTo(t, "/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh", name, uid, uid, home))
	appendTo(t, "/etc/shadow", name+":*:19000:0:99999:7:::")
	appendTo(t, "/etc/group", fmt.Sprintf("%s:x:%d:", name, uid))
}

func TestMethodUserGivesEachUserADirectoryThatLasts(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "file tmp/hosts 666")
	directories(t, dir, "path: {A}/tmp, method: user, instances: {A}/inst")
	alice, bob := open(t, "alice"), open(t, "bob")
	alice.sh(sandbox.Alice.UID, "umask 0; echo hers >"+dir+"/tmp/file")
	if got := bob.sh(sandbox.Bob.UID, "ls -A "+dir+"/tmp"); got != "" {
		t.Errorf("bob sees %q", got)
	}
	if got := names(t, dir+"/tmp"); !slices.Equal(got, []string{"hosts"}) {
		t.Errorf("the host sees %q", got)
	}
	alice.close()
	if got := open(t, "alice").sh(sandbox.Alice.UID, "ls -A "+dir+"/tmp"); got != "file" {
		t.Errorf("the next session sees %q", got)
	}
	if got := looks(t, dir+"/inst"); got != "0000 0 0" {
		t.Errorf("the instance parent is %s", got)
	}
}

func TestInstancesLookLikeWhatTheyCover(t *testing.T) {
	for _, method := range []string{"user", "tmpdir"} {
		for _, c := range []struct{ made, want string }{
			{"dir tmp 1777", "1777 0 0"}, {"dir tmp 2770 2001", "2770 2001 2001"}, {"dir tmp 0700 2001", "0700 2001 2001"},
			{"dir tmp 6755", "6755 0 0"}, {"dir tmp 0755 2002", "0755 2002 2002"},
		} {
			t.Run(method+" over "+c.want, func(t *testing.T) {
				dir := area(t)
				tree(t, dir, c.made)
				directories(t, dir, "path: {A}/tmp, method: "+method+", instances: {A}/inst")
				s := open(t, "alice")
				if got := looks(t, dir+"/inst/"+names(t, dir+"/inst")[0]); got != c.want {
					t.Errorf("made %s, expected %s", got, c.want)
				}
				s.close()
			})
		}
	}
}

func sum(text string) string {
	s := md5.Sum([]byte(text))
	return hex.EncodeToString(s[:])
}

// As pam_namespace makes them, to the byte, so that existing instances are found (namespace.conf(5), gen_hash).
func TestInstanceNamesAreThoseOfPamNamespace(t *testing.T) {
	long := strings.Repeat("longname-", 9) // 81 bytes
	limit := long[:80]
	for i, c := range []struct{ user, entry, option, want string }{
		{"alice", "instances: {A}/inst", "", "inst/alice"},
		{"alice", "instances: {A}/inst, prefix: pre.", "", "inst/pre.alice"},
		{"alice", "instances: {A}/inst-$USER", "", "inst-alice/alice"},
		{"alice", "instances: {A}/inst", "gen_hash", "inst/6384e2b2184bcbf58eccf10ca7a6563c"},
		{limit, "instances: {A}/inst", "", "inst/" + limit},
		{long, "instances: {A}/inst", "", "inst/" + long[:47] + "_" + sum(long)},
		{long, "instances: {A}/inst", "gen_hash", "inst/" + sum(long)},
		{"Größe-ü", "instances: {A}/inst", "", "inst/Größe-ü"},
		{"a-b.c_d$", "instances: {A}/inst, prefix: '-'", "", "inst/-a-b.c_d$"},
	} {
		t.Run(fmt.Sprint(i, " ", c.want), func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777")
			if c.user != "alice" {
				addUser(t, c.user, 2050, "/home/alice")
			}
			configure(t, dir, "directories: [{path: '{A}/tmp', method: user, "+c.entry+"}]", c.option)
			s := open(t, c.user)
			if got := looks(t, dir+"/"+c.want); got != "1777 0 0" {
				t.Errorf("%s is %s", c.want, got)
			}
			if got := s.covered(dir + "/tmp").root; got != dir+"/"+c.want {
				t.Errorf("%s is what covers it", got)
			}
		})
	}
}

// The same through namespace.conf, with what only that can say.
func TestNamespaceConf(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "dir ram 1777", "dir not 1777", "dir private 1777")
	conf := "# a comment\n" +
		"{A}/tmp {A}/inst/pre. user root,adm\n" +
		"{A}/ram tmpfs tmpfs:mntopts=size=4M,nr_inodes=64,mode=0750,nosuid,noexec\n" +
		"{A}/not {A}/inst/ user alice,bob\n" +
		"{A}/private {A}/inst-tmp/x. tmpdir:create=0700 ~alice\n"
	sandbox.Write(t, dir+"/namespace.conf", strings.ReplaceAll(conf, "{A}", dir), 0o644)
	sandbox.Stack(t, service, "required", "config="+dir+"/namespace.conf")
	s := open(t, "alice")
	if got := s.covered(dir + "/tmp").root; got != dir+"/inst/pre.alice" {
		t.Errorf("tmp is covered by %s", got)
	}
	ram := s.covered(dir + "/ram")
	for _, want := range []string{"size=4096k", "nr_inodes=64", "mode=750"} {
		if !slices.Contains(ram.super, want) {
			t.Errorf("tmpfs has %q, not %s", ram.super, want)
		}
	}
	if !slices.Contains(ram.options, "nosuid") || !slices.Contains(ram.options, "noexec") || slices.Contains(ram.options, "nodev") {
		t.Errorf("tmpfs is mounted %q", ram.options)
	}
	if s.mount(dir+"/not") != nil {
		t.Error("a listed user is polyinstantiated")
	}
	if got := s.covered(dir + "/private").root; !strings.HasPrefix(got, dir+"/inst-tmp/x.") {
		t.Errorf("private is covered by %s", got)
	}
	s.close()
}

func TestMethodTmpfs(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777", "dir plain 0700 2001")
	directories(t, dir,
		"path: {A}/tmp, method: tmpfs, tmpfs: {size: 16M, inodes: 100, mode: '2770'}, options: [nosuid, nodev, noexec, uid=2001]",
		"path: {A}/plain, method: tmpfs")
	s := open(t, "alice")
	m := s.covered(dir + "/tmp")
	for _, want := range []string{"size=16384k", "nr_inodes=100", "mode=2770", "uid=2001"} {
		if !slices.Contains(m.super, want) {
			t.Errorf("it has %q, not %s", m.super, want)
		}
	}
	for _, want := range []string{"nosuid", "nodev", "noexec"} {
		if !slices.Contains(m.options, want) {
			t.Errorf("it is mounted %q, without %s", m.options, want)
		}
	}
	var fs unix.Statfs_t
	s.try(func() error { return unix.Statfs(dir+"/tmp", &fs) })
	if fs.Type != unix.TMPFS_MAGIC || fs.Blocks*uint64(fs.Bsize) != 16<<20 || fs.Files != 100 {
		t.Errorf("statfs: %+v", fs)
	}
	if got := s.sh(sandbox.Alice.UID, "stat -c '%a %u %g' "+dir+"/tmp "+dir+"/plain"); got != "2770 2001 0\n1777 0 0" {
		t.Errorf("the file systems' roots are %q", got)
	}
	if m := s.covered(dir + "/plain"); slices.Contains(m.options, "nosuid") {
		t.Errorf("plain is mounted %q", m.options)
	}
}

func TestMethodTmpdirIsFreshForEachSession(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir tmp 1777")
	directories(t, dir, "path: {A}/tmp, method: tmpdir, instances: {A}/inst, prefix: t-")
	a, b := open(t, "alice"), open(t, "alice")
	a.sh(sandbox.Alice.UID, "echo x >"+dir+"/tmp/file")
	if got := b.sh(sandbox.Alice.UID, "ls -A "+dir+"/tmp"); got != "" {
		t.Errorf("the second session sees %q", got)
	}
	if got := names(t, dir+"/inst"); len(got) != 2 || !strings.HasPrefix(got[0], "t-") || len(got[0]) != len("t-XXXXXX") {
		t.Errorf("instances: %q", got)
	}
	if got := records(t); len(got) != 2 {
		t.Errorf("records while both are open: %q", got)
	}
	a.close()
	b.close()
	if got := append(names(t, dir+"/inst"), records(t)...); len(got) != 0 {
		t.Errorf("left after close: %q", got)
	}
}

func TestOnlyAndExceptListsOfUsersAndGroups(t *testing.T) {
	for _, c := range []struct {
		lists      string
		alice, bob bool
	}{
		{"", true, true},
		{"only: {users: [alice]}", true, false},
		{"only: {groups: [team]}", true, false},
		{"only: {groups: [team], users: [bob]}", true, true},
		{"only: {groups: [bob]}", false, true}, // a primary group
		{"except: {users: [alice]}", false, true},
		{"except: {groups: [team]}", false, true},
		{"only: {groups: [team]}, except: {users: [alice]}", false, false},
		{"only: {services: [gons-test]}, except: {users: [bob]}", true, false},
		{"only: {services: [sshd]}", false, false},
		{"except: {services: [gons-test]}", false, false},
		{"only: {users: [nosuch]}", false, false},
		{"except: {users: [nosuch], groups: [nosuch]}", true, true},
	} {
		t.Run(c.lists, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777")
			directories(t, dir, strings.TrimSuffix("path: {A}/tmp, method: tmpfs, "+c.lists, ", "))
			for user, want := range map[string]bool{"alice": c.alice, "bob": c.bob} {
				if got := open(t, user).mount(dir+"/tmp") != nil; got != want {
					t.Errorf("%s: covered %v, expected %v", user, got, want)
				}
			}
		})
	}
}

// Who is exempt, and who nothing applies to, stays where the caller is; always: true opens a namespace all the same.
func TestNoNamespaceWhereNoDirectoryApplies(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		own        bool
	}{
		{"default", "directories: []", false},
		{"nothing at all", "", false},
		{"other users'", "directories: [{path: /tmp, method: tmpfs, only: {users: [bob]}}]", false},
		{"always", "namespace: {always: true}", true},
		{"always, other users'", "namespace: {always: true}\ndirectories: [{path: /tmp, method: tmpfs, only: {users: [bob]}}]", true},
		{"exempt user", "exempt: {users: [alice]}\ndirectories: [{path: /tmp, method: tmpfs}]", false},
		{"exempt group", "exempt: {groups: [team]}\nnamespace: {always: true}\ndirectories: [{path: /tmp, method: tmpfs}]", false},
		{"exempt service", "exempt: {services: [gons-test]}\ndirectories: [{path: /tmp, method: tmpfs}]", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			configure(t, "", c.yaml)
			r := host(t).opened(t)
			if got := r.get("before.namespace") != r.get("after.namespace"); got != c.own {
				t.Errorf("a namespace of its own: %v, expected %v", got, c.own)
			}
			if got := records(t); len(got) > 0 {
				t.Errorf("records are left: %q", got)
			}
		})
	}
}

func TestHomeAndUserInPaths(t *testing.T) {
	dir := area(t)
	tree(t, dir, "dir alice 0755")
	tree(t, sandbox.Alice.Home, "dir cache 0700 2001")
	t.Cleanup(func() { os.RemoveAll(sandbox.Alice.Home + "/cache") })
	directories(t, dir,
		"path: $HOME/cache, method: user, instances: {A}/cache",
		"path: {A}/$USER, method: tmpfs")
	s := open(t, "alice")
	if got := s.covered(sandbox.Alice.Home + "/cache").root; got != dir+"/cache/alice" {
		t.Errorf("$HOME/cache is covered by %s", got)
	}
	s.covered(dir + "/alice")
	if got := looks(t, dir+"/cache/alice"); got != "0700 2001 2001" {
		t.Errorf("the instance is %s", got)
	}
}

func TestCreateMakesAMissingDirectory(t *testing.T) {
	for _, c := range []struct{ create, want string }{
		{"{}", "0750 2001 2001"}, // 0777 less the host's umask, the session's user and group
		{"{mode: '1777'}", "1777 2001 2001"},
		{"{mode: '0711', owner: root}", "0711 0 0"},
		{"{owner: bob}", "0750 2002 2002"},
		{"{owner: root, group: team, mode: '2775'}", "2775 0 2100"},
		{"{group: team}", "0750 2001 2100"},
	} {
		t.Run(c.create, func(t *testing.T) {
			dir := area(t)
			directories(t, dir, "path: {A}/made, method: user, instances: {A}/inst, create: "+c.create)
			s := begin(t, "alice", nil)
			s.do(func() { syscall.Umask(0o027) })
			if err := s.open(0); err != nil {
				t.Fatal(err)
			}
			if got := looks(t, dir+"/made"); got != c.want {
				t.Errorf("made %s, expected %s", got, c.want)
			}
			if got := looks(t, dir+"/inst/alice"); got != c.want {
				t.Errorf("its instance is %s, expected %s", got, c.want)
			}
			s.close()
		})
	}
}

// What the administrator forbade on the covered file system stays forbidden.
func TestCoveredFileSystemsFlagsAreCarriedOver(t *testing.T) {
	for _, method := range []string{"user, instances: {A}/inst", "tmpdir, instances: {A}/inst", "tmpfs"} {
		t.Run(method, func(t *testing.T) {
			dir := area(t)
			tree(t, dir, "dir tmp 1777", "dir half 1777", "dir half/sub 1777", "dir free 1777")
			mustMount(t, "x", dir+"/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777")
			mustMount(t, "x", dir+"/half", "tmpfs", unix.MS_NODEV, "mode=0755")
			tree(t, dir, "dir half/sub 1777")
			directories(t, dir, "path: {A}/tmp, method: "+method, "path: {A}/half/sub, method: "+method+", options: [noexec]",
				"path: {A}/free, method: "+method)
			s := open(t, "alice")
			for path, want := range map[string]string{"/tmp": "nosuid,nodev,noexec", "/half/sub": "nodev,noexec", "/free": ""} {
				var got []string
				for _, o := range s.covered(dir + path).options {
					if o == "nosuid" || o == "nodev" || o == "noexec" {
						got = append(got, o)
					}
				}
				if strings.Join(got, ",") != want {
					t.Errorf("%s is mounted %q, expected %q", path, got, want)
				}
			}
			s.close()
		})
	}
}

func TestAnUnknownUserIsUnknown(t *testing.T) {
	oneOfEach(t)
	log := sandbox.NewLog(t)
	r := newPamhost(t, "nosuch").run()
	if r.get("open") != "10" {
		t.Errorf("PAM code %s, expected PAM_USER_UNKNOWN", r.get("open"))
	}
	r.untouched(t, "before", "after")
	log.Expect("there is no user")
}
