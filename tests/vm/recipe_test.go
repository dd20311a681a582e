package vm

// This file is about the recipes that gons.yaml(5) documents, as they stand
// there.

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recipeCases tries the configurations of the manual that stand for what people
// did by hand before.
func recipeCases(t *testing.T, s system) {
	for _, c := range []struct {
		name  string
		begin string // of the manual's text that leads to the example
		test  func(*testing.T, *Machine)
	}{
		{"recipe: instance per user", "Each user has a\n.Pa /tmp", testRecipeUser},
		{"recipe: tmpfs on /tmp", "Each login has a fresh\n.Pa /tmp", testRecipeTmpfs},
		{"recipe: only $HOME a slave", "Mounts pass in both directions between", testRecipeHome},
		{"recipe: exempt administrator", "Administrators, and the backup service", testRecipeAdministrator},
		{"recipe: one namespace for a user", "Users have one\n.Pa /tmp", testRecipeScope},
	} {
		oneCase(t, s, c.name, func(t *testing.T) {
			m := s.boot(t, Spec{})
			install(t, m, manualExample(t, c.begin))
			prepareUsers(t, m)
			c.test(t, m)
			checkJournal(t, m)
			checkUnits(t, m)
		})
	}
	oneCase(t, s, "recipe: contrib/gons.yaml", func(t *testing.T) {
		m := s.boot(t, Spec{})
		content, err := os.ReadFile(filepath.Join(repository(t), "contrib/gons.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		install(t, m, string(content))
		prepareUsers(t, m)
		testRecipeUser(t, m)
		checkJournal(t, m)
	})
}

// manualExample returns the example of gons.yaml(5) that follows a text.
func manualExample(t *testing.T, begin string) string {
	t.Helper()
	manual, err := os.ReadFile(filepath.Join(repository(t), "docs/man/gons.yaml.5"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(manual), "\n"+begin)
	_, text, literal := strings.Cut(text, "\n.Bd -literal -offset indent\n")
	example, _, ended := strings.Cut(text, "\n.Ed")
	if !found || !literal || !ended || strings.Contains(example, "\\") {
		t.Fatalf("gons.yaml(5) has no plain example after %q", begin)
	}
	return example + "\n"
}

// testRecipeUser: / shared, /tmp private, /tmp-inst/$USER for each user.
func testRecipeUser(t *testing.T, m *Machine) {
	alice, bob := open(t, m, ways[0], "alice"), open(t, m, ways[0], "bob")
	if options := hostMounts(t, m).options("/"); !strings.Contains(options, "shared:") {
		t.Errorf("/ is not shared: %s", options)
	}
	for _, directory := range covered {
		if options := hostMounts(t, m).options(directory.path); options == "" || strings.Contains(options, "shared:") {
			t.Errorf("%s is not a private mount: %q", directory.path, options)
		}
		if got := sessionMounts(t, alice.Shell).root(directory.path); got != directory.instances+"/alice" {
			t.Errorf("mounted on %s is %q, want %s/alice", directory.path, got, directory.instances)
		}
		checkDirectory(t, m, alice, directory.path, directory.instances)
		checkInvisible(t, m, alice, bob.Shell, directory.path, directory.instances)
	}
	checkFromHost(t, m, alice)
	checkToHost(t, m, alice, bob.Shell)
	script(t, alice.Shell, "echo stays >/tmp/x-stays")
	alice.logout(t)
	bob.logout(t)
	again := open(t, m, ways[0], "alice")
	if got := script(t, again.Shell, "cat /tmp/x-stays"); got != "stays" {
		t.Errorf("at the next login the file in /tmp reads %q", got)
	}
	again.logout(t)
}

// testRecipeTmpfs: a tmpfs on /tmp for each login, / a recursive slave; what is
// in it ends with the session. Jobs of cron keep the real one.
func testRecipeTmpfs(t *testing.T, m *Machine) {
	alice, again := open(t, m, ways[0], "alice"), open(t, m, ways[0], "alice")
	mounts := sessionMounts(t, alice.Shell)
	if options := mounts.options("/"); !strings.Contains(options, "master:") || strings.Contains(options, "shared:") {
		t.Errorf("/ is no slave in the session: %s", options)
	}
	options := mounts.options("/tmp")
	for _, want := range []string{"nosuid", "nodev", "noexec", "- tmpfs ", "size=1048576k"} {
		if !strings.Contains(options, want) {
			t.Errorf("/tmp is %s, without %s", options, want)
		}
	}
	script(t, alice.Shell, "echo secret >/tmp/x-session")
	if got := script(t, again.Shell, "ls -A /tmp"); got != "" {
		t.Errorf("another login of alice sees %q in /tmp", got)
	}
	checkFromHost(t, m, alice)
	checkToHost(t, m, alice, again.Shell)
	alice.logout(t)
	again.logout(t)
	cron := way{name: "cron", start: startCron}
	job := open(t, m, cron, "alice")
	if job.namespace != run(t, m, "readlink", "/proc/1/ns/mnt") {
		t.Errorf("a job of cron has a namespace of its own, %s", job.namespace)
	}
	job.logout(t)
}

// testRecipeHome: mounts pass in both directions, but those below $HOME stay in
// the session.
func testRecipeHome(t *testing.T, m *Machine) {
	alice, bob := open(t, m, ways[0], "alice"), open(t, m, ways[0], "bob")
	script(t, alice.Shell, "mkdir -p ~/disk")
	run(t, m, "mkdir", "-p", "/mnt/shared")
	script(t, alice.Shell, "sudo mount -t tmpfs home /home/alice/disk; sudo mount -t tmpfs shared /mnt/shared")
	for name, see := range map[string]struct {
		mounts mountTable
		home   bool
	}{
		"alice":    {sessionMounts(t, alice.Shell), true},
		"bob":      {sessionMounts(t, bob.Shell), false},
		"the host": {hostMounts(t, m), false},
	} {
		if see.mounts.has("/home/alice/disk") != see.home {
			t.Errorf("%s sees what alice mounts in her home: %v, want %v", name, !see.home, see.home)
		}
		if !see.mounts.has("/mnt/shared") {
			t.Errorf("%s doesn't see what alice mounts outside of her home", name)
		}
	}
	run(t, m, "umount", "/mnt/shared")
	checkFromHost(t, m, alice)
	run(t, m, "sh", "-euc", "mkdir $1; mount -t tmpfs host $1; touch $1/photo", "sh", "/home/alice/usb")
	if got := script(t, alice.Shell, "ls ~/usb"); got != "photo" {
		t.Errorf("alice sees %q of what the host mounts in her home, want photo", got)
	}
	run(t, m, "umount", "/home/alice/usb")
	alice.logout(t)
	bob.logout(t)
}

// testRecipeAdministrator: an exempt administrator mounts for everyone; a
// student has a scratch directory for the session.
func testRecipeAdministrator(t *testing.T, m *Machine) {
	run(t, m, "sh", "-euc", `groupadd wheel; groupadd students; usermod -a -G students bob; mkdir -p /scratch
		useradd -m -s /bin/bash -G wheel carol; cp -r /home/alice/.ssh /home/carol/; chown -R carol: /home/carol/.ssh`)
	alice, bob := open(t, m, ways[0], "alice"), open(t, m, ways[0], "bob")
	carol := open(t, m, ways[0], "carol")
	if host := run(t, m, "readlink", "/proc/1/ns/mnt"); carol.namespace != host {
		t.Errorf("the administrator is in %s, want the host's %s", carol.namespace, host)
	}
	run(t, m, "mkdir", "-p", usb)
	script(t, carol.Shell, "sudo mount -t tmpfs carol "+usb+"; sudo touch "+usb+"/photo")
	for _, s := range []*session{alice, bob, carol} {
		if got := script(t, s.Shell, "ls "+usb); got != "photo" {
			t.Errorf("%s sees %q of what the administrator has mounted, want photo", s.user, got)
		}
	}
	script(t, carol.Shell, "sudo umount "+usb)
	checkInvisible(t, m, alice, bob.Shell, "/tmp", "/tmp-inst")
	scratch := sessionMounts(t, bob.Shell).root("/scratch/bob")
	if !strings.HasPrefix(scratch, "/scratch-inst/job-") {
		t.Errorf("mounted on /scratch/bob is %q, want /scratch-inst/job-…", scratch)
	}
	script(t, bob.Shell, "touch /scratch/bob/result")
	for _, s := range []*session{alice, bob, carol} {
		s.logout(t)
	}
	checkGone(t, m, scratch)
}

// testRecipeScope: all sessions of a user, those of the user's own systemd too, are in one namespace, which is kept for a
// while; root goes back to the host's from there.
func testRecipeScope(t *testing.T, m *Machine) {
	first, bob := open(t, m, ways[0], "alice"), open(t, m, ways[0], "bob")
	script(t, first.Shell, "echo mine >/tmp/x-scope; mkdir -p ~/disk")
	pid := script(t, first.Shell, "echo $$")
	run(t, m, "nsenter", "--target", pid, "--mount", "mount", "-t", "tmpfs", "alice", "/home/alice/disk")
	for _, name := range []string{"ssh, password", "su - from root", "su from a user", "cron", "at", "systemd-run --user"} {
		w := wayNamed(t, name)
		s := open(t, m, w, "alice")
		if s.namespace != first.namespace {
			t.Errorf("%s: in %s, and the first session in %s", name, s.namespace, first.namespace)
		}
		if got := script(t, s.Shell, "cat /tmp/x-scope"); got != "mine" {
			t.Errorf("%s: the file in /tmp reads %q", name, got)
		}
		if !sessionMounts(t, s.Shell).has("/home/alice/disk") {
			t.Errorf("%s: doesn't see what is mounted for the first session", name)
		}
		s.logout(t)
	}
	if got := script(t, bob.Shell, "ls -A /tmp"); got != "" || sessionMounts(t, bob.Shell).has("/home/alice/disk") || hostMounts(t, m).has("/home/alice/disk") {
		t.Errorf("bob sees %q in /tmp, or bob or the host alice's mount", got)
	}
	host := run(t, m, "readlink", "/proc/1/ns/mnt")
	if got := script(t, first.Shell, "sudo -i readlink /proc/self/ns/mnt"); got != host {
		t.Errorf("sudo -i from alice's session is in %s, the host in %s", got, host)
	}
	run(t, m, "mkdir", "-p", usb)
	script(t, first.Shell, "sudo -i mount -t tmpfs root "+usb+"; sudo -i touch "+usb+"/photo")
	for _, s := range []*session{first, bob} {
		if got := script(t, s.Shell, "ls "+usb); got != "photo" {
			t.Errorf("%s sees %q of what root has mounted, want photo", s.user, got)
		}
	}
	run(t, m, "umount", usb)
	bob.logout(t)
	first.logout(t)
	again := open(t, m, ways[0], "alice")
	if got := script(t, again.Shell, "cat /tmp/x-scope"); got != "mine" {
		t.Errorf("who comes back in time reads %q", got)
	}
	again.logout(t)
}

// wayNamed is a way to log in.
func wayNamed(t *testing.T, name string) way {
	t.Helper()
	for _, w := range ways {
		if w.name == name {
			return w
		}
	}
	t.Fatalf("there is no way %q", name)
	return way{}
}
