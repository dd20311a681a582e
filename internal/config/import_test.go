package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// importOf imports a text and returns the gons.yaml, checked to mean the same.
func importOf(t *testing.T, text string, how Reading) string {
	t.Helper()
	f := memFiles{text: map[string]string{"/f": text}}
	want, err := LoadFile(f, "/f", how)
	if err != nil {
		t.Fatal(allErrors(err))
	}
	yaml, warnings, err := ImportFile(f, "/f", how)
	if err != nil {
		t.Fatal(allErrors(err))
	}
	if len(warnings) != len(want.Warnings) {
		t.Errorf("warnings %v, want %v", warnings, want.Warnings)
	}
	got, err := ParseYAML("f", yaml)
	if err != nil {
		t.Fatalf("%s\n%s", allErrors(err), yaml)
	}
	sameMeaning(t, got, want)
	return string(yaml)
}

// Whole files as sites have them, and what each becomes.
func TestImportGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data: ", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/imports/"+filepath.Base(file)+".yaml", importOf(t, string(data), Reading{}))
		})
	}
}

// imported is what stands before the entries of an import.
const imported = "version: 1\n# From /f:\n"

func TestImport(t *testing.T) {
	cases := []struct{ name, conf, want string }{
		{"nothing", "", "\n"},
		{"comments and empty lines", "# a\n\n  #b\t\n", "# a\n\n#b\n"},
		{"comment that YAML can't have", "# a\x01\u2028b\xff\v\ufeffc\r\n", "# a??b? ?c\n"},
		{"comments in place", "# a\n/t x tmpfs:noinit # b\n# c\n\n", "" +
			"# a\ndirectories:\n  - path: /t  # b\n    method: tmpfs\n  # c\n\n"},
		{"init is told", "/t x tmpfs\n", "directories:\n  - path: /t\n    method: tmpfs\n    init: standard\n"},
		{"nobody", "/t x tmpfs ~ # why\n", "" +
			"# Left out: \"~\" without a name: this line applies to nobody\n#   /t x tmpfs ~ # why\n"},
		{"prefix", "/t /t/pre. user:noinit\n", "" +
			"directories:\n  - path: /t\n    method: user\n    instances: /t\n    prefix: pre.\n"},
		{"variables", "$HOMEx/$USER_1 $HOME/$USER.inst/$USERy- user:noinit\n", "" +
			"directories:\n  - path: \"${HOME}x/${USER}_1\"\n    method: user\n" +
			"    instances: $HOME/$USER.inst\n    prefix: \"${USER}y-\"\n"},
		{"slashes and dots", "//t/./a/. /i//./j/.x user:noinit\n", "" +
			"directories:\n  - path: /t/a\n    method: user\n    instances: /i/j\n    prefix: \".x\"\n"},
		{"quotes", "/a\\ \\\"b\\\\: /1/ user:noinit\n/1 /no/ user:noinit no,true,1,-,a\u00e4,@g\n", "" +
			"directories:\n  - path: \"/a \\\"b\\\\:\"\n    method: user\n    instances: /1\n" +
			"  - path: /1\n    method: user\n    instances: /no\n" +
			"    except: {users: [\"no\", \"true\", \"1\", \"-\", \"a\u00e4\", \"@g\"]}\n"},
		{"method and shared", "/t /i/ level:shared:noinit\n/u /i/ context:noinit\n", "" +
			"directories:\n  - path: /t\n    method: level\n    instances: /i\n    shared: true\n" +
			"  - path: /u\n    method: context\n    instances: /i\n"},
		{"scripts", "/t /i/ user:iscript=a b\n/u /i/ user:ignore_init_error:iscript=/s\n/v /i/ user:ignore_init_error\n", "" +
			"directories:\n  - path: /t\n    method: user\n    instances: /i\n    init: /etc/security/namespace.d/a\n" +
			"    except: {users: [b]}\n" +
			"  - path: /u\n    method: user\n    instances: /i\n    init: {script: /s, on_failure: ignore}\n" +
			"  - path: /v\n    method: user\n    instances: /i\n    init: {script: standard, on_failure: ignore}\n"},
		{"create", "/t /i/ user:noinit:create\n/u /i/ user:noinit:create=0,true\n/v /i/ user:noinit:create=,,g\n", "" +
			"directories:\n  - path: /t\n    method: user\n    instances: /i\n    create: {}\n" +
			"  - path: /u\n    method: user\n    instances: /i\n    create: {mode: \"0000\", owner: \"true\"}\n" +
			"  - path: /v\n    method: user\n    instances: /i\n    create: {group: g}\n"},
		{"options", "/t x tmpfs:noinit:mntopts=nodev,size=1G,uid=$UIDx,noexec,huge\n", "" +
			"directories:\n  - path: /t\n    method: tmpfs\n    options: [nodev, noexec, size=1G, \"uid=${UID}x\", huge]\n"},
		{"one path twice", "/t /i/ user:noinit ~a,b\n/t x tmpfs:noinit a,b\n", "" +
			"directories:\n  - path: /t\n    method: user\n    instances: /i\n    only: {users: [a, b]}\n" +
			"  - path: /t\n    method: tmpfs\n    except: {users: [a, b]}\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := strings.TrimPrefix(importOf(t, c.conf, Reading{}), imported)
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestImportGroupsAndBadLines(t *testing.T) {
	got := importOf(t, "/t x tmpfs:noinit ~@g,a\n/bad # really\n", Reading{Groups: true, SkipBad: true})
	want := imported + "directories:\n  - path: /t\n    method: tmpfs\n    only: {users: [a], groups: [g]}\n" +
		"  # Left out: instance_prefix missing: \"polydir instance_prefix method [users]\" expected\n  #   /bad # really\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What gons.yaml can't say is an error with the line of namespace.conf.
func TestImportErrors(t *testing.T) {
	const noInstances = "instances are in a directory other than /, with a slash between it and what their names begin with"
	cases := []struct{ conf, want string }{
		{"/t\\n /i/ user", `this polydir: "/t\n" contains a control character`},
		{"/\xff /i/ user", `this polydir: not UTF-8`},
		{"/$x /i/ user", `this polydir: unknown variable "$x"; only $HOME and $USER are known`},
		{"/t / user", "this instance_prefix: " + noInstances},
		{"/t /pre- user", "this instance_prefix: " + noInstances},
		{"/t $HOME user", "this instance_prefix: " + noInstances},
		{"/t /i/$HOME user", `this instance_prefix: "$HOME" contains $HOME, which has slashes in it`},
		{"/t /$x/ user", `this instance_prefix: unknown variable "$x"; only $HOME and $USER are known`},
		{"/t /i/ user:iscript=/", `this iscript: "/" is not a directory that can be private`},
		{"/t /i/ user:iscript=$x", `this iscript: "/etc/security/namespace.d/$x": there are no variables in the path of a script`},
		{"/t /i/ user a\\ b", `this name: "a b" is not a name: ` + notAName},
		{"/t /i/ user \xfe", `this name: not UTF-8`},
		{"/t x tmpfs:mntopts=exec", `this mntopts: "exec" is not supported; leave out "noexec" instead`},
		{"/t x tmpfs:mntopts=a=1,a=2", `this mntopts: "a" is given twice`},
		{"/t x tmpfs:mntopts=a=$b", `this mntopts: unknown variable "$b"; only $USER, $UID and $GID are known`},
	}
	for _, c := range cases {
		f := memFiles{text: map[string]string{"/f": "# first\n " + c.conf}}
		yaml, _, err := ImportFile(f, "/f", Reading{})
		if want := "/f:2:2: gons.yaml can't say " + c.want; yaml != nil || allErrors(err) != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.conf, allErrors(err), want)
		}
	}
	_, _, err := ImportFile(memFiles{text: map[string]string{"/f": "/t"}}, "/f", Reading{})
	if want := `/f:1:1: instance_prefix missing: "polydir instance_prefix method [users]" expected`; fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, _, err = ImportFile(memFiles{text: map[string]string{"/f.yaml": "version: 1"}}, "/f.yaml", Reading{})
	if want := "cannot import /f.yaml: by its name it is a gons.yaml already"; fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A result that the module would refuse for its size is no result.
func TestImportBoundsSize(t *testing.T) {
	text := "/t x tmpfs " + strings.Repeat("a,", (MaxFileSize-100)/2) + "a\n"
	yaml, _, err := ImportFile(memFiles{text: map[string]string{"/f": text}}, "/f", Reading{})
	if want := "cannot import: the result would be longer than 1048576 bytes"; yaml != nil || fmt.Sprint(err) != want {
		t.Errorf("got %.200v, want %s", err, want)
	}
}

// All files that pam_namespace would read, in its order, whatever gons.yaml says.
func TestImportHost(t *testing.T) {
	f := files("gons.yaml", "version: 1", "namespace.conf", "/a x tmpfs:noinit\n", "namespace.d/1.conf", "# one",
		"v/namespace.d/0.conf", "# zero\n", "v/namespace.d/1.conf", "hidden")
	yaml, _, err := Import(f, withVendor, Reading{})
	want := "version: 1\n# From /c/namespace.conf:\ndirectories:\n  - path: /a\n    method: tmpfs\n" +
		"  # From /c/v/namespace.d/0.conf:\n  # zero\n  # From /c/namespace.d/1.conf:\n  # one\n"
	if err != nil || string(yaml) != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, yaml, want)
	}
	_, _, err = Import(files("gons.yaml", "version: 1"), at, Reading{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// pieces are what lines are put together from, by chance but always the same.
var pieces = [][]string{
	{"/tmp", "//a/./b/", "$HOME", "$HOME.x/$USERy", "/a\\ b", "\"/q#", "/$", "/\xc3", "\u00e4", "/tmp/$HOME", "/..", "/a\\\"b", "/:"},
	{" /i/", " /i/pre.", " $HOME/$USER.inst/", " /tmp/", " x", " /i/$USER-", " /", " $HOME", " /a\\ b/\\tc", " /tmp/i//."},
	{" user", " level", " context", " tmpfs", " tmpdir", " :user", " users"},
	{"", ":create", ":create=0755,root", ":create=,,wheel", ":create=9x", ":created=1,,", ":create=-1"},
	{"", ":noinit", ":iscript", ":iscript=a/../b", ":iscript=/x//y", ":iscript=$z", ":iscript=\"a b\"", ":ignore_init_error"},
	{"", ":shared", ":noinitx", ":wat", "::", ":ignore_init_error:noinit"},
	{"", ":mntopts=nosuid,size=1G", ":mntopts=size=$UID,uid=$GIDx,a", ":mntopts=mpol=bind:x", ":mntopts=a,a", ":mntopts"},
	{"", " root", " ~root,adm", " ~", " @wheel,root", " ~@wheel", " a,,b", " \u00e4,\"c d\"", " no,1,~b", " x # c"},
	{"", " fifth", "\t# \u2028 rest", "\r", " \\", "\n# a\n\n /b /c/ user"},
}

func TestImportOfAnyPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	loaded, imported := 0, 0
	for range 6000 {
		var text strings.Builder
		for range 1 + random.IntN(3) {
			for _, some := range pieces {
				text.WriteString(some[random.IntN(len(some))])
			}
			text.WriteByte('\n')
		}
		l, i := checkImport(t, text.String(), random.IntN(2) == 0)
		loaded, imported = loaded+l, imported+i
	}
	if loaded < 2000 || imported < 500 {
		t.Errorf("only %d of 6000 load and %d can be imported: the pieces prove little", loaded, imported)
	}
}
