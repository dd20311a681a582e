package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// at are the places that the tests' files have.
var at = Locations{Main: "/c/gons.yaml", DropIns: "/c/gons.d", Legacy: "/c/namespace.conf", LegacyDropIns: "/c/namespace.d"}

// withVendor is at, and a vendor's directory.
var withVendor = Locations{Main: at.Main, DropIns: at.DropIns, Legacy: at.Legacy, LegacyDropIns: at.LegacyDropIns, Vendor: "/c/v"}

// tmpfsAt is a file with one tmpfs.
func tmpfsAt(path, more string) string {
	return "version: 1\n" + more + "directories: [{path: " + path + ", method: tmpfs}]\n"
}

// files makes memFiles of pairs of a name under /c and a text.
func files(pairs ...string) memFiles {
	m := memFiles{text: map[string]string{}, broken: map[string]error{}}
	for i := 0; i < len(pairs); i += 2 {
		m.text["/c/"+pairs[i]] = pairs[i+1]
	}
	return m
}

// summary is the files and directories of a Config, or the error.
func summary(c *Config, err error) string {
	if err != nil {
		return allErrors(err)
	}
	var words []string
	for _, file := range c.Files {
		words = append(words, strings.TrimPrefix(file, "/c/"))
	}
	words = append(words, "->")
	for _, d := range c.Directories {
		words = append(words, d.Path+"@"+strings.TrimPrefix(d.Pos.File, "/c/"))
	}
	return strings.Join(words, " ")
}

func TestLoadOrder(t *testing.T) {
	cases := []struct {
		name  string
		files memFiles
		want  string
	}{
		{"drop-ins in byte order", files("gons.yaml", tmpfsAt("/m", ""), "gons.d/a.yaml", tmpfsAt("/a", ""),
			"gons.d/B.yaml", tmpfsAt("/b", ""), "gons.d/10.yaml", tmpfsAt("/10", ""),
			"gons.d/9.yaml", tmpfsAt("/9", "")),
			"gons.yaml gons.d/10.yaml gons.d/9.yaml gons.d/B.yaml gons.d/a.yaml -> " +
				"/m@gons.yaml /10@gons.d/10.yaml /9@gons.d/9.yaml /b@gons.d/B.yaml /a@gons.d/a.yaml"},
		{"other names", files("gons.yaml", tmpfsAt("/m", ""), "gons.d/.a.yaml", "x", "gons.d/a.yaml~", "x",
			"gons.d/a", "x", "gons.d/.yaml", "x"), "gons.yaml -> /m@gons.yaml"},
		{"replaced in place", files("gons.yaml",
			"version: 1\ndirectories: [{path: /a, method: tmpfs}, {path: /b, method: tmpfs}]\n",
			"gons.d/x.yaml", tmpfsAt("/a/", "")), "gons.yaml gons.d/x.yaml -> /a@gons.d/x.yaml /b@gons.yaml"},
		{"several replace several", files("gons.yaml", "version: 1\ndirectories: [{path: /a, method: tmpfs}, "+
			"{path: /b, method: tmpfs}, {path: /a, method: tmpfs, init: none}]\n", "gons.d/x.yaml",
			"version: 1\ndirectories: [{path: /c, method: tmpfs}, {path: /a, method: tmpfs}, {path: /d, method: tmpfs}, "+
				"{path: /a, method: tmpfs}, {path: /c, method: tmpfs}]\n"),
			"gons.yaml gons.d/x.yaml -> /a@gons.d/x.yaml /a@gons.d/x.yaml /b@gons.yaml " +
				"/c@gons.d/x.yaml /d@gons.d/x.yaml /c@gons.d/x.yaml"},
		{"drop-ins alone", files("gons.d/x.yaml", tmpfsAt("/a", ""), "namespace.conf", "/t x tmpfs"),
			"gons.d/x.yaml -> /a@gons.d/x.yaml"},
		{"YAML before namespace.conf", files("gons.yaml", "version: 1", "namespace.conf", "/t x tmpfs"),
			"gons.yaml ->"},
		{"namespace.conf", files("namespace.conf", "/t x tmpfs", "namespace.d/b.conf", "/b x tmpfs",
			"namespace.d/a.conf",
			"/t x tmpfs", "namespace.d/.c.conf", "bad", "namespace.d/d.yaml", "bad", "gons.d/README", "no drop-in"),
			"namespace.conf namespace.d/a.conf namespace.d/b.conf -> /t@namespace.conf /t@namespace.d/a.conf /b@namespace.d/b.conf"},
		{"nothing", files("namespace.d/a.conf", "/a x tmpfs"),
			"cannot find /c/gons.yaml or /c/namespace.conf: file does not exist"},
		{"problems in two files", files("gons.yaml", "version: 1\nx: 1\n", "gons.d/a.yaml", "", "gons.d/b.yaml",
			"version: 1\n"),
			"/c/gons.yaml:2:1: unknown key \"x\"\n/c/gons.d/a.yaml:1:1: version: 1 expected, not an empty file"},
		{"problems in namespace.d", files("namespace.conf", "/t\n", "namespace.d/a.conf", "\n/t /i\n"),
			"/c/namespace.conf:1:1: instance_prefix missing: \"polydir instance_prefix method [users]\" expected\n" +
				"/c/namespace.d/a.conf:2:1: method missing: \"polydir instance_prefix method [users]\" expected"},
		{"too large", files("gons.yaml", strings.Repeat("a", 10<<20), "namespace.conf", ""),
			"cannot read the configuration: read /c/gons.yaml: larger than 1048576 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := summary(Load(c.files, at, Reading{})); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The vendor's files are read where the host has none of that name.
func TestLoadVendor(t *testing.T) {
	cases := []struct {
		name  string
		files memFiles
		want  string
	}{
		{"the vendor's alone", files("v/namespace.conf", "/v x tmpfs"), "v/namespace.conf -> /v@v/namespace.conf"},
		{"the host's first", files("v/namespace.conf", "bad", "namespace.conf", ""), "namespace.conf ->"},
		{"gons.yaml before both", files("v/namespace.conf", "bad", "gons.yaml", "version: 1"), "gons.yaml ->"},
		{"drop-ins of both", files("namespace.conf", "", "namespace.d/b.conf", "/b x tmpfs", "v/namespace.d/B.conf", "/B x tmpfs",
			"v/namespace.d/b.conf", "bad", "v/namespace.d/a.conf", "/a x tmpfs", "namespace.d/c.conf", "/c x tmpfs",
			"v/namespace.d/.d.conf", "bad", "v/namespace.d/d", "bad"),
			"namespace.conf v/namespace.d/B.conf v/namespace.d/a.conf namespace.d/b.conf namespace.d/c.conf -> " +
				"/B@v/namespace.d/B.conf /a@v/namespace.d/a.conf /b@namespace.d/b.conf /c@namespace.d/c.conf"},
		{"no namespace.conf", files("v/namespace.d/a.conf", "/a x tmpfs"),
			"cannot find /c/gons.yaml or /c/namespace.conf: file does not exist"},
	}
	for _, c := range cases {
		if got := summary(Load(c.files, withVendor, Reading{})); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	if got := summary(Load(cases[0].files, at, Reading{})); got != "cannot find /c/gons.yaml or /c/namespace.conf: file does not exist" {
		t.Errorf("without a vendor: got %s", got)
	}
}

func TestStandardInit(t *testing.T) {
	if got := fmt.Sprint(Default.StandardInit()); got != "[/etc/security/namespace.init /usr/share/pam/security/namespace.init]" {
		t.Error("got ", got)
	}
	if got := fmt.Sprint(Locations{LegacyInit: "/a"}.StandardInit()); got != "[/a]" {
		t.Error("got ", got)
	}
}

// A file or directory that is there but can't be read must never lead to another configuration.
func TestLoadReadErrors(t *testing.T) {
	good := []string{"gons.yaml", "version: 1", "gons.d/a.yaml", "version: 1", "namespace.conf", "",
		"namespace.d/a.conf", ""}
	for broken, want := range map[string]string{
		"gons.yaml":          "cannot read the configuration: open /c/gons.yaml: permission denied",
		"gons.d":             "cannot list the configuration: open /c/gons.d: permission denied",
		"gons.d/a.yaml":      "cannot read the configuration: open /c/gons.d/a.yaml: permission denied",
		"namespace.conf":     "cannot read the configuration: open /c/namespace.conf: permission denied",
		"namespace.d":        "cannot list the configuration: open /c/namespace.d: permission denied",
		"namespace.d/a.conf": "cannot read the configuration: open /c/namespace.d/a.conf: permission denied",
		"v/namespace.d":      "cannot list the configuration: open /c/v/namespace.d: permission denied",
	} {
		f := files(good...)
		if strings.Contains(broken, "namespace") {
			f = files(good[4:]...)
		}
		f.broken["/c/"+broken] = fs.ErrPermission
		cfg, err := Load(f, withVendor, Reading{})
		if cfg != nil || !errors.Is(err, fs.ErrPermission) || err.Error() != want {
			t.Errorf("%s: got %v, %v; want %s", broken, cfg, err, want)
		}
	}
}

// A drop-in that is listed and then missing is an error too, even though it matches fs.ErrNotExist.
func TestLoadVanishedDropIn(t *testing.T) {
	f := files("gons.d/a.yaml", "version: 1", "namespace.conf", "/t x tmpfs")
	f.broken["/c/gons.d/a.yaml"] = fs.ErrNotExist
	cfg, err := Load(f, at, Reading{})
	want := "cannot read the configuration: open /c/gons.d/a.yaml: file does not exist"
	if cfg != nil || fmt.Sprint(err) != want {
		t.Errorf("got %v, %v; want %s", cfg, err, want)
	}
}

func TestLoadOverrides(t *testing.T) {
	cfg, err := Load(files(
		"gons.yaml",
		"version: 1\nnamespace: {propagation: private, home: slave, always: true, names: md5, inherited: unmount}\n"+
			"selinux: {required: true, context: current}\nexempt: {users: [root, a], groups: [g]}\n",
		"gons.d/1.yaml", "version: 1\nnamespace: {propagation: shared}\nexempt: {users: [b, a], services: [su]}\n",
		"gons.d/2.yaml", "version: 1\nnamespace: {always: false, names: plain}\nselinux: {required: false}\n",
		"gons.d/3.yml", "never read",
	), at, Reading{})
	if err != nil {
		t.Fatal(allErrors(err))
	}
	golden(t, "testdata/overrides.golden", dump(cfg))
}

// A drop-in of the wrong name is told of even where it leaves namespace.conf in charge.
func TestLoadWarnsBeforeLegacy(t *testing.T) {
	cfg, err := Load(files("gons.d/a.yml", "version: 1", "namespace.conf", "/t x tmpfs:wat"), at, Reading{})
	if err != nil {
		t.Fatal(err)
	}
	want := "/c/gons.d/a.yml: not read: only names that end in .yaml are\n" +
		"/c/namespace.conf:1:12: unknown flag \"wat\" is ignored"
	if got := allWarnings(cfg); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLoadTooManyFiles(t *testing.T) {
	f := files()
	for i := range MaxFiles + 1 {
		f.text[fmt.Sprintf("/c/gons.d/%d.yaml", i)] = "version: 1"
	}
	if got, want := summary(Load(f, at, Reading{})), "/c/gons.d: 1001 files; at most 1000 expected"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The limit counts the directories of all files, and each path once.
func TestLoadTooManyDirectories(t *testing.T) {
	var list strings.Builder
	for i := range MaxDirectories {
		fmt.Fprintf(&list, "- {path: /d%d, method: tmpfs}\n", i)
	}
	f := files("gons.yaml", "version: 1\ndirectories:\n"+list.String(), "gons.d/a.yaml", tmpfsAt("/d7", ""))
	if cfg, err := Load(f, at, Reading{}); err != nil || len(cfg.Directories) != MaxDirectories {
		t.Errorf("got %v", err)
	}
	f.text["/c/gons.d/b.yaml"] = tmpfsAt("/more", "")
	if got, want := summary(Load(f, at, Reading{})),
		"/c/gons.d/b.yaml:2:15: more than 1000 directories in all files"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLoadFile(t *testing.T) {
	f := files("gons.yaml", tmpfsAt("/m", ""), "gons.d/a.yaml", tmpfsAt("/a", ""), "x.yml", tmpfsAt("/y", ""),
		"other", "/t x tmpfs", "namespace.conf", "/n x tmpfs", "namespace.d/a.conf", "/a x tmpfs", "bad", "x")
	for file, want := range map[string]string{
		"gons.yaml":      "gons.yaml -> /m@gons.yaml",
		"x.yml":          "x.yml -> /y@x.yml",
		"other":          "other -> /t@other",
		"namespace.conf": "namespace.conf -> /n@namespace.conf",
		"bad":            "/c/bad:1:1: instance_prefix missing: \"polydir instance_prefix method [users]\" expected",
		"missing":        "cannot read the configuration: open /c/missing: file does not exist",
	} {
		if got := summary(LoadFile(f, "/c/"+file, Reading{})); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}
