package selinux

import (
	"testing"

	"gons/internal/safepath"
	"gons/tests/testkit"
)

// Without a selinuxfs SELinux is off, whatever else is there.
func TestOpenWhereSELinuxIsOff(t *testing.T) {
	for what, files := range map[string]map[string]string{
		"an empty root":                       {},
		"a policy and no kernel for it":       {configFile: "SELINUXTYPE=default\n"},
		"another file system":                 small(nil),
		"a file where selinuxfs would be":     {"/selinux": "", "/sys/fs/selinux": ""},
		"a file in the middle of the way":     {"/sys": ""},
		"no /etc/selinux/config but a policy": small(map[string]string{configFile: ""}),
	} {
		if s, err := Open(host(t, files)); s != nil || err != nil {
			t.Errorf("%s: %v, %v; want off", what, s, err)
		}
	}
}

func TestFindPolicy(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "targeted false"},
		{"SELINUX=enforcing\nSELINUXTYPE=default # no\n", "default # no false"}, // as libselinux reads it
		{"  selinuxtype= mls \t\n", "mls false"},
		{"SELINUXTYPE=\n#SELINUXTYPE=no\nREQUIRESEUSERS=true\n", "targeted true"},
		{"REQUIRESEUSERS=1\nREQUIRESEUSERS=0\n", "targeted false"},
		{"REQUIRESEUSERS= 10", "targeted true"},
		{"REQUIRESEUSERS=\n", "targeted false"},
	} {
		name, required := parseConfig(c.text)
		if got := name + map[bool]string{true: " true", false: " false"}[required]; got != c.want {
			t.Errorf("%q: %s; want %s", c.text, got, c.want)
		}
	}
}

// What the policy says is done as root: a file that another user can write to says nothing.
func TestPolicyThatOthersCanWrite(t *testing.T) {
	root := host(t, map[string]string{configFile: "SELINUXTYPE=default\n"})
	h, err := root.Open("/etc/selinux")
	testkit.Must(t, err)
	defer h.Close()
	testkit.Must(t, h.Chown(2001, 0))
	_, _, err = findPolicy(safepath.Files{Root: root, Strict: true})
	check(t, "another's directory", "", err, "error: cannot trust /etc/selinux/config")
}

func TestAttributes(t *testing.T) {
	s := machine(t, small(map[string]string{"/proc/thread-self/attr/exec": "u:r:t:s0\n"}))
	got, err := s.ExecContext()
	check(t, "exec", got, err, "u:r:t:s0")
	got, err = s.CurrentContext()
	check(t, "current", got, err, "system_u:system_r:sshd_t:s0-s0:c0.c1023")
	s = machine(t, small(nil))
	got, err = s.ExecContext()
	check(t, "no exec context", got, err, "")
}

func TestCustomizableTypes(t *testing.T) {
	got, err := machine(t, small(nil)).CustomizableTypes()
	check(t, "types", got, err, "[public_content_t swapfile_t]")
	got, err = machine(t, small(map[string]string{"contexts/customizable_types": ""})).CustomizableTypes()
	check(t, "no file", got, err, "[]")
}

func TestCreateAs(t *testing.T) {
	s := machine(t, small(map[string]string{"/proc/thread-self/attr/fscreate": " "}))
	check(t, "a context", "done", s.CreateAs("u:r:t:s0"), "done")
	got, err := s.attribute("fscreate")
	check(t, "written", got, err, "u:r:t:s0")
	check(t, "none", "done", s.CreateAs(""), "done")
	check(t, "no context", "", s.CreateAs("tmp_t"), `error: cannot choose the SELinux context "tmp_t" for new files: `)
}
