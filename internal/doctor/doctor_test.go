package doctor

import (
	"fmt"
	"strings"
	"testing"

	"gons/internal/pamstack"
)

// stack is a service whose session lines are modules, "optional MODULE ARG" where that isn't "required".
func stack(service string, lines ...string) pamstack.Stack {
	var text []string
	for _, l := range lines {
		if strings.HasPrefix(l, "pam_") {
			l = "required " + l
		}
		text = append(text, "session "+l)
	}
	rules, _ := pamstack.Parse("/etc/pam.d/"+service, []byte(strings.Join(text, "\n")))
	return pamstack.Stack{Service: service, File: "/etc/pam.d/" + service, Rules: rules}
}

// healthy is a machine with nothing to complain about.
func healthy() Facts {
	return Facts{Configuration: []string{"/etc/security/gons.yaml"}, Stacks: []pamstack.Stack{stack("sshd", "pam_unix.so", "pam_systemd.so", "pam_gons.so")},
		SSHD: true, UsePAM: true, Systemd: true, BootUnit: true, CleanTimer: true, Module: File{Path: "/m"}}
}

func TestDiagnose(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Facts)
		want   string // the findings that aren't ok: "level check where: a part of the text => a part of the fix"
	}{
		{"healthy", func(*Facts) {}, ""},
		{"no kernel", func(f *Facts) { f.Kernel = []Feature{{"mount API", "every session", true, "ENOSYS"}} }, "problem kernel : no mount API, for every session: ENOSYS => 5.12"},
		{"old kernel", func(f *Facts) { f.Kernel = []Feature{{"x", "y", false, "EINVAL"}, {"z", "y", true, ""}} }, "warning kernel : no x => "},
		{"no configuration", func(f *Facts) { f.NoConfig = true }, "problem configuration /etc/security/gons.yaml: no session opens => install"},
		{"bad configuration", func(f *Facts) { f.ConfigError = "gons.yaml:1:1: x" }, "problem configuration : gons.yaml:1:1: x => gons check"},
		{"odd configuration", func(f *Facts) { f.ConfigWarnings = []string{"w"} }, "warning configuration : w => gons check"},
		{"no module", func(f *Facts) { f.Module.Absent = true }, "problem files /m: isn't there => make install"},
		{"unsafe module", func(f *Facts) { f.Module.Distrust = "bad mode" }, "problem files /m: bad mode => chmod go-w /m"},
		{"other build", func(f *Facts) { f.ModuleBuild, f.CommandBuild = "a", "b" }, "warning files /m: revision a => make install"},
		{"private /", func(f *Facts) { f.BootChanges = []string{"make / shared"} }, "warning mounts : make / shared => gons boot"},
		{"bad parent", func(f *Facts) { f.BootProblems = []string{"/tmp-inst is bob's"} }, "problem mounts : /tmp-inst is bob's => "},
		{"no unit", func(f *Facts) { f.BootUnit, f.CleanTimer = false, false },
			"warning boot gons-boot.service: isn't enabled => systemctl enable; warning boot gons-clean.timer: isn't enabled => systemctl enable"},
		{"no systemd", func(f *Facts) { f.BootUnit, f.Systemd = false, false }, "warning boot /etc/rc.local: nothing runs gons boot => rc.local"},
		{"rc.local", func(f *Facts) { f.BootUnit, f.RCLocal = false, true }, ""},
		{"no stack", func(f *Facts) { f.Stacks = []pamstack.Stack{stack("sshd", "pam_unix.so")} }, "problem pam : no service has a line => examples"},
		{"one without", func(f *Facts) {
			f.Stacks = append(f.Stacks, stack("login", "pam_unix.so"), stack("chfn", "pam_unix.so"))
		},
			"warning pam login: no line for pam_gons.so => sed -i '$a session required pam_gons.so' /etc/pam.d/login"},
		{"one without, which is the distribution's", func(f *Facts) {
			s := stack("systemd-user", "pam_unix.so")
			s.File = "/usr/lib/pam.d/systemd-user"
			f.Stacks = append(f.Stacks, s)
		}, "warning pam systemd-user: no line for pam_gons.so => cp -n /usr/lib/pam.d/systemd-user /etc/pam.d/systemd-user && sed"},
		{"the peer", func(f *Facts) { f.Stacks = append(f.Stacks, stack("login", "pam_namespace.so")) }, "warning pam login: has pam_namespace.so => sed -i s/pam_namespace.so/pam_gons.so/ /etc/pam.d/login"},
		{"both", func(f *Facts) { f.Stacks = []pamstack.Stack{stack("su", "pam_namespace.so", "pam_gons.so")} }, "problem pam su: pam_namespace.so, /etc/pam.d/su:1 => sed -i '1{/pam_namespace\\.so/d}' /etc/pam.d/su"},
		{"twice", func(f *Facts) { f.Stacks = []pamstack.Stack{stack("su-l", "pam_gons.so", "pam_gons.so")} }, "problem pam su-l: twice, /etc/pam.d/su-l:1 and /etc/pam.d/su-l:2 => sed -i '2{/pam_gons\\.so/d}'"},
		{"by an include", func(f *Facts) {
			s := stack("su", "pam_gons.so")
			s.Service, s.Rules = "su-l", append(stack("su-l", "pam_gons.so").Rules, s.Rules...)
			f.Stacks = []pamstack.Stack{s}
		}, "problem pam su-l: /etc/pam.d/su-l:1 and /etc/pam.d/su:1 => sed -i '1{/pam_gons\\.so/d}' /etc/pam.d/su-l"},
		{"tmpdir", func(f *Facts) { f.Stacks = []pamstack.Stack{stack("su", "pam_tmpdir.so", "pam_gons.so")} }, "warning pam su: pam_tmpdir.so => pam-auth-update"},
		{"optional", func(f *Facts) { f.Stacks = []pamstack.Stack{stack("su", "optional pam_gons.so")} }, "warning pam su: is optional => sed -i '1{/pam_gons\\.so/s/optional/required/}'"},
		{"systemd too late", func(f *Facts) { f.Stacks = []pamstack.Stack{stack("su", "pam_gons.so", "optional pam_systemd.so")} }, "warning pam su: pam_systemd.so, /etc/pam.d/su:2, comes after => the last session line of /etc/pam.d/su"},
		{"systemd much too late", func(f *Facts) {
			f.Private, f.Stacks = true, []pamstack.Stack{stack("su", "pam_gons.so", "pam_elogind.so")}
		}, "problem pam su: pam_elogind.so => last"},
		{"selinux doesn't matter", func(f *Facts) { f.Stacks = []pamstack.Stack{stack("su", "pam_gons.so", "pam_selinux.so open")} }, ""},
		{"selinux too late", func(f *Facts) {
			f.ByContext = true
			f.Stacks = []pamstack.Stack{stack("su", "pam_selinux.so close", "pam_gons.so", "pam_selinux.so open", "pam_selinux.so close")}
		}, "problem pam su: pam_selinux.so, /etc/pam.d/su:3 => last"},
		{"a home doesn't matter", func(f *Facts) { f.Stacks = []pamstack.Stack{stack("su", "pam_gons.so", "pam_mkhomedir.so")} }, ""},
		{"a home too late", func(f *Facts) {
			f.Home = true
			f.Stacks = []pamstack.Stack{stack("su", "pam_gons.so", "pam_mkhomedir.so", "pam_mount.so")}
		}, "problem pam su: pam_mkhomedir.so => last; problem pam su: pam_mount.so => last"},
		{"no PAM in sshd", func(f *Facts) { f.UsePAM = false }, "problem pam /etc/ssh/sshd_config: doesn't use PAM => UsePAM yes"},
		{"odd stack", func(f *Facts) { f.Stacks[0].Problems = []string{"x:1 is no line of PAM's"} }, "warning pam sshd: x:1 => "},
		{"dead sessions", func(f *Facts) { f.Dead = 2 }, "warning sessions : sessions that died and left something: 2 => gons clean"},
		{"bad record", func(f *Facts) { f.RecordErrors = []string{"bad"} }, "problem sessions : bad => look"},
		{"strangers", func(f *Facts) {
			f.Instances = []Instances{{Parent: "/i", Strangers: 1, Count: 1, Size: "1 B"}, {Parent: "/j", Error: "e"}}
		},
			"warning instances /i: whom this machine knows: 1 => --dry-run; problem instances /j: e => "},
	} {
		f := healthy()
		c.change(&f)
		findings := Diagnose(f)
		var got []Finding
		for _, one := range findings {
			if one.Level != OK {
				got = append(got, one)
			}
		}
		want := strings.Split(c.want, "; ")
		if c.want == "" {
			want = nil
		}
		if len(got) != len(want) {
			t.Errorf("%s: %+v, want %q", c.name, got, want)
			continue
		}
		for i, w := range want {
			text, fix, _ := strings.Cut(w, " => ")
			head, part, _ := strings.Cut(text, ": ")
			if have := fmt.Sprintf("%s %s %s", got[i].Level, got[i].Check, got[i].Where); have != head ||
				!strings.Contains(got[i].Text, part) || !strings.Contains(got[i].Fix, fix) || fix == "" && got[i].Fix != "" {
				t.Errorf("%s: %+v, want %q", c.name, got[i], w)
			}
		}
		if Healthy(findings) != !strings.Contains(c.want, "problem ") {
			t.Errorf("%s: healthy is %t", c.name, Healthy(findings))
		}
	}
}

func TestSSHDValue(t *testing.T) {
	files := map[string][]string{"d/*.conf": {"# UsePAM no\n", "Match user x\nUsePAM no\n", "usepam=yes\n"}, "loop": {"Include loop\n"}}
	include := func(pattern string) []string { return files[pattern] }
	for text, want := range map[string]string{
		"UsePAM yes\nUsePAM no": "yes", "Include d/*.conf\nUsePAM no": "yes", "": "", "Match all\nUsePAM yes": "", "Include loop\nUsePAM no": "no",
		"\tUsePAM\t\"no\"": "no", "UsePAM": "",
	} {
		if got, _ := sshdValue(text, "usepam", include, 0); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
