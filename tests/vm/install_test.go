package vm

// This file is about what the administrator of a machine does: README.md's
// "Installing" and "Removing", step by step.

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installTree returns what `make install` installs, with further variables of
// make.
func installTree(t *testing.T, variables ...string) []File {
	t.Helper()
	dest, err := os.MkdirTemp("", "gons-install") // make would expand a $ of the test's name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dest)
	make := exec.Command("make", append([]string{"-s", "-C", repository(t), "install", "DESTDIR=" + dest}, variables...)...)
	if output, err := make.CombinedOutput(); err != nil {
		t.Fatalf("cannot install: %v\n%s", err, output)
	}
	var files []File
	err = filepath.WalkDir(dest, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		files = append(files, File{Path: strings.TrimPrefix(path, dest), Mode: info.Mode(), Content: content})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func repository(t *testing.T) string {
	t.Helper()
	top, err := Repository()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// configure writes /etc/security/gons.yaml.
func configure(t *testing.T, m *Machine, yaml string) {
	t.Helper()
	put(t, m, File{Path: "/etc/security/gons.yaml", Mode: 0o644, Content: []byte(yaml)})
	run(t, m, "gons", "check")
}

func put(t *testing.T, m *Machine, files ...File) {
	t.Helper()
	if err := m.Put(files...); err != nil {
		t.Fatal(err)
	}
}

// addPAMLines adds the line of each file in contrib/pam.d to the service of
// that name, where the machine has it. A service that only the vendor's
// directory has is copied to /etc first.
const addPAMLines = `
	cd /usr/share/doc/gons/examples/pam.d
	for service in *; do
		[ -e /etc/pam.d/$service ] || cp /usr/lib/pam.d/$service /etc/pam.d/ 2>/dev/null || continue
		cat $service >>/etc/pam.d/$service
	done`

// removePAMLines takes every line of the module away.
const removePAMLines = `sed -i '/pam_gons\.so/d' /etc/pam.d/*`

// install installs gons on a running machine, with a configuration and the
// unit that prepares the host.
func install(t *testing.T, m *Machine, yaml string) {
	t.Helper()
	put(t, m, installTree(t)...)
	configure(t, m, yaml)
	run(t, m, "sh", "-euc", addPAMLines)
	run(t, m, "systemctl", "daemon-reload")
	run(t, m, "systemctl", "enable", "--quiet", "--now", "gons-boot.service", "gons-clean.timer")
}

// uninstall removes gons as README.md says: PAM lines first, then units, then
// what make uninstall removes, which is run in the machine word for word.
func uninstall(t *testing.T, m *Machine) {
	t.Helper()
	run(t, m, "sh", "-euc", removePAMLines)
	run(t, m, "systemctl", "disable", "--quiet", "--now", "gons-boot.service", "gons-clean.timer")
	make := exec.Command("make", "-s", "-n", "-C", repository(t), "uninstall", "DESTDIR=")
	commands, err := make.Output()
	if err != nil {
		t.Fatalf("cannot tell what make uninstall runs: %v", err)
	}
	// make names the manual pages that it is to remove after those in docs/man.
	pages, err := filepath.Glob(filepath.Join(repository(t), "docs/man/*.[1-8]"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("cannot list the manual pages: %v", err)
	}
	work := "mkdir -p /tmp/gons-source/docs/man; cd /tmp/gons-source\n"
	for _, page := range pages {
		work += "touch docs/man/" + filepath.Base(page) + "\n"
	}
	run(t, m, "sh", "-euc", work+string(commands)+"rm -r /tmp/gons-source\n")
	run(t, m, "systemctl", "daemon-reload")
}

// prepareUsers gives alice, bob and root in the machine what the logins need:
// keys, passwords, and the right of all users to become any other by sudo.
func prepareUsers(t *testing.T, m *Machine) {
	t.Helper()
	authorize(t, m)
	run(t, m, "sh", "-euc", `
		printf 'alice:%s\nbob:%s\n' "$1" "$1" | chpasswd
		echo 'ALL ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/vm
		printf '#!/bin/sh\necho %s\n' "$1" >/root/askpass; chmod 700 /root/askpass`, "sh", password)
}

// password is that of all users.
const password = "sesame"
