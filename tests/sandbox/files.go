package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Module is the module under test, as a PAM stack names it.
func Module(t testing.TB) string {
	t.Helper()
	return Built(t, "pam_gons.so")
}

// BuildVar names another directory than build/ below the repository: make test-sanitized tests another build.
const BuildVar = "GONS_TEST_BUILD"

// Built returns a file below build/, which must be there.
func Built(t testing.TB, name string) string {
	t.Helper()
	repo, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv(BuildVar)
	if dir == "" {
		dir = "build"
	}
	path := filepath.Join(repo, dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make", err)
	}
	return path
}

// Write writes a file and makes the directories on the way. Ownership is root's, the mode exactly what is asked for.
func Write(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// Config writes /etc/security/gons.yaml and removes it after the test.
func Config(t testing.TB, yaml string) {
	t.Helper()
	const path = "/etc/security/gons.yaml"
	Write(t, path, yaml, 0o644)
	t.Cleanup(func() { os.Remove(path) })
}

// Stack writes a PAM service that lets everybody in and has one session line for the module: "required" or "optional"
// as control, followed by the module's options.
func Stack(t testing.TB, service, control string, options ...string) {
	t.Helper()
	Write(t, "/etc/pam.d/"+service, fmt.Sprintf("auth required pam_permit.so\naccount required pam_permit.so\n"+
		"password required pam_deny.so\nsession %s %s %s\n", control, Module(t), strings.Join(options, " ")), 0o644)
}

// Tree describes a directory and all below it, a line each: mode, owner, group, path and, of a link, its target. It
// reads what root can read, mode 000 or not. A missing directory is no line.
func Tree(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		link, _ := os.Readlink(path)
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d %d %s %s", info.Mode(), st.Uid, st.Gid, path, link)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
