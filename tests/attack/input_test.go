package attack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gons/tests/sandbox"
	"gons/tests/testkit"
)

// addUser makes an entry of passwd(5) for one test.
func addUser(t testing.TB, name string, uid int, home string) {
	t.Helper()
	const file = "/etc/passwd"
	before, err := os.ReadFile(file)
	testkit.Must(t, err)
	t.Cleanup(func() { sandbox.Write(t, file, string(before), 0o644) })
	line := fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, uid, uid, home)
	sandbox.Write(t, file, strings.TrimRight(string(before), "\n")+"\n"+line, 0o644)
}

// A19. Attack: a user's name is a path, an option, too long for a file name, or another one's but for its case.
// Passes when the session fails, or its instance is an entry of the instance parent, nobody else's.
func TestA19UserNames(t *testing.T) {
	for _, name := range []string{"..", ".", "a/b", "../victim", "../tmp", "-rf", "--", ".gons-new-alice", "$HOME", "a b", "%n%s",
		"Alice", strings.Repeat("x", 80), strings.Repeat("x", 255), strings.Repeat("x", 300), "new\nline", "\x01\xff", ""} {
		for _, method := range []string{"user", "tmpdir", "tmpfs"} {
			t.Run(fmt.Sprintf("%.20q %s", name, method), func(t *testing.T) {
				dir := area(t, ground, "dir i/a 0:0 0755", "dir i/alice 2001:2001 0700")
				configure(t, dir, "{A}/n {A}/i/ "+method+":noinit")
				if !strings.Contains(name, "\n") {
					addUser(t, name, 3001, "/home/alice")
				}
				before := sandbox.Tree(t, dir)
				r := pamhost(t, gons, name, "--no-close")
				if code := r["open"]; !slices.Contains([]string{"0", "4", "10", "14"}, code) {
					t.Fatalf("PAM code %q: %s", code, r["output"])
				}
				for _, line := range sandbox.Tree(t, dir) {
					path := dir + strings.SplitN(line, dir, 2)[1]
					if !slices.Contains(before, line) && filepath.Dir(path) != dir+"/i" {
						t.Errorf("PAM code %s, and in the area: %q", r["open"], line)
					}
				}
				for _, line := range before {
					if !slices.Contains(sandbox.Tree(t, dir), line) {
						t.Errorf("PAM code %s, and gone or changed: %q", r["open"], line)
					}
				}
			})
		}
	}
}

// A20. Attack: a user's home directory, which a line names by $HOME, is /, nothing, no path, one with "..", a link, a
// FIFO, or isn't there.
// Passes when the session fails at once, or covers that very directory. pam_namespace covers /.
func TestA20Homes(t *testing.T) {
	for home, want := range map[string]string{
		"/": "14", "": "14", "relative": "14", "{A}/u/../victim/b": "14", "{A}/missing": "14", "{A}/u/link": "14", "{A}/u/fifo": "14",
		"{A}/u/a": "0", "{A}/u//a/": "0", "{A}/u/./a": "14", "$HOME": "14", "{A}/$USER": "14",
	} {
		t.Run(home, func(t *testing.T) {
			dir := area(t, ground, "link u/link {A}/victim 2001:2001; fifo u/fifo 2001:2001")
			configure(t, dir, "$HOME {A}/i/ user:noinit")
			addUser(t, "homely", sandbox.Alice.UID, strings.ReplaceAll(home, "{A}", dir))
			v := watch(t, dir+"/victim", 0)
			r := pamhost(t, gons, "homely", "--run", "cat /proc/self/mountinfo")
			covered := ""
			for _, line := range strings.Split(r["output"], "\n") {
				if f := strings.Fields(line); len(f) > 5 && f[3] == "/i/homely" {
					covered = f[4]
				}
			}
			v.untouched("gons")
			if t.Logf("gons: PAM code %s, covers %q", r["open"], covered); r["open"] != want || r["open"] == "0" &&
				covered != filepath.Clean(strings.ReplaceAll(home, "{A}", dir)) {
				t.Errorf("expected %s\n%s", want, r["output"])
			}
		})
	}
}

// A22. Attack: none but age and accident: namespace.conf is broken, or huge.
// Passes when the host doesn't crash, hang or grow, and there is a session or an error. Reference: c3d28618, fe628714,
// 353aa13b.
func TestA22Configurations(t *testing.T) {
	for name, text := range map[string]string{
		"one field":          "{A}/tmp",
		"two fields":         "{A}/tmp {A}/i/",
		"one field, more":    "{A}/tmp\n{A}/tmp {A}/i/ user",
		"NUL":                "{A}/tmp\x00 {A}/i/ user",
		"NULs":               strings.Repeat("\x00", 1<<16),
		"CRLF":               "{A}/tmp {A}/i/ user:noinit\r\n",
		"hash in quotes":     `"{A}/t#mp" {A}/i/ user`,
		"unterminated quote": `"{A}/tmp {A}/i/ user`,
		"backslash at end":   `{A}/tmp {A}/i/ user\`,
		"long line":          "{A}/tmp {A}/i/ user " + strings.Repeat("x", 10<<20),
		"long comment":       "#" + strings.Repeat("x", 10<<20) + "\n{A}/tmp {A}/i/ user:noinit",
		"many names":         "{A}/tmp {A}/i/ user " + strings.Repeat("a,", 1000000),
		"many lines":         strings.Repeat("{A}/tmp {A}/i/ user:noinit\n", 100000),
		"random":             "\xff\xfe\x00\x01\n\n\"\\\n~,\n,\n$\n",
		"all empty fields":   `"" "" ""`,
		"deep path":          strings.Repeat("/a", 5000) + " {A}/i/ user",
	} {
		t.Run(name, func(t *testing.T) {
			dir := area(t, ground)
			for _, options := range []string{"", "ignore_config_error"} {
				configure(t, dir, text, options)
				r := pamhost(t, gons, "alice")
				kb := testkit.Number(t, r["after.children_kb"], 10)
				if !slices.Contains([]string{"0", "14"}, r["open"]) || r["hung"] != "" || kb > 256<<10 {
					t.Errorf("%q: PAM code %q, %d kB", options, r["open"], kb)
				}
				t.Logf("%q: gons %s, %d kB", options, r["open"], kb)
			}
		})
	}
}
