package initscript

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/tests/testkit"
)

const alice = 2001

// fill is FillHome into an existing directory.
func fill(t testing.TB, home, skel string, h Home) error {
	t.Helper()
	root, err := safepath.OpenRoot()
	must(t, err)
	defer root.Close()
	fd, err := unix.Open(home, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	handle := linux.NewHandle(fd, home)
	defer handle.Close()
	return FillHome(handle, root, skel, h)
}

// listing describes a tree, as find(1) sees it, with the content of its files.
func listing(t testing.TB, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cd "$1" && find . -printf '%P %y %#m %U:%G %n %l\n' | sort &&
		find . -type f -exec md5sum {} + | sort -k2`, "sh", dir).CombinedOutput()
	must(t, err)
	return string(out)
}

// skeletons are trees below /etc/skel, odd ones too.
var skeletons = map[string][]string{
	"empty": nil,
	"Debian's": {
		"file .bashrc 0:0 0644", "file .profile 0:0 0644", "file .bash_logout 0:0 0644",
	},
	"modes": {
		"dir 0700 0:0 0700", "file 0700/f 0:0 0600", "dir 0777 0:0 0777", "dir 1777 0:0 1777", "dir 2775 0:0 2775",
		"file 2775/f 0:0 0664", "dir 0000 0:0 0000", "dir 0555 0:0 0555", "file 0555/f 0:0 0444", "dir 6755 0:0 6755",
		"file suid 0:0 4755", "file sgid 0:0 2755", "file locking 0:0 2644", "file sticky 0:0 1644", "file none 0:0 0000",
	},
	"owners": {"dir d 2002:2002 0755", "file d/f 2002:2003 0644", "link d/l f 2002:2002"},
	"links": {
		"link absolute /etc/shadow", "link dangling /no/where", "link up ../../../../etc/passwd", "link self self",
		"dir d", "link d/loop ..", "link to-d d",
	},
	"special": {"fifo p 0:0 0666", "fifo p2 0:0 1777", "socket s 0:0 0777"},
	"names":   {"file -rf", "file --help", "file \xff\xfe", "dir ...", "file .../\\", "file *", "dir " + strings.Repeat("n", 255)},
}

func TestFillHomeIsCpAndChown(t *testing.T) {
	for name, lines := range skeletons {
		for _, umask := range []uint32{0, 0o022, 0o027, 0o077} {
			for _, homeMode := range []uint32{0o755, 0o2750} {
				base := newBase(t, append([]string{"dir skel"}, prefixed("skel/", lines)...)...)
				for _, home := range []string{"cp", "ours"} {
					must(t, os.Mkdir(base+"/"+home, 0o700))
					must(t, unix.Chmod(base+"/"+home, homeMode))
				}
				script := fmt.Sprintf("umask %03o; cp -rT %[2]s/skel %[2]s/cp && chown -R 2001:2002 %[2]s/cp && chmod 711 %[2]s/cp", umask, base)
				out, err := exec.Command("sh", "-c", script).CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v: %s", name, err, out)
				}
				if err := fill(t, base+"/ours", base+"/skel", Home{UID: 2001, GID: 2002, Mode: 0o711, Umask: umask}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if want, got := listing(t, base+"/cp"), listing(t, base+"/ours"); got != want {
					t.Errorf("%s, umask %03o, home %04o:\n%s\nwant\n%s", name, umask, homeMode, got, want)
				}
			}
		}
	}
}

func prefixed(prefix string, lines []string) []string {
	var out []string
	for _, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		out = append(out, kind+" "+prefix+rest)
	}
	return out
}

// Hard links become files of their own, and a file of more than a block is whole.
func TestFillHomeContent(t *testing.T) {
	base := newBase(t, "dir skel", "dir home")
	big := strings.Repeat("0123456789abcdef", 100_001)
	must(t, os.WriteFile(base+"/skel/big", []byte(big), 0o644))
	must(t, os.Link(base+"/skel/big", base+"/skel/again"))
	must(t, fill(t, base+"/home", base+"/skel", Home{UID: alice, GID: alice, Mode: 0o700}))
	for _, name := range []string{"big", "again"} {
		path := base + "/home/" + name
		var st unix.Stat_t
		must(t, unix.Stat(path, &st))
		if got, err := os.ReadFile(path); err != nil || string(got) != big || st.Nlink != 1 {
			t.Errorf("%s: %d bytes, %d links, %v", name, len(got), st.Nlink, err)
		}
	}
}

func TestFillHomeWithoutSkeleton(t *testing.T) {
	base := newBase(t, "dir home")
	must(t, fill(t, base+"/home", base+"/skel", Home{UID: alice, GID: 2002, Mode: 0o750}))
	if got, want := listing(t, base+"/home"), " d 0750 2001:2002 2 \n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFillHomeRefuses(t *testing.T) {
	for _, c := range []struct{ tree, want string }{
		{"dir skel; device skel/d", "SKEL/d to HOME: it is a device"},
		{"dir skel 2001:2001 0755", "cannot trust SKEL"},
		{"dir skel 0:0 0777", "cannot trust SKEL"},
		{"file skel", "it is a regular file"},
	} {
		base := newBase(t, append(lines(c.tree), "dir home")...)
		before := descriptors(t)
		err := fill(t, base+"/home", base+"/skel", Home{UID: alice, GID: alice, Mode: 0o700})
		text := strings.NewReplacer(base+"/skel", "SKEL", base+"/home", "HOME").Replace(fmt.Sprint(err))
		if err == nil || !strings.Contains(text, c.want) {
			t.Errorf("%q: got %v, want %s", c.tree, text, c.want)
		}
		if after := descriptors(t); after != before {
			t.Errorf("%q: %d descriptors before, %d after", c.tree, before, after)
		}
	}
}

func TestFillHomeNamesWhatDoesNotFit(t *testing.T) {
	base := newBase(t, "dir skel", "dir skel/d", "dir home")
	must(t, os.WriteFile(base+"/skel/d/big", make([]byte, 1<<20), 0o644))
	must(t, unix.Mount("test", base+"/home", "tmpfs", 0, "size=64k"))
	defer unix.Unmount(base+"/home", unix.MNT_DETACH)
	err := fill(t, base+"/home", base+"/skel", Home{UID: alice, GID: alice, Mode: 0o700})
	if !linux.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), base+"/skel/d/big") {
		t.Errorf("got %v", err)
	}
}

// A home that lies in the skeleton would be copied into itself for ever.
func TestFillHomeInSkeleton(t *testing.T) {
	base := newBase(t, "dir skel", "dir skel/home")
	err := fill(t, base+"/skel/home", base+"/skel", Home{UID: alice, GID: alice, Mode: 0o700})
	if err == nil || !strings.Contains(err.Error(), "it is the directory that is copied to") {
		t.Errorf("got %v", err)
	}
}

// A user who owns a part of the skeleton can't have a file of root's copied, whatever they put there meanwhile.
func TestFillHomeWhileTheSkeletonChanges(t *testing.T) {
	base := newBase(t, "dir skel", "dir skel/d 2001:2001 0755", "file skel/d/f 2001:2001 0644", "file secret 0:0 0600")
	must(t, os.WriteFile(base+"/secret", []byte("secret"), 0o600))
	must(t, os.Symlink(base+"/secret", base+"/skel/d/l"))
	stop := testkit.Attack(t, alice, func() {
		unix.Renameat2(unix.AT_FDCWD, base+"/skel/d/f", unix.AT_FDCWD, base+"/skel/d/l", unix.RENAME_EXCHANGE)
	})
	defer stop()
	for i := range 500 {
		home := fmt.Sprintf("%s/home%d", base, i)
		must(t, os.Mkdir(home, 0o700))
		fill(t, home, base+"/skel", Home{UID: alice, GID: alice, Mode: 0o700})
		for _, name := range []string{"/d/f", "/d/l"} {
			if target, err := os.Readlink(home + name); err == nil && target == base+"/secret" {
				continue
			}
			if data, _ := os.ReadFile(home + name); strings.Contains(string(data), "secret") {
				t.Fatalf("%s%s holds the secret", home, name)
			}
		}
	}
}

// Trees may be deeper than there are descriptors, or than a path may be long.
func TestFillHomeDeepTree(t *testing.T) {
	const depth = 1000
	base := newBase(t, "dir skel", "dir home")
	makeDeep(t, base+"/skel", depth)
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 128, Max: limit.Max}))
	err := fill(t, base+"/home", base+"/skel", Home{UID: alice, GID: alice, Mode: 0o700})
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	must(t, err)
	out, err := exec.Command("sh", "-c", "cd "+base+"/home && find . -user 2001 -type d | wc -l; find . -name leaf -user 2001 | wc -l").Output()
	must(t, err)
	if got, want := strings.Fields(string(out)), fmt.Sprint([]int{depth + 1, depth}); fmt.Sprint(got) != want {
		t.Errorf("directories and leaves: %v, want %s", got, want)
	}
}

// makeDeep makes a chain of directories with a file in each.
func makeDeep(t *testing.T, dir string, depth int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	for range depth {
		must(t, unix.Mkdirat(at, "directory", 0o755))
		next, err := unix.Openat(at, "directory", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		unix.Close(at)
		at = next
		leaf, err := unix.Openat(at, "leaf", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
		must(t, err)
		unix.Close(leaf)
	}
	unix.Close(at)
}
