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
		"f:1:17: method \"\\\\\" is not one of user, tmpfs, tmpdir\n" +
		"f:2:1: instance_prefix missing: \"polydir instance_prefix method [users]\" expected"},
	{"NUL", "/tmp /tmp-inst/ user\x00:create\n", `f:1:1: a NUL byte`},
	{"relative polydir", "tmp /tmp-inst/ user\n", `f:1:1: polydir "tmp" does not begin with "/" or "$HOME"`},
	{"empty polydir", "\"\" /tmp-inst/ user\n", `f:1:1: polydir "" does not begin with "/" or "$HOME"`},
	{"relative prefix", "/tmp $USER/ user\n", `f:1:6: instance_prefix "$USER/" does not begin with "/" or "$HOME"`},
	{"root", "// tmpfs tmpfs\n", `f:1:1: polydir "/" is not a directory that can be private`},
	{"dots", "/a..b /i/../x tmpfs\n",
		"f:1:1: polydir \"/a..b\" contains \"..\"\nf:1:7: instance_prefix \"/i/../x\" contains \"..\""},
	{"long", "/" + strings.Repeat("a", maxPath) + " /i/ user\n", `f:1:1: polydir is longer than 4095 bytes`},
	{"level", "/tmp /tmp-inst/ level root,adm\n",
		`f:1:17: method level needs SELinux support, which this version does not have`},
	{"context", "/tmp /tmp-inst/ context:shared\n",
		`f:1:17: method context needs SELinux support, which this version does not have`},
	{"method", "/tmp /tmp-inst/ users\n",
		`f:1:17: method "users" is not one of user, tmpfs, tmpdir (did you mean "user"?)`},
	{"empty method", "/tmp /tmp-inst/ :\n", `f:1:17: method "" is not one of user, tmpfs, tmpdir`},
	{"capital method", "/tmp /tmp-inst/ User\n",
		`f:1:17: method "User" is not one of user, tmpfs, tmpdir (did you mean "user"?)`},
	{"iscript", "/tmp /tmp-inst/ user:iscript=init.sh\n/a /b/ user:iscript\n", "" +
		"f:1:17: init scripts are not supported by this version\nf:2:8: init scripts are not supported by this version"},
	{"create", "/tmp /tmp-inst/ user:create=0700,root,wheel,more\n",
		`f:1:17: create: "wheel,more" is not a name: ` + notAName},
	{"columns are characters", "\u00e4\u00f6 /i/ usr\n",
		"f:1:1: polydir \"\u00e4\u00f6\" does not begin with \"/\" or \"$HOME\"\n" +
			"f:1:8: method \"usr\" is not one of user, tmpfs, tmpdir (did you mean \"user\"?)"},
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
		"f:1:15: an empty name in the list of users"},
	{"hash in quotes", "\"/tmp\" \"/i/\" \"user#\"\n",
		`f:1:1: an unterminated quote; note that # begins a comment in quotes too`},
	{"unknown flag", "/tmp /i/ user:crate=0700:wat\n", "" +
		"f:1:10: unknown flag \"crate\" is ignored (did you mean \"create\"?)\nf:1:10: unknown flag \"wat\" is ignored"},
	{"flag by prefix", "/tmp /i/ user:created=0700\n", `f:1:10: flag "created=0700" is read as "create"`},
	{"shared", "/tmp /i/ user:shared\n", `f:1:10: flag shared has no effect with method user`},
	{"mntopts with user", "/tmp /i/ user:mntopts=nosuid\n",
		`f:1:10: mount options are ignored: they are for method tmpfs only`},
	{"mntopts without value", "/tmp x tmpfs:mntopts\n", `f:1:8: flag mntopts without "=" is ignored`},
	{"mntopts twice", "/tmp x tmpfs:mntopts=nosuid:mntopts=noexec,nodv\n", "" +
		"f:1:8: an earlier mntopts is ignored: the last one counts\n" +
		"f:1:8: option \"nodv\" is passed to tmpfs (did you mean \"nodev\"?)"},
	{"decimal mode", "/tmp /i/ user:create=755\n",
		`f:1:10: create: mode "755" is read as 01363: a number without a leading 0 is decimal`},
	{"mode not a number", "/tmp /i/ user:create=abc\n",
		`f:1:10: create: mode "abc" is read as 0000: it is not a number`},
	{"mode with a rest", "/tmp /i/ user:create=0788\n",
		`f:1:10: create: mode "0788" is read as 0007: "88" after the number is ignored`},
	{"large mode", "/tmp /i/ user:create=0100755\n",
		`f:1:10: create: mode "0100755" is read as 0755: it has more than permission bits`},
	{"negative mode", "/tmp /i/ user:create=-1\n", `f:1:10: create: mode "-1" is out of range: the default is taken`},
	{"mode overflow", "/tmp /i/ user:create=099999999999999999999999:create=07777777777777777777777777\n", "" +
		"f:1:10: create: mode \"099999999999999999999999\" is read as 0000: \"99999999999999999999999\" after the number is ignored\n" +
		"f:1:10: create: mode \"07777777777777777777777777\" is out of range: the default is taken"},
	{"suspect names", "/tmp /i/ user a,~b,@adm,*,c/d\n", "" +
		"f:1:15: \"~b\" is read as a user's name: \"~\" has a meaning only before the first name\n" +
		"f:1:15: \"@adm\" is read as a user's name: there are no groups or patterns here\n" +
		"f:1:15: \"*\" is read as a user's name: there are no groups or patterns here\n" +
		"f:1:15: \"c/d\" is not a name: " + notAName},
	{"nobody", "/tmp /i/ user ~\n",
		"f:1:15: an empty name in the list of users\nf:1:15: \"~\" without a name: this line applies to nobody"},
	{"same path", "/tmp /i/ user\n/tmp/ x tmpfs\n",
		`f:2:1: "/tmp" is also at f:1:1; the instance of this line hides the other`},
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
