// Package grammar_test holds the parser of namespace.conf to what this machine's pam_namespace.so makes of the same
// lines: which it refuses, what it mounts where, which script it runs.
package grammar_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gons/internal/config"
	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/tests/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

const (
	service = "grammar-test"
	area    = "/srv/grammar"
	conf    = "/etc/security/namespace.conf"
	script  = "/etc/security/namespace.init"
)

// lines are each a namespace.conf. {A} stands for the area, in which d, "e f" and "e\ f" are directories, and i for instances.
// Both readers must refuse it, or make the same of it.
var lines = []string{
	"",
	"# {A}/d {A}/i/ user",
	"  \t\r",
	"{A}/d {A}/i/ user",
	"{A}/d\r{A}/i/\fuser\v\r\n\r\n# x\r\n",
	"\t {A}/d/ {A}/i/ user # rest",
	"{A}/d {A}/i/ user#rest",
	"{A}/d {A}/i/ user\n{A}/e\\ f {A}/j/ user",
	"{A}/d {A}/i/ user\n{A}/d {A}/j/ user",
	"\"{A}/e f\" \"{A}\"/i/ \"us\"er",
	"{A}/\"e \"f {A}/i/ user",
	"{A}/e\\ f {A}/i/ user",
	"\"{A}/e\\ f\" {A}/i/ tmpfs",
	"{A}/d {A}/i/ \"user",
	"{A}/d {A}/i/ \"user root",
	"{A}/d {A}/i/ user \"~root",
	"{A}/d {A}/i/pre. user",
	"{A}/d {A}/i/$USER- user",
	"{A}/d {A}/i/$USERx user",
	"{A}/$USER {A}/i/ user:create",
	"{A}/x$USERx {A}/i/ user:create=0755,root",
	"{A}/$x {A}/i/ user:create",
	"$HOME {A}/i/ user",
	"$HOME/ {A}/i/ user",

	"{A}/d x tmpfs",
	"{A}/d \"\" tmpfs",
	"{A}/d .. tmpfs",
	"{A}/d x tmpfs:mntopts=",
	"{A}/d x tmpfs:mntopts",
	"{A}/d x tmpfs:mntopts=nosuid,,size=1M",
	"{A}/d x tmpfs:mntopts=nodev:shared:mntopts=noexec",
	"{A}/d x tmpfs:mntoptsx=nosuid",
	"{A}/d {A}/i/ user:mntopts=nosuid",
	"{A}/d {A}/i/ tmpdir",
	"{A}/d {A}/i/pre- tmpdir:shared",
	"{A}/d {A}/i/ level",
	"{A}/d {A}/i/ context",

	"{A}/d {A}/i/ user:noinit",
	"{A}/d {A}/i/ user:noinitial",
	"{A}/d {A}/i/ user:iscript",
	"{A}/d {A}/i/ user:iscript=",
	"{A}/d {A}/i/ user:iscript=own",
	"{A}/d {A}/i/ user:iscript=../other",
	"{A}/d {A}/i/ user:iscript=/etc/security/other",
	"{A}/d {A}/i/ user:iscript=own:iscript",
	"{A}/d {A}/i/ user:iscript=own:iscript=/etc/security/other",
	"{A}/d {A}/i/ user:iscript=own:noinit",
	"{A}/d {A}/i/ user:iscriptown",
	"{A}/d {A}/i/ user:shared",
	"{A}/d {A}/i/ user:ignore_init_error",
	"{A}/d {A}/i/ user:unknown:::",
	"{A}/d {A}/i/ :user",
	"{A}/new1 {A}/i/ user:create=",
	"{A}/new2 {A}/i/ user:create=abc",
	"{A}/new3 {A}/i/ user:created",
	"{A}/new4 {A}/i/ user:create=0700,root,root",
	"{A}/new5 {A}/i/ user:create=0700,root,root,x",
	"{A}/new6 {A}/i/ user:create=,,root",

	"{A}/d {A}/i/ user alice",
	"{A}/d {A}/i/ user root,alice",
	"{A}/d {A}/i/ user root,,alice",
	"{A}/d {A}/i/ user root alice",
	"{A}/d {A}/i/ user ~alice",
	"{A}/d {A}/i/ user ~bob,alice",
	"{A}/d {A}/i/ user ~bob",
	"{A}/d {A}/i/ user ~",
	"{A}/d {A}/i/ user \"\"",
	"{A}/d {A}/i/ user bob,~alice",
	"{A}/d {A}/i/ user @team",
	"{A}/d {A}/i/ user ~@team",
	"{A}/d {A}/i/ user 2001",
	"{A}/d {A}/i/ user ~alice\n{A}/d x tmpfs alice",

	"{A}/d",
	"{A}/d {A}/i/",
	"{A}/d {A}/i/ \\",
	"{A}/d {A}/i/ users",
	"{A}/d {A}/i/ User",
	"d {A}/i/ user",
	"\"\" {A}/i/ user",
	"{A}/d i/ user",
	"{A}/d $USER/ user",
	"{A}/d {A}/i..j/ user",
	"{A}/../srv/grammar/d {A}/i/ user",
	"\ufeff{A}/d {A}/i/ user",
	"{A}/d\u00a0{A}/i/ user",
}

func TestSameAsPamNamespace(t *testing.T) {
	prepare(t)
	for _, line := range lines {
		text := strings.ReplaceAll(line, "{A}", area)
		t.Run(strings.ReplaceAll(line, "{A}", ""), func(t *testing.T) {
			sandbox.Write(t, conf, text, 0o644)
			if got, want := ours(t), theirs(t); got != want {
				t.Errorf("%q: got\n%s\nwant\n%s", line, got, want)
			}
		})
	}
}

// prepare makes the area, the PAM service and scripts that say when they run.
func prepare(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(area, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("grammar", area, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(area, syscall.MNT_DETACH) })
	for _, dir := range []string{"/d", "/e f", `/e\ f`} {
		if err := os.Mkdir(area+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{script, "/etc/security/namespace.d/own", "/etc/security/other"} {
		sandbox.Write(t, file, "#!/bin/sh\necho \"$0 $1\" >>"+area+"/log\n", 0o755)
	}
	sandbox.Write(t, "/etc/pam.d/"+service, "auth required pam_permit.so\naccount required pam_permit.so\n"+
		"session required pam_namespace.so\n", 0o644)
}

const refused = "refused"

// theirs is what a session of alice with pam_namespace covers and runs.
func theirs(t *testing.T) string {
	t.Helper()
	os.Remove(area + "/log")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	host := exec.CommandContext(ctx, sandbox.Built(t, "pamhost"), "--run", "cat /proc/self/mountinfo", service, sandbox.Alice.Name)
	out, err := host.CombinedOutput()
	if err != nil {
		return refused
	}
	var facts []string
	for _, line := range strings.Split(string(out), "\n") {
		if fact := mountFact(line); fact != "" {
			facts = append(facts, fact)
		}
	}
	log, _ := os.ReadFile(area + "/log")
	for _, line := range strings.Split(strings.TrimSpace(string(log)), "\n") {
		if file, dir, ok := strings.Cut(line, " "); ok {
			facts = append(facts, "run "+path.Clean(file)+" for "+dir)
		}
	}
	return strings.Join(facts, "\n")
}

// mountFact is what a line of mountinfo says of an instance; "" for other mounts.
func mountFact(line string) string {
	words := strings.Fields(strings.NewReplacer(`\040`, "\u00b7", `\134`, `\`).Replace(line))
	dash := slices.Index(words, "-")
	if dash < 6 || dash+1 >= len(words) {
		return ""
	}
	root, point, kind := words[3], strings.ReplaceAll(words[4], "\u00b7", " "), words[dash+1]
	switch {
	case root == "/" && kind == "tmpfs" && point != area && (strings.HasPrefix(point, area) || point == sandbox.Alice.Home):
		return fact(point, "tmpfs", func(flag string) bool { return slices.Contains(strings.Split(words[5], ","), flag) })
	case strings.HasPrefix(root, "/i") || strings.HasPrefix(root, "/j"):
		if point != area+root { // pam_namespace binds directories on themselves
			return fact(point, instance(area+root), func(string) bool { return false })
		}
	}
	return ""
}

// instance is a path with what is random in it made plain.
func instance(path string) string {
	if strings.HasSuffix(path, sandbox.Alice.Name) {
		return path
	}
	return path[:len(path)-6] + "XXXXXX"
}

func fact(point, instance string, has func(flag string) bool) string {
	fact := fmt.Sprintf("cover %s with %s", point, instance)
	for _, flag := range []string{"nosuid", "nodev", "noexec"} {
		if has(flag) {
			fact += " " + flag
		}
	}
	return fact
}

// ours is what the configuration as gons reads it asks for in a session of alice.
func ours(t *testing.T) string {
	t.Helper()
	root, err := safepath.OpenRoot()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	cfg, err := config.LoadFile(safepath.Files{Root: root, Strict: true}, conf, config.Reading{})
	if err != nil {
		return refused
	}
	var covers, runs []string
	alice := polyinst.Request{User: sandbox.Alice.Name, Home: sandbox.Alice.Home}
	for _, d := range cfg.Directories {
		if !applies(d) {
			continue
		}
		point := polyinst.Expand(d.Path, alice)
		covers = append(covers, coverOf(d, point, alice))
		switch d.Init.Kind {
		case config.InitStandard:
			runs = append(runs, "run "+script+" for "+point)
		case config.InitScript:
			runs = append(runs, "run "+d.Init.Script+" for "+point)
		}
	}
	return strings.Join(append(covers, runs...), "\n")
}

func applies(d config.Directory) bool {
	name := sandbox.Alice.Name
	return !slices.Contains(d.Except.Users, name) && (d.Only.Empty() || slices.Contains(d.Only.Users, name))
}

// coverOf is the fact of a directory. Without SELinux, level and context are user.
func coverOf(d config.Directory, point string, alice polyinst.Request) string {
	prefix := polyinst.Expand(d.InstancePrefix, alice)
	has := func(flag string) bool {
		return map[string]bool{"nosuid": d.Options.NoSuid, "nodev": d.Options.NoDev, "noexec": d.Options.NoExec}[flag]
	}
	switch d.Method {
	case config.MethodTmpfs:
		return fact(point, "tmpfs", has)
	case config.MethodTmpdir:
		return fact(point, prefix+"XXXXXX", has)
	}
	return fact(point, prefix+alice.User, has)
}
