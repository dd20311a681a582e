package vm

// This file is about what prepares the host at a boot: the unit and rc.local.

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// preparer is a way to have gons boot run at each boot.
type preparer struct {
	name   string
	enable func(*testing.T, *Machine)
	unit   string // what systemd calls it
	early  bool   // runs before everything that opens sessions
}

var preparers = []preparer{
	{name: "unit", unit: "gons-boot.service", early: true, enable: func(t *testing.T, m *Machine) {
		run(t, m, "systemctl", "enable", "--quiet", "gons-boot.service")
	}},
	{name: "rc.local", unit: "rc-local.service", enable: func(t *testing.T, m *Machine) {
		run(t, m, "install", "-m", "755", "/usr/share/doc/gons/examples/rc.local", "/etc/rc.local")
	}},
}

// tmpKinds are what /tmp is before gons boot: a tmpfs by systemd's tmp.mount,
// Debian 13's default, or a directory of the disk. Debian 12 has the unit as an
// example.
var tmpKinds = []struct{ name, fstype, set string }{
	{"tmp.mount", "tmpfs", `unit=/usr/share/systemd/tmp.mount; [ ! -e $unit ] || cp $unit /etc/systemd/system/
		systemctl unmask tmp.mount; systemctl enable tmp.mount`},
	{"/tmp on disk", "", "systemctl mask tmp.mount"},
}

// privateRoot makes every mount private at boot, as they are where no systemd
// has made them shared: without it, there would be nothing left to do for /.
const privateRoot = `[Unit]
DefaultDependencies=no
After=local-fs.target
Before=gons-boot.service sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/mount --make-rprivate /
[Install]
WantedBy=sysinit.target
`

// bootCases boots a machine for each preparer and each kind of /tmp.
func bootCases(t *testing.T, s system) {
	for _, p := range preparers {
		for _, kind := range tmpKinds {
			if full() || p.early && kind.fstype == "tmpfs" {
				oneCase(t, s, fmt.Sprintf("boot by %s, %s", p.name, kind.name), func(t *testing.T) {
					testBoot(t, s, p, kind.fstype, kind.set)
				})
			}
		}
	}
}

// testBoot: two boots in a row, one in the quick tier, leave / shared, the private directories private
// mounts and the instance parents made, before anybody has logged in.
func testBoot(t *testing.T, s system, p preparer, fstype, setTmp string) {
	m := s.boot(t, Spec{})
	put(t, m, installTree(t)...)
	put(t, m, File{Path: "/etc/systemd/system/private-root.service", Mode: 0o644, Content: []byte(privateRoot)})
	configure(t, m, gonsYAML)
	run(t, m, "sh", "-euc", addPAMLines)
	run(t, m, "sh", "-euc", setTmp)
	run(t, m, "systemctl", "enable", "--quiet", "private-root.service")
	p.enable(t, m)
	var first mountTable
	boots := 1
	if full() {
		boots = 2
	}
	for boot := range boots {
		if err := m.Reboot(); err != nil {
			t.Fatal(err)
		}
		checkPrepared(t, m, p, fstype)
		mounts := observe(t, m).mounts
		if boot == 0 {
			first = mounts
		} else if err := (observation{mounts: first}).differs(observation{mounts: mounts}); err != nil {
			t.Errorf("the second boot differs from the first: %v", err)
		}
	}
	prepareUsers(t, m)
	keepPromises(t, m, ways[0])
	if again := run(t, m, "gons", "boot"); again != "nothing to do" {
		t.Errorf("on a host that is prepared, gons boot does\n%s", again)
	}
}

// checkPrepared: what gons boot promises, before the first login.
func checkPrepared(t *testing.T, m *Machine, p preparer, fstype string) {
	t.Helper()
	mounts := hostMounts(t, m)
	if !strings.Contains(mounts.options("/"), "shared:") {
		t.Errorf("/ is not shared: %s", mounts.options("/"))
	}
	for _, directory := range covered {
		options := mounts.options(directory.path)
		if options == "" || strings.Contains(options, "shared:") || strings.Contains(options, "master:") {
			t.Errorf("%s is not a private mount: %q", directory.path, options)
		}
		if got := run(t, m, "stat", "-c", "%U:%G %a", directory.instances); got != "root:root 0" {
			t.Errorf("%s is %s, want root:root 0", directory.instances, got)
		}
	}
	if isTmpfs := strings.Contains(mounts.options("/tmp"), "- tmpfs "); isTmpfs != (fstype == "tmpfs") {
		t.Errorf("/tmp is %s, want %s", mounts.options("/tmp"), fstype)
	}
	if users := run(t, m, "find", "/run/gons", "-path", "/run/gons/sessions/*"); users != "" {
		t.Errorf("there are sessions already: %s", users)
	}
	if state := run(t, m, "systemctl", "show", "--property=Result,ActiveState", "--value", p.unit); state != "success\nactive" && state != "active\nsuccess" {
		t.Errorf("%s is %s", p.unit, state)
	}
	checkUnits(t, m)
	if p.early {
		checkEarly(t, m, p.unit)
	}
}

// checkEarly: the unit was done before anything was started that opens sessions.
func checkEarly(t *testing.T, m *Machine, unit string) {
	t.Helper()
	at := func(unit, property string) int {
		text := run(t, m, "systemctl", "show", "--property="+property, "--value", unit)
		number, err := strconv.Atoi(text)
		if err != nil || number == 0 {
			t.Errorf("%s of %s is %q", property, unit, text)
		}
		return number
	}
	done := at(unit, "ExecMainExitTimestampMonotonic")
	for _, host := range []string{"ssh.service", "cron.service", "atd.service", "systemd-logind.service", "console-getty.service"} {
		if started := at(host, "InactiveExitTimestampMonotonic"); started < done {
			t.Errorf("%s was started %d µs before %s was done", host, done-started, unit)
		}
	}
}

// options returns what mountinfo says of the topmost mount on a path: its
// options, its propagation, and its file system; "" where nothing is mounted.
func (m mountTable) options(path string) string {
	options := ""
	for _, mount := range m {
		if mount.point == path {
			options = mount.rest
		}
	}
	return options
}
