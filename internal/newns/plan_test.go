package newns

import (
	"strings"
	"testing"

	"gons/internal/linux"
)

// facts are those of root in /home, or of user 1000.
func facts(root bool) Facts {
	f := Facts{Privileged: root, Cwd: "/home", Environ: []string{"PATH=/bin", "SHELL=/bin/zsh"}}
	if !root {
		f.UID, f.GID, f.As = 1000, 1000, Identity{UID: 1000, GID: 1000}
	}
	return f
}

func TestPlan(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"nothing", "", `
make namespaces: mount
make / and every mount below it slave
run /bin/zsh`},
		{"sources before covers", "--tmpfs /srv --bind /srv/a:/mnt ls", `
make namespaces: mount
make / and every mount below it slave
prepare a tmpfs (nosuid,nodev,source=tmpfs), to mount a tmpfs on /srv
prepare what is at /srv/a, to bind /srv/a on /mnt
cover /srv with what was prepared for it
cover /mnt with what was prepared for it
return to /home
run ls`},
		{"a slave in a private tree is copied while it is one", "--propagation private --slave /mnt ls", `
make namespaces: mount
make / and every mount below it slave
prepare what is at /mnt and mounted below it, to bind /mnt on itself
make / and every mount below it private
cover /mnt with what was prepared for it, and make that slave
return to /home
run ls`},
		{"a mount isn't bound on itself", "--private /mounted ls", `
make namespaces: mount
make / and every mount below it slave
make /mounted and every mount below it private
return to /home
run ls`},
		{"nor what was covered before", "--tmpfs /mnt --shared /mnt/ ls", `
make namespaces: mount
make / and every mount below it slave
prepare a tmpfs (nosuid,nodev,source=tmpfs), to mount a tmpfs on /mnt
cover /mnt with what was prepared for it
make /mnt/ and every mount below it shared
return to /home
run ls`},
		{"unchanged", "--propagation unchanged ls", `
make namespaces: mount
run ls`},
		{"the host's /proc isn't covered", "--propagation unchanged --pid ls", `
fork, since a pid namespace is entered by a new process
make namespaces: mount, pid
start a process 1 that reaps orphans
prepare a proc (nosuid,nodev,noexec), to mount proc on /proc
make /proc and every mount below it private
cover /proc with what was prepared for it
run ls`},
		{"the root comes first", "--root /r --bind /a:/b --pid ls", `
fork, since a pid namespace is entered by a new process
make namespaces: mount, pid
start a process 1 that reaps orphans
make / and every mount below it slave
prepare what is at /r and mounted below it, to make /r the root directory
prepare a proc (nosuid,nodev,noexec), to mount proc on /proc
prepare what is at /a, to bind /a on /b
cover /r with what was prepared for it
make /r the root directory and forget the old one
cover /proc with what was prepared for it
cover /b with what was prepared for it
run ls`},
		{"cleanup", "--cleanup --new-session --hostname h --net ls", `
fork, since a pid namespace is entered by a new process
make namespaces: mount, pid, uts, net
start a process 1 that reaps orphans
let the job end with gons
make / and every mount below it slave
prepare a proc (nosuid,nodev,noexec), to mount proc on /proc
cover /proc with what was prepared for it
set the host name to h
bring the loopback interface up
make a session without a terminal
run ls`},
	} {
		f := facts(true)
		f.Mounts = map[string]bool{"/mounted": true, "/proc": true}
		check(t, c.name, c.line, f, c.want)
	}
	check(t, "without root", "--hide /dir --hide /file ls", withDirectory(facts(false)), `
fork, since a process with threads can't make a user namespace for itself
make a user namespace in which user 1000 is 1000 and group 1000 is 1000
make namespaces: mount
make / and every mount below it slave
prepare a tmpfs (ro,nosuid,nodev,noexec,mode=0555,size=4k,nr_inodes=1), to hide /dir
prepare what is at /dev/null, to hide /file
cover /dir with what was prepared for it
cover /file with what was prepared for it
return to /home
run ls`)
}

func withDirectory(f Facts) Facts {
	f.Directories = map[string]bool{"/dir": true}
	return f
}

func check(t *testing.T, name, line string, f Facts, want string) {
	t.Helper()
	o, err := Parse(strings.Fields(line))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p, err := Build(o, f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if got := strings.TrimSpace(p.String()); got != strings.TrimSpace(want) {
		t.Errorf("%s: %s\ngot\n%s\nwant%s", name, line, got, want)
	}
}

func TestRefused(t *testing.T) {
	lacking := facts(true)
	lacking.Lacking = []string{"time"}
	stranger := facts(false)
	stranger.As = Identity{UID: 0, GID: 1000}
	for _, c := range []struct {
		line string
		f    Facts
		want string
	}{
		{"--time", lacking, "the kernel has no namespaces of the kind time"},
		{"--proc", facts(false), "add --pid"},
		{"--persist x", facts(false), "run it as root"},
		{"--config", facts(false), "run it as root"},
		{"--config --user", facts(true), "run it as root"},
		{"--uid root", stranger, "user 0 isn't mapped"},
		{"--root /r --propagation unchanged", facts(true), "--propagation private or slave"},
		{"--cleanup --propagation shared", facts(true), "--propagation private or slave"},
		{"--cleanup --propagation unchanged", facts(true), "--propagation private or slave"},
	} {
		o, err := Parse(strings.Fields(c.line))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Build(o, c.f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.line, err, c.want)
		}
	}
}

// A user namespace's mounts go nowhere, whatever it is asked for.
func TestWhatCantEscapeIsntRefused(t *testing.T) {
	for _, line := range []string{"--cleanup --propagation shared", "--root /r --propagation unchanged"} {
		o, err := Parse(strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Build(o, facts(false)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestSearch(t *testing.T) {
	for _, c := range []struct{ name, path, want string }{
		{"ls", "PATH=/bin::/usr/bin", "/bin/ls ./ls /usr/bin/ls"},
		{"./ls", "PATH=/bin", "./ls"},
		{"ls", "", "/usr/local/sbin/ls /usr/local/bin/ls /usr/sbin/ls /usr/bin/ls /sbin/ls /bin/ls"},
	} {
		if got := strings.Join(search(c.name, []string{c.path}), " "); got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.name, c.path, got, c.want)
		}
	}
}

func TestFindRange(t *testing.T) {
	const file = "bob:100000:65536\n# comment\nalice:x:1\n1000:300000:10\nalice:400000:10\nzero:1:0\n"
	for _, c := range []struct {
		names        []string
		start, count uint32
		ok           bool
	}{
		{[]string{"bob"}, 100000, 65536, true},
		{[]string{"alice"}, 400000, 10, true},
		{[]string{"1000", "alice"}, 300000, 10, true},
		{[]string{"zero"}, 0, 0, false},
		{[]string{"nobody"}, 0, 0, false},
	} {
		start, count, ok := findRange(file, c.names)
		if start != c.start || count != c.count || ok != c.ok {
			t.Errorf("%v: %d %d %v", c.names, start, count, ok)
		}
	}
}

// Every step has calls: compile panics where one has none.
func TestEveryStepCompiles(t *testing.T) {
	o, err := Parse(strings.Fields("--map-auto --pid --boottime 5 --hostname x --net --new-session --uid 1 --keep-caps --chdir / --root /r " +
		"--bind a:b --ro-bind-try a:b --hide c --overlay a:b:c:d --devpts --shared e --tmpfs f:size=1,ro ls"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Build(o, facts(true))
	if err != nil {
		t.Fatal(err)
	}
	text := programs(p)
	for _, want := range []string{"pivot_root: make /r the root", "sethostname: set the host name to x", "capset: keep the capabilities",
		"openat: set the clocks ahead", "mount_setattr: bind a on b", "setsid: make a session"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func programs(p *Plan) string {
	program := &linux.Program{}
	compile(program, p.Stage)
	compile(program, p.Setup)
	return program.String()
}
