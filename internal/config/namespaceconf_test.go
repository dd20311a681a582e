package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var legacyErrors = []parserTest{
	{"no prefix", "\n  /tmp # rest\n",
		`f:2:3: instance_prefix missing: "polydir instance_prefix method [users]" expected`},
	{"no method", "/tmp /tmp-inst/ # user\n",
		`f:1:1: method missing: "polydir instance_prefix method [users]" expected`},
	{"continued line", "/tmp /tmp-inst/ \\\nuser\n", "" +
		"f:1:17: method \"\\\\\" is not one of user, tmpfs, tmpdir, level, context\n" +
		"f:2:1: instance_prefix missing: \"polydir instance_prefix method [users]\" expected"},
	{"NUL", "/tmp /tmp-inst/ user\x00:create\n", `f:1:1: a NUL byte`},
	{"relative polydir", "tmp /tmp-inst/ user\n", `f:1:1: polydir "tmp" does not begin with "/" or "$HOME"`},
	{"empty polydir", "\"\" /tmp-inst/ user\n", `f:1:1: polydir "" does not begin with "/" or "$HOME"`},
	{"relative prefix", "/tmp $USER/ user\n", `f:1:6: instance_prefix "$USER/" does not begin with "/" or "$HOME"`},
	{"root", "// tmpfs tmpfs\n", `f:1:1: polydir "/" is not a directory that can be private`},
	{"dots", "/a..b /i/../x tmpfs\n",
		"f:1:1: polydir \"/a..b\" contains \"..\"\nf:1:7: instance_prefix \"/i/../x\" contains \"..\""},
	{"long", "/" + strings.Repeat("a", maxPath) + " /i/ user\n", `f:1:1: polydir is longer than 4095 bytes`},
	{"method", "/tmp /tmp-inst/ users\n",
		`f:1:17: method "users" is not one of user, tmpfs, tmpdir, level, context (did you mean "user"?)`},
	{"empty method", "/tmp /tmp-inst/ :\n", `f:1:17: method "" is not one of user, tmpfs, tmpdir, level, context`},
	{"capital method", "/tmp /tmp-inst/ User\n",
		`f:1:17: method "User" is not one of user, tmpfs, tmpdir, level, context (did you mean "user"?)`},
	{"long iscript", "/tmp /tmp-inst/ user:iscript=" + strings.Repeat("i", maxPath) + "\n",
		`f:1:22: iscript is longer than 4095 bytes`},
	{"create", "/tmp /tmp-inst/ user:create=0700,root,wheel,more\n",
		`f:1:22: create: "wheel,more" is not a name: ` + notAName},
	{"columns are characters", "\u00e4\u00f6 /i/ usr\n",
		"f:1:1: polydir \"\u00e4\u00f6\" does not begin with \"/\" or \"$HOME\"\n" +
			"f:1:8: method \"usr\" is not one of user, tmpfs, tmpdir, level, context (did you mean \"user\"?)"},
}

func TestLegacyErrors(t *testing.T) {
	for _, c := range legacyErrors {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := ParseNamespaceConf("f", []byte(c.text))
			if err == nil || cfg != nil {
				t.Fatalf("got %v, %v", cfg, err)
			}
			if got := allErrors(err); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			checkErrors(t, err)
		})
	}
}

var legacyWarnings = []parserTest{
	{"fifth field", "/tmp /i/ user root, adm more\n", "" +
		"f:1:21: \"adm\" is ignored, as is what follows it: the list of users has no spaces in it\n" +
		"f:1:20: an empty name in the list of users"},
	{"hash in quotes", "\"/tmp\" \"/i/\" \"user#\"\n",
		`f:1:1: an unterminated quote; note that # begins a comment in quotes too`},
	{"unknown flag", "/tmp /i/ user:crate=0700:wat\n", "" +
		"f:1:15: unknown flag \"crate\" is ignored (did you mean \"create\"?)\nf:1:26: unknown flag \"wat\" is ignored"},
	{"flag by prefix", "/tmp /i/ user:created=0700\n", `f:1:15: flag "created=0700" is read as "create"`},
	{"flag in a quoted field", "/tmp /i/ \"user\":wat root,\\@adm\n", "" +
		"f:1:10: unknown flag \"wat\" is ignored\n" +
		"f:1:21: \"@adm\" is read as a user's name: groups need the option enable_groups"},
	{"columns of later words are characters", "/tmp /i/ user:\u00e4:wat \u00e4,@adm\n", "" +
		"f:1:15: unknown flag \"\u00e4\" is ignored\nf:1:17: unknown flag \"wat\" is ignored\n" +
		"f:1:23: \"@adm\" is read as a user's name: groups need the option enable_groups"},
	{"shared", "/tmp /i/ user:shared\n", `f:1:15: flag shared has no effect with method user; ` + "`shared: true` in gons.yaml has"},
	{"shared with tmpdir", "/tmp /i/ tmpdir:shared\n", `f:1:17: flag shared has no effect with method tmpdir`},
	{"flags that take no value", "/tmp /i/ level:shared=1:noinit=yes\n", "" +
		"f:1:16: flag \"shared=1\" is read as \"shared\": it takes no value\n" +
		"f:1:25: flag \"noinit=yes\" is read as \"noinit\": it takes no value"},
	{"iscript without a path", "/tmp /i/ user:iscript:iscript=\n",
		"f:1:15: flag iscript without a path has no effect\nf:1:23: flag iscript without a path has no effect"},
	{"iscript twice", "/tmp /i/ user:iscript=a:iscript=b\n", `f:1:25: an earlier iscript is ignored: the last one counts`},
	{"iscript with dots", "/tmp /i/ user:iscript=../a\n", `f:1:15: iscript "../a" is read as "/etc/security/a"`},
	{"iscript with noinit", "/tmp /i/ user:noinit:iscript=a\n", `f:1:10: flag iscript has no effect with noinit`},
	{"own flag", "/tmp /i/ user:ignore_init_errors:ignore_init_error=1\n", "" +
		"f:1:15: unknown flag \"ignore_init_errors\" is ignored (did you mean \"ignore_init_error\"?)\n" +
		"f:1:34: unknown flag \"ignore_init_error\" is ignored (did you mean \"ignore_init_error\"?)"},
	{"variables in mntopts", "/tmp x tmpfs:mntopts=uid=$UID,gid=$GIDs,a=$HOME\n",
		`f:1:14: mntopts: unknown variable "$HOME"; only $USER, $UID and $GID are known`},
	{"mntopts with user", "/tmp /i/ user:mntopts=nosuid\n",
		`f:1:15: mount options are ignored: they are for method tmpfs only`},
	{"mntopts without value", "/tmp x tmpfs:mntopts\n", `f:1:14: flag mntopts without "=" is ignored`},
	{"mntopts twice", "/tmp x tmpfs:mntopts=nosuid:mntopts=noexec,nodv\n", "" +
		"f:1:29: an earlier mntopts is ignored: the last one counts\n" +
		"f:1:29: option \"nodv\" is passed to tmpfs (did you mean \"nodev\"?)"},
	{"decimal mode", "/tmp /i/ user:create=755\n",
		`f:1:15: create: mode "755" is read as 01363: a number without a leading 0 is decimal`},
	{"mode not a number", "/tmp /i/ user:create=abc\n",
		`f:1:15: create: mode "abc" is read as 0000: it is not a number`},
	{"mode with a rest", "/tmp /i/ user:create=0788\n",
		`f:1:15: create: mode "0788" is read as 0007: "88" after the number is ignored`},
	{"large mode", "/tmp /i/ user:create=0100755\n",
		`f:1:15: create: mode "0100755" is read as 0755: it has more than permission bits`},
	{"negative mode", "/tmp /i/ user:create=-1\n", `f:1:15: create: mode "-1" is out of range: the default is taken`},
	{"mode overflow", "/tmp /i/ user:create=099999999999999999999999:create=07777777777777777777777777\n", "" +
		"f:1:15: create: mode \"099999999999999999999999\" is read as 0000: \"99999999999999999999999\" after the number is ignored\n" +
		"f:1:47: create: mode \"07777777777777777777777777\" is out of range: the default is taken"},
	{"suspect names", "/tmp /i/ user a,~b,@adm,*,c/d\n", "" +
		"f:1:17: \"~b\" is read as a user's name: \"~\" has a meaning only before the first name\n" +
		"f:1:20: \"@adm\" is read as a user's name: groups need the option enable_groups\n" +
		"f:1:25: \"*\" is read as a user's name: there are no patterns here\n" +
		"f:1:27: \"c/d\" is not a name: " + notAName},
	{"nobody", "/tmp /i/ user ~\n/tmp /i/ user ~,\n", "" +
		"f:1:15: \"~\" without a name: this line applies to nobody\n" +
		"f:2:16: an empty name in the list of users\nf:2:17: an empty name in the list of users\n" +
		"f:2:15: \"~\" without a name: this line applies to nobody"},
	{"same path", "/tmp /i/ user\n/tmp/ x tmpfs\n",
		"f:2:1: \"/tmp\" is also at f:1:1; where both apply, the instance of this one hides the other's"},
}

func TestLegacyWarnings(t *testing.T) {
	for _, c := range legacyWarnings {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := ParseNamespaceConf("f", []byte(c.text))
			if err != nil {
				t.Fatal(allErrors(err))
			}
			if got := allWarnings(cfg); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			validate(t, cfg)
		})
	}
}

// What the warnings say is also what happens.
func TestLegacySlips(t *testing.T) {
	cases := []struct{ line, want string }{
		{"/tmp /i/ user:created=0700", "create default"},
		{"/tmp /i/ user:create=755", "create 1363"},
		{"/tmp /i/ user:create=0x1ff", "create 0777"},
		{"/tmp /i/ user:create=-1", "create default"},
		{"/tmp /i/ user:create=0700:create", "create default"},
		{"/tmp x tmpfs:mntopts=nosuid,size=1:mntopts=a,,b=1,nodev,", "data [\"a\" \"b=1\"] nodev"},
		{"/tmp /i/ user ~,eve", "only [\"eve\"]"},
		{"/tmp /i/ user \"\"", "plain"},
		{"/tmp /i/ :user::create::", "create default"},
		{"/tmp /i/ user ~", "nothing"},
	}
	for _, c := range cases {
		cfg, err := ParseNamespaceConf("f", []byte(c.line))
		if err != nil {
			t.Errorf("%s: %s", c.line, allErrors(err))
		} else if got := sketch(cfg); got != c.want {
			t.Errorf("%s: got %s, want %s", c.line, got, c.want)
		}
	}
}

// What flags make of a directory.
func TestLegacyFlags(t *testing.T) {
	cases := []struct {
		flags  string
		shared bool
		init   Init
	}{
		{"user", false, Init{Kind: InitStandard}},
		{"user:shared", false, Init{Kind: InitStandard}},
		{"level:shared", true, Init{Kind: InitStandard}},
		{"context:shared:noinit", true, Init{}},
		{"user:noinit:iscript=/a:ignore_init_error", false, Init{}},
		{"user:iscript", false, Init{Kind: InitStandard}},
		{"user:iscript/a", false, Init{Kind: InitStandard}},
		{"user:iscript=/a/./b//c/:iscript", false, Init{Kind: InitScript, Script: "/a/b/c"}},
		{"tmpfs:iscript=x", false, Init{Kind: InitScript, Script: "/etc/security/namespace.d/x"}},
		{"tmpdir:ignore_init_error:iscript=../x", false, Init{InitScript, "/etc/security/x", true}},
		{"user:ignore_init_error", false, Init{Kind: InitStandard, IgnoreFailure: true}},
	}
	for _, c := range cases {
		cfg, err := ParseNamespaceConf("f", []byte("/tmp /i/ "+c.flags))
		if err != nil {
			t.Errorf("%s: %s", c.flags, allErrors(err))
		} else if d := cfg.Directories[0]; d.Shared != c.shared || d.Init != c.init || !cfg.Legacy {
			t.Errorf("%s: got shared %t, init %+v", c.flags, d.Shared, d.Init)
		}
	}
}

// One spelling of a path, as far as the text alone tells; an instance's name goes on where its prefix ends.
func TestLegacyPaths(t *testing.T) {
	for given, want := range map[[2]string][2]string{
		{"/tmp//", "/i"}:             {"/tmp", "/i"},
		{"//a/./b/.", "//i//./j/"}:   {"/a/b", "/i/j/"},
		{"$HOME/./", "$HOME//.x"}:    {"$HOME", "$HOME/.x"},
		{"$HOMEx", "$HOME"}:          {"$HOMEx", "$HOME"},
		{"/.a/b.", "/."}:             {"/.a/b.", "/."},
		{"/$USER.x", "//$USER./y//"}: {"/$USER.x", "/$USER./y/"},
	} {
		cfg, err := ParseNamespaceConf("f", []byte(given[0]+" "+given[1]+" user"))
		if err != nil {
			t.Errorf("%q: %s", given, allErrors(err))
		} else if d := cfg.Directories[0]; d.Path != want[0] || d.InstancePrefix != want[1] {
			t.Errorf("%q: got %q %q, want %q", given, d.Path, d.InstancePrefix, want)
		}
	}
}

// With SkipBad a line that is wrong is left out and told of, without what else there is to say about it.
func TestLegacySkipsBadLines(t *testing.T) {
	text := "/a x tmpfs\n/b x tmpf:wat\n\x00\nc\n/d /../i user:wat\n/e x tmpfs\n"
	cfg, err := LoadFile(files("f", text), "/c/f", Reading{SkipBad: true})
	want := "/c/f:2:6: method \"tmpf\" is not one of user, tmpfs, tmpdir, level, context (did you mean \"tmpfs\"?); this line is left out\n" +
		"/c/f:3:1: a NUL byte; this line is left out\n" +
		"/c/f:4:1: instance_prefix missing: \"polydir instance_prefix method [users]\" expected; this line is left out\n" +
		"/c/f:5:4: instance_prefix \"/../i\" contains \"..\"; this line is left out"
	if got := summary(cfg, err); got != "f -> /a@f /e@f" || allWarnings(cfg) != want {
		t.Errorf("got %s\n%s\nwant\n%s", got, allWarnings(cfg), want)
	}
	_, err = LoadFile(files("f", strings.Repeat("/a x tmpfs\n", MaxDirectories+1)), "/c/f", Reading{SkipBad: true})
	if want := "/c/f:1001:1: more than 1000 directories in all files"; fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLegacyGroups(t *testing.T) {
	for list, want := range map[string]string{
		"@adm,root":  `except users ["root"] groups ["adm"]`,
		"~@adm,@,@b": `only users [] groups ["adm" "b"]`,
		"~@":         `nothing`,
		"a@b":        `except users ["a@b"] groups []`,
	} {
		cfg, err := LoadFile(files("f", "/a x tmpfs "+list), "/c/f", Reading{Groups: true})
		if err != nil {
			t.Fatal(err)
		}
		got := "nothing"
		if len(cfg.Directories) > 0 {
			d := cfg.Directories[0]
			got = fmt.Sprintf("only users %q groups %q", d.Only.Users, d.Only.Groups)
			if d.Only.Empty() {
				got = fmt.Sprintf("except users %q groups %q", d.Except.Users, d.Except.Groups)
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", list, got, want)
		}
	}
}

// Names are collected where asked for, but not those that were told of already.
func TestNames(t *testing.T) {
	const yaml = "version: 1\nexempt: {users: [a], groups: [b], services: [s]}\n" +
		"directories: [{only: {users: [c]}, create: {owner: d, group: e}, path: /x, method: tmpfs}]\n"
	f := files("f", "/a x tmpfs:create=0,u,u b,@c,~d\n", "f.yaml", yaml)
	for file, want := range map[string]string{
		"f":      "[{/c/f:1:12 false u} {/c/f:1:12 true u} {/c/f:1:25 false b}]",
		"f.yaml": "[{/c/f.yaml:2:18 false a} {/c/f.yaml:2:31 true b} {/c/f.yaml:3:31 false c} {/c/f.yaml:3:52 false d} {/c/f.yaml:3:62 true e}]",
	} {
		for _, ask := range []bool{true, false} {
			cfg, err := LoadFile(f, "/c/"+file, Reading{Names: ask})
			if err != nil {
				t.Fatal(err)
			}
			if !ask {
				want = "[]"
			}
			if got := fmt.Sprint(cfg.Names); got != want {
				t.Errorf("%s: got %s, want %s", file, got, want)
			}
		}
	}
}

// sketch says what is special about a Config of one directory.
func sketch(c *Config) string {
	if len(c.Directories) == 0 {
		return "nothing"
	}
	d := c.Directories[0]
	switch {
	case d.Create != nil:
		return "create " + dumpMode(d.Create.Mode)
	case len(d.Options.Data) > 0 && d.Options.NoDev && !d.Options.NoSuid:
		return fmt.Sprintf("data %q nodev", d.Options.Data)
	case len(d.Only.Users) > 0:
		return fmt.Sprintf("only %q", d.Only.Users)
	case d.Except.Empty():
		return "plain"
	}
	return "something else"
}

// The cases are argv_parse's of linux-pam.
func TestSplitFields(t *testing.T) {
	cases := []struct {
		line   string
		want   []string
		closed bool
	}{
		{"", nil, true},
		{" \t\v\f\r", nil, true},
		{"a  b\tc", []string{"a", "b", "c"}, true},
		{`"a b"c d`, []string{"a bc", "d"}, true},
		{`a"b c"d""`, []string{"ab cd"}, true},
		{`"" x`, []string{"", "x"}, true},
		{`a\ b`, []string{"a b"}, true},
		{`"a\ b"`, []string{`a\ b`}, true},
		{`\n\t\b\x\"`, []string{"\n\t\bx\""}, true},
		{`a\`, []string{`a\`}, true},
		{`"a b`, []string{"a b"}, false},
		{`"`, []string{""}, false},
		{"a\u00a0b", []string{"a\u00a0b"}, true},
	}
	for _, c := range cases {
		fields, closed := splitFields(c.line)
		var got []string
		for _, f := range fields {
			got = append(got, f.text)
		}
		if !slices.Equal(got, c.want) || closed != c.closed {
			t.Errorf("splitFields(%q) = %q, %t; want %q, %t", c.line, got, closed, c.want, c.closed)
		}
	}
}

func TestStrtoul(t *testing.T) {
	cases := []struct {
		text  string
		value uint64
		rest  string
		ok    bool
	}{
		{"0755", 0o755, "", true},
		{"755", 755, "", true},
		{" \t+0x1fF,", 0x1ff, ",", true},
		{"0x", 0, "x", true},
		{"0xg", 0, "xg", true},
		{"abc", 0, "abc", true},
		{" -", 0, " -", true},
		{"-2", 1<<64 - 2, "", true},
		{"18446744073709551616", 1<<64 - 1, "", false},
	}
	for _, c := range cases {
		value, rest, ok := strtoul(c.text)
		if value != c.value || rest != c.rest || ok != c.ok {
			t.Errorf("strtoul(%q) = %d, %q, %t", c.text, value, rest, ok)
		}
	}
}

func TestLegacyBounds(t *testing.T) {
	var lines strings.Builder
	for i := range MaxDirectories + 1 {
		fmt.Fprintf(&lines, "/d%d x tmpfs\n", i)
	}
	_, err := ParseNamespaceConf("f", []byte(lines.String()))
	if got, want := fmt.Sprint(err), "f:1001:1: more than 1000 directories in all files"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	cfg, err := ParseNamespaceConf("f", []byte("/tmp /i/ user "+strings.Repeat("a,", (MaxFileSize-100)/2)+"a"))
	if err != nil || len(cfg.Directories[0].Except.Users) < 500000 {
		t.Errorf("many names: %v", err)
	}
	cfg, err = ParseNamespaceConf("f", []byte("/tmp /i/ user"+strings.Repeat(":x", 1000)))
	if err != nil || len(cfg.Warnings) != maxReports {
		t.Errorf("many flags: %v", err)
	}
}
