package vm

// This file is about hosts of graphical logins, with X servers that draw in
// memory.

import (
	"strings"
	"testing"
)

// desktopWays are the kinds of graphical login. The session manager starts the
// user's ~/.xsession, which runs the command.
var desktopWays = []way{
	{name: "xrdp", start: startXrdp},
	{name: "lightdm", start: startLightdm},
}

// lightdmFiles have lightdm start Xvfb, without the options that are only for a
// server on real hardware, and log alice in.
var lightdmFiles = []File{
	{Path: "/usr/local/bin/vm-x", Mode: 0o755, Content: []byte(`#!/bin/sh
display=$1
while [ "$1" != -auth ]; do shift; done
exec Xvfb "$display" -auth "$2" -nolisten tcp
`)},
	{Path: "/etc/lightdm/lightdm.conf.d/vm.conf", Mode: 0o644, Content: []byte(`[LightDM]
logind-check-graphical=false
[Seat:*]
xserver-command=/usr/local/bin/vm-x
autologin-user=alice
`)},
}

// desktopCases holds gons to its promises for graphical logins.
func desktopCases(t *testing.T, s system) {
	if s.desktop == nil {
		oneCase(t, s, "graphical logins", func(t *testing.T) { skip(t, "this system has no image with desktops") })
		return
	}
	image, err := s.desktop(s.suite)
	if err != nil {
		oneCase(t, s, "a machine with desktops", func(t *testing.T) { t.Fatal(err) })
		return
	}
	m := s.boot(t, Spec{Image: image, Files: lightdmFiles})
	run(t, m, "systemctl", "stop", "lightdm.service")
	install(t, m, gonsYAML)
	prepareUsers(t, m)
	before := observe(t, m)
	for _, w := range desktopWays {
		oneCase(t, s, w.name, func(t *testing.T) {
			keepLogs(t, m)
			keepPromises(t, m, w)
			checkDisplay(t, m, w)
		})
	}
	oneCase(t, s, "nothing left of desktops", func(t *testing.T) {
		keepLogs(t, m)
		checkNothingLeft(t, m, before)
	})
}

// checkDisplay: programs in the session reach the session's X server.
func checkDisplay(t *testing.T, m *Machine, w way) {
	t.Helper()
	alice := open(t, m, w, "alice")
	if got, err := alice.Run("xdpyinfo"); err != nil || !strings.Contains(got, "X.Org Foundation") {
		t.Errorf("programs in the session don't reach its X server: %v\n%s", err, got)
	}
	private := sessionMounts(t, alice.Shell).root("/var/tmp")
	alice.logout(t)
	checkFreed(t, m, w, alice.namespace, private)
}

// xsession makes the command the user's graphical session.
func xsession(t *testing.T, m *Machine, user, command string) {
	t.Helper()
	run(t, m, "runuser", "-u", user, "--", "sh", "-euc", `echo "$1" >~/.xsession`, "sh", command)
}

// startXrdp has sesman log a user in as for a client of the remote desktop
// protocol: it checks the password, opens the session, and starts Xvnc in it.
func startXrdp(t *testing.T, m *Machine, user, command string) func() {
	xsession(t, m, user, command)
	// Debian 12's talks TCP, and finds no localhost on a machine without a network.
	run(t, m, "sh", "-euc", `
		server=; ! xrdp-sesrun --help 2>&1 | grep -q -e '-s <server>' || server='-s 127.0.0.1'
		xrdp-sesrun $server -t Xvnc -p "$1" "$2"`, "sh", password, user)
	return func() {}
}

func startLightdm(t *testing.T, m *Machine, user, command string) func() {
	xsession(t, m, user, command)
	run(t, m, "systemctl", "restart", "lightdm.service")
	// Not before the case ends: systemd would kill the process that closes the session.
	t.Cleanup(func() { run(t, m, "systemctl", "stop", "lightdm.service") })
	return func() {}
}
