package selinux

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/tests/testkit"
)

// TestMain runs the tests, as root, in a mount namespace of their own.
func TestMain(m *testing.M) { testkit.Main(m, 0o022, "/mnt") }

// host makes files below an empty root directory: what a machine with a small policy has. A kernel that runs SELinux is in
// tests/selinux; the parts of one that are plain text are files here.
func host(t testing.TB, files map[string]string) *safepath.Root {
	t.Helper()
	base, err := os.MkdirTemp("/mnt", "host")
	testkit.Must(t, err)
	testkit.Must(t, os.Chmod(base, 0o755))
	for path, text := range files {
		testkit.Must(t, os.MkdirAll(filepath.Dir(base+path), 0o755))
		testkit.Must(t, os.WriteFile(base+path, []byte(text), 0o644))
	}
	fd, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	testkit.Must(t, err)
	r := safepath.NewRoot(linux.NewHandle(fd, base))
	t.Cleanup(func() { r.Close() })
	return r
}

// machine is an SELinux whose kernel is files below /sys/fs/selinux: it knows every context, and answers no question.
func machine(t testing.TB, files map[string]string) *SELinux {
	t.Helper()
	root := host(t, files)
	kernel, err := root.Open("/sys/fs/selinux")
	testkit.Must(t, err)
	p, found, err := findPolicy(safepath.Files{Root: root, Strict: true})
	testkit.Must(t, err)
	if !found {
		t.Fatal("no policy")
	}
	s := &SELinux{kernel: kernel, proc: safepath.Files{Root: root}, policy: p}
	t.Cleanup(s.Close)
	return s
}

// small is a machine's files, with changes: a name without "/" at its start is one of the policy's, and "" removes it.
func small(changes map[string]string) map[string]string {
	const dir = "/etc/selinux/default/"
	files := map[string]string{
		configFile:                           "# comment\nSELINUX=enforcing\nSELINUXTYPE=default\n",
		"/sys/fs/selinux/mls":                "1",
		"/sys/fs/selinux/context":            "",
		"/sys/fs/selinux/class/dir/index":    "7",
		"/proc/thread-self/attr/current":     "system_u:system_r:sshd_t:s0-s0:c0.c1023\x00",
		"/proc/thread-self/attr/exec":        "",
		dir + "seusers":                      seusers,
		dir + "contexts/default_contexts":    defaultContexts,
		dir + "contexts/users/root":          "system_r:sshd_t:s0\tsysadm_r:sysadm_t:s0\n",
		dir + "contexts/failsafe_context":    "sysadm_r:sysadm_t:s0\n",
		dir + "contexts/customizable_types":  "public_content_t\nswapfile_t\n",
		dir + "contexts/files/file_contexts": fileContextsText,
	}
	for name, text := range changes {
		if !strings.HasPrefix(name, "/") {
			name = dir + name
		}
		if files[name] = text; text == "" {
			delete(files, name)
		}
	}
	return files
}

// check compares a result, printed, with what is wanted; an error is wanted by "error: " and what it must say.
func check(t *testing.T, what string, got any, err error, want string) {
	t.Helper()
	text := fmt.Sprint(got)
	if err != nil {
		text = "error: " + err.Error()
	}
	if says, ok := strings.CutPrefix(want, "error: "); ok && err != nil && strings.Contains(err.Error(), says) {
		return
	}
	if text != want {
		t.Errorf("%s\n got %s\nwant %s", what, text, want)
	}
}
