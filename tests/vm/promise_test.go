package vm

// This file is about what gons promises for a login, of whatever kind.

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// covered are the directories that gonsYAML makes private, and the parents of
// their instances.
var covered = []struct{ path, instances string }{
	{"/tmp", "/tmp-inst"},
	{"/var/tmp", "/var/tmp-inst"},
}

// keepPromises logs alice in by one way and holds gons to all that it promises
// for her session, while bob is logged in by ssh.
func keepPromises(t *testing.T, m *Machine, w way) {
	bob := login(t, m, "bob")
	alice := open(t, m, w, "alice")
	checkNamespace(t, m, alice)
	for _, directory := range covered {
		if w.outlives && directory.path == "/var/tmp" {
			checkGone(t, m, sessionMounts(t, alice.Shell).root(directory.path)) // its session is closed
			continue
		}
		checkDirectory(t, m, alice, directory.path, directory.instances)
		checkInvisible(t, m, alice, bob, directory.path, directory.instances)
	}
	checkFromHost(t, m, alice)
	checkToHost(t, m, alice, bob)
	private := sessionMounts(t, alice.Shell).root("/var/tmp")
	alice.logout(t)
	checkFreed(t, m, w, alice.namespace, private)
	logout(t, bob)
	checkJournal(t, m)
}

// checkNamespace: the session is in a namespace of its own.
func checkNamespace(t *testing.T, m *Machine, s *session) {
	t.Helper()
	if host := run(t, m, "readlink", "/proc/1/ns/mnt"); s.namespace == host {
		t.Errorf("the session is in the host's namespace, %s", host)
	}
	if got := script(t, s.Shell, "id -un"); got != s.user {
		t.Errorf("the session is that of %s, want %s", got, s.user)
	}
}

// checkDirectory: a directory is an instance, is like the one it covers, and
// can be used.
func checkDirectory(t *testing.T, m *Machine, s *session, path, instances string) {
	t.Helper()
	instance := sessionMounts(t, s.Shell).root(path)
	if !strings.HasPrefix(instance, instances+"/") {
		t.Errorf("mounted on %s is %q, want something in %s", path, instance, instances)
		return
	}
	want := run(t, m, "stat", "-c", "%U:%G %a", path)
	if got := script(t, s.Shell, "stat -c '%U:%G %a' "+path); got != want || got != "root:root 1777" {
		t.Errorf("%s is %s, and the host's %s; want root:root 1777", path, got, want)
	}
	if got := run(t, m, "stat", "-c", "%U:%G %a", instances); got != "root:root 0" {
		t.Errorf("%s is %s, want root:root 0", instances, got)
	}
	const use = "umask 077; f=%s/used; echo text >$f; stat -c '%%U %%a' $f; rm $f"
	if got := script(t, s.Shell, fmt.Sprintf(use, path)); got != s.user+" 600" {
		t.Errorf("a file in %s is %s, want %s 600", path, got, s.user)
	}
}

// checkInvisible: what the session has in a directory, nobody else sees, and
// the other way round; root finds it in the instance.
func checkInvisible(t *testing.T, m *Machine, s *session, other *Shell, path, instances string) {
	t.Helper()
	instance := sessionMounts(t, s.Shell).root(path)
	script(t, s.Shell, "echo secret >"+path+"/of-session")
	script(t, other, "echo secret >"+path+"/of-other")
	run(t, m, "touch", path+"/of-host")
	for name, got := range map[string]string{
		"session": script(t, s.Shell, "ls -A "+path+" | grep ^of-"),
		"other":   script(t, other, "ls -A "+path+" | grep ^of-"),
		"host":    run(t, m, "sh", "-c", "ls -A "+path+" | grep ^of-"),
	} {
		if got != "of-"+name {
			t.Errorf("in %s the %s sees %q, want of-%s only", path, name, got, name)
		}
	}
	if got, err := m.Run("cat", instance+"/of-session"); got != "secret" {
		t.Errorf("the session's file is not in %s: got %q: %v", instance, got, err)
	}
	for _, reach := range []string{"cat " + instance + "/of-session", "ls " + instances} {
		if got, err := other.Run(reach); err == nil {
			t.Errorf("another user can %s: %s", reach, got)
		}
	}
	run(t, m, "rm", path+"/of-host")
	script(t, s.Shell, "rm "+path+"/of-session")
	script(t, other, "rm "+path+"/of-other")
}

// usb is where the host mounts what somebody plugs in.
const usb = "/media/usb"

// checkFromHost: what the host mounts after the login arrives in the session,
// and goes with the host's umount.
func checkFromHost(t *testing.T, m *Machine, s *session) {
	t.Helper()
	run(t, m, "sh", "-euc", "mkdir -p $1; mount -t tmpfs host $1; touch $1/photo", "sh", usb)
	if got, err := s.Run("ls " + usb); got != "photo" {
		t.Errorf("the session sees %q in %s, want photo: %v", got, usb, err)
	}
	run(t, m, "umount", usb)
	if sessionMounts(t, s.Shell).has(usb) {
		t.Errorf("the session still sees %s after the host's umount", usb)
	}
}

// checkToHost: what is mounted in the session, the host and others don't see.
func checkToHost(t *testing.T, m *Machine, s *session, other *Shell) {
	t.Helper()
	run(t, m, "mkdir", "-p", "/mnt/session")
	pid := script(t, s.Shell, "echo $$")
	run(t, m, "nsenter", "--target", pid, "--mount", "mount", "-t", "tmpfs", "session", "/mnt/session")
	for name, see := range map[string]struct {
		mounts mountTable
		want   bool
	}{
		"the session":  {sessionMounts(t, s.Shell), true},
		"another user": {sessionMounts(t, other), false},
		"the host":     {hostMounts(t, m), false},
	} {
		if see.mounts.has("/mnt/session") != see.want {
			t.Errorf("%s sees what was mounted in the session: %v, want %v", name, !see.want, see.want)
		}
	}
}

// checkFreed: after a logout, no process is in the session's namespace, its
// record is gone, and so is what it had for itself on disk.
func checkFreed(t *testing.T, m *Machine, w way, namespace, private string) {
	t.Helper()
	eventually(t, "the namespace of the session has ended", func() error {
		// find fails when a process ends while it looks.
		held := run(t, m, "sh", "-c", "find /proc/[0-9]*/ns/mnt -lname '"+namespace+"' 2>/dev/null || :")
		if held != "" {
			return fmt.Errorf("%s is held by %s", namespace, held)
		}
		return nil
	})
	clean := func() {
		if w.late {
			run(t, m, "gons", "clean")
		}
	}
	private = strings.TrimSuffix(private, "//deleted")
	eventually(t, private+" is gone", func() error {
		clean() // again and again: the last process of the session may still be on its way out
		_, err := m.Run("test", "!", "-e", private)
		return err
	})
	// Known by its instance: the kernel may have given the number of its namespace to another session's since.
	eventually(t, "the record of the session is gone", func() error {
		records, err := m.Run("grep", "-rlwF", filepath.Base(private), "/run/gons/sessions")
		if err == nil {
			return errors.New("there is " + records)
		}
		return nil
	})
}

// checkJournal: nothing from gons, the module or its units, at warning or above
// since the last time.
func checkJournal(t *testing.T, m *Machine) {
	t.Helper()
	warnings := run(t, m, "journalctl", "--quiet", "--boot", "--no-pager", "--priority=warning",
		"--cursor-file=/run/vm.cursor")
	for _, line := range strings.Split(warnings, "\n") {
		if strings.Contains(line, "gons") {
			t.Errorf("the journal has a warning about gons: %s", line)
		}
	}
}

// checkNothingLeft: when nobody is logged in, the machine is as it was before
// the first login.
func checkNothingLeft(t *testing.T, m *Machine, before observation) {
	// A user's manager ends a moment after the last session.
	eventually(t, "the machine is as before its sessions", func() error {
		return before.differs(observe(t, m))
	})
	run(t, m, "gons", "clean")
	if records := run(t, m, "find", "/run", "-path", "/run/gons/sessions/*"); records != "" {
		t.Errorf("session records are left:\n%s", records)
	}
	if dirs := run(t, m, "ls", "-A", "/var/tmp-inst"); dirs != "" {
		t.Errorf("directories of closed sessions are left in /var/tmp-inst:\n%s", dirs)
	}
	checkUnits(t, m)
	checkJournal(t, m)
}

// kernelThread matches a line of ps: a machine with a kernel of its own has some
// for each thing to do.
var kernelThread = regexp.MustCompile(`^root +\[.*\]$`)

// observation is what sessions must not change for good.
type observation struct {
	mounts    mountTable
	processes []string
}

// observe looks at the host namespace and at all processes but those that come
// and go by themselves.
func observe(t *testing.T, m *Machine) observation {
	t.Helper()
	seen := observation{mounts: hostMounts(t, m).lasting()}
	eventually(t, "systemd has started what it forked for", func() (err error) {
		seen.processes, err = processes(m)
		return err
	})
	return seen
}

// processes returns the machine's processes, sorted, or an error while one is
// what systemd has forked and not yet executed: "(agetty)".
func processes(m *Machine) ([]string, error) {
	const ps = "ps -e -o user=,args="
	listed, err := m.Run(strings.Fields(ps)...)
	if err != nil {
		return nil, err
	}
	passing := []string{ps, "systemd-machined", "systemd-timedated", "systemd-hostnamed", "(sd-pam)"}
	list := slices.DeleteFunc(strings.Split(listed, "\n"), func(process string) bool {
		return slices.ContainsFunc(passing, func(name string) bool { return strings.HasSuffix(process, name) }) || kernelThread.MatchString(process)
	})
	slices.Sort(list)
	for _, process := range list {
		if strings.HasSuffix(process, ")") && strings.Contains(process, " (") {
			return list, fmt.Errorf("there is %s", process)
		}
	}
	return list, nil
}

// lasting returns the table, sorted, without what is new at each boot or each
// start of a service: credentials, automounts (by the pipe that systemd answers
// them with), numbers of peer groups, and the names of files that systemd-nspawn
// makes.
func (m mountTable) lasting() mountTable {
	var table mountTable
	for _, mount := range m {
		if strings.HasPrefix(mount.point, "/run/credentials/") || strings.Contains(mount.rest, " autofs ") {
			continue
		}
		if strings.HasPrefix(mount.root, "/.#proc") {
			mount.root = "nspawn's"
		}
		words := strings.Fields(mount.rest)
		for i, word := range words {
			words[i], _, _ = strings.Cut(word, ":")
		}
		mount.rest = strings.Join(words, " ")
		table = append(table, mount)
	}
	slices.SortFunc(table, func(a, b mountLine) int {
		return strings.Compare(a.point+"\n"+a.root+"\n"+a.rest, b.point+"\n"+b.root+"\n"+b.rest)
	})
	return table
}

// differs returns an error with what is there more and what less, if anything.
func (o observation) differs(now observation) error {
	var was, is []string
	for _, seen := range []struct {
		observation
		lines *[]string
	}{{o, &was}, {now, &is}} {
		*seen.lines = append(*seen.lines, seen.processes...)
		for _, mount := range seen.mounts {
			*seen.lines = append(*seen.lines, fmt.Sprintf("%+v", mount))
		}
	}
	more, less := without(is, was), without(was, is)
	if len(more)+len(less) == 0 {
		return nil
	}
	return fmt.Errorf("there are\n%s\nand there are no\n%s", strings.Join(more, "\n"), strings.Join(less, "\n"))
}

// without returns the elements of a that b hasn't as often.
func without(a, b []string) []string {
	rest := slices.Clone(b)
	return slices.DeleteFunc(slices.Clone(a), func(line string) bool {
		at := slices.Index(rest, line)
		if at >= 0 {
			rest = slices.Delete(rest, at, at+1)
		}
		return at >= 0
	})
}
