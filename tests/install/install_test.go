// Package install_test holds make install to what it promises: DESTDIR, PREFIX and the distribution's PAM module
// directory are honoured, and make uninstall takes everything away again.
package install_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func makeIn(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("make", append([]string{"-s", "-C", "../.."}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %v: %v\n%s", args, err, out)
	}
}

// files lists what is below dir, each with its permissions.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		out = append(out, info.Mode().String()+" "+strings.TrimPrefix(path, dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestInstallAndUninstall(t *testing.T) {
	multiarch, err := exec.Command("gcc", "-print-multiarch").Output()
	if err != nil {
		t.Fatal(err)
	}
	security := "/lib/" + strings.TrimSpace(string(multiarch)) + "/security"
	for _, c := range []struct {
		prefix, modules string
		args            []string
	}{
		{"/usr", "/usr" + security, nil},
		{"/usr/local", "/usr" + security, []string{"PREFIX=/usr/local"}},
		{"/usr", "/lib64/security", []string{"PAM_MODULE_DIR=/lib64/security"}},
	} {
		dest := t.TempDir()
		args := append([]string{"DESTDIR=" + dest}, c.args...)
		makeIn(t, append(args, "install")...)
		got := files(t, dest)
		for _, want := range []string{
			"-rw-r--r-- " + c.modules + "/pam_gons.so",
			"-rwxr-xr-x " + c.prefix + "/sbin/gons",
			"-rwxr-xr-x " + c.prefix + "/bin/newns",
			"-rw-r--r-- " + c.prefix + "/share/man/man1/gons-run.1",
			"-rwxr-xr-x " + c.prefix + "/share/doc/gons/examples/htcondor/gons-job-wrapper",
			"-rwxr-xr-x " + c.prefix + "/libexec/gons/gons-try",
			"-rw-r--r-- " + c.prefix + "/share/bash-completion/completions/gons",
			"-rw-r--r-- " + c.prefix + "/share/zsh/vendor-completions/_gons",
			"-rw-r--r-- " + c.prefix + "/share/fish/vendor_completions.d/gons.fish",
			"-rw-r--r-- " + c.prefix + "/lib/systemd/system/gons-boot.service",
			"-rw-r--r-- " + c.prefix + "/lib/systemd/system/gons-clean.timer",
			"-rw-r--r-- " + c.prefix + "/share/man/man8/pam_gons.8",
			"-rw-r--r-- " + c.prefix + "/share/man/man8/gons.8",
			"-rw-r--r-- " + c.prefix + "/lib/systemd/system/gons-clean.service",
			"-rw-r--r-- " + c.prefix + "/share/doc/gons/examples/gons.yaml",
			"-rw-r--r-- " + c.prefix + "/share/doc/gons/examples/rc.local",
			"-rwxr-xr-x " + c.prefix + "/share/doc/gons/examples/slurm/gons-task",
			"-rw-r--r-- " + c.prefix + "/share/man/man5/gons.yaml.5",
			"-rw-r--r-- " + c.prefix + "/share/doc/gons/examples/pam.d/sshd",
			"-rw-r--r-- " + c.prefix + "/share/doc/gons/examples/selinux/gons.cil",
		} {
			if !slices.Contains(got, want) {
				t.Errorf("make install %v made no %s; it made\n%s", c.args, want, strings.Join(got, "\n"))
			}
		}
		unit, err := os.ReadFile(dest + c.prefix + "/lib/systemd/system/gons-boot.service")
		if want := "ExecStart=" + c.prefix + "/sbin/gons boot"; err != nil || !strings.Contains(string(unit), want) {
			t.Errorf("the unit has no %q: %v\n%s", want, err, unit)
		}
		makeIn(t, append(args, "uninstall")...)
		if left := files(t, dest); len(left) > 0 {
			t.Errorf("make uninstall %v left\n%s", c.args, strings.Join(left, "\n"))
		}
	}
}
