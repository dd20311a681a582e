package selinux

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"gons/internal/linux"
)

const fileContextsText = `# like Debian's
/.*	system_u:object_r:default_t:s0
/[^/]+	--	system_u:object_r:etc_runtime_t:s0
/a?quota\.(user|group)	--	system_u:object_r:quota_db_t:s0
/tmp/.*	<<none>>
/usr/.*	system_u:object_r:usr_t:s0
/usr/lib(/.*)?	system_u:object_r:lib_t:s0
/home/[^/]+	-d	system_u:object_r:home_dir_t:s0
/home/(a|b)(/.*)?	system_u:object_r:two_t:s0
/opt/x|/srv/y	system_u:object_r:odd_t:s0
/look(?=ahead).*	system_u:object_r:lookahead_t:s0
/tmp	-d	system_u:object_r:tmp_t:s0
/tmp/\.X11-unix	-d	system_u:object_r:xdm_tmp_t:s0
/dev/sda	-b	system_u:object_r:disk_t:s0
/	-d	system_u:object_r:root_t:s0
`

func TestFileContext(t *testing.T) {
	const d, f, any = linux.TypeDirectory, linux.TypeRegular, anyType
	s := machine(t, small(map[string]string{
		"contexts/files/file_contexts.homedirs":  "/home/[^/]+/.+\tu:object_r:user_home_t:s0\n/home/eve\t-d\tu:r:eve_t:s0\n",
		"contexts/files/file_contexts.local":     "/srv/www(/.*)?\tu:r:www_t:s0\n/home/bob\tu:r:bob_t:s0\n",
		"contexts/files/file_contexts.subs":      "# /tmp /usr\n/data/tmp /tmp\n/data /\n/data/tmp /dist/tmp\n",
		"contexts/files/file_contexts.subs_dist": "/lib /usr/lib\n/dist /\n/lib64 /usr/lib\n",
	}))
	for _, c := range []struct {
		path string
		t    linux.Type
		want string
	}{
		{"/", d, "system_u:object_r:root_t:s0 true"},
		{"/tmp", d, "system_u:object_r:tmp_t:s0 true"},
		{"//tmp//", d, "system_u:object_r:tmp_t:s0 true"},
		{"/tmp", f, "system_u:object_r:etc_runtime_t:s0 true"},
		{"/tmp", any, "system_u:object_r:tmp_t:s0 true"},
		{"/tmp/x", d, " false"},
		{"/tmp/.X11-unix", d, "system_u:object_r:xdm_tmp_t:s0 true"},
		{"/tmp/\xff", f, " false"},
		{"/tmp/a\nb", f, " false"},
		{"/usr", d, "system_u:object_r:default_t:s0 true"},
		{"/usr/libx", d, "system_u:object_r:usr_t:s0 true"},
		{"/usr/lib", d, "system_u:object_r:lib_t:s0 true"},
		{"/lib/x", f, "system_u:object_r:lib_t:s0 true"},
		{"/lib64", linux.TypeSymlink, "system_u:object_r:lib_t:s0 true"},
		{"/library", d, "system_u:object_r:default_t:s0 true"},
		{"/quota.user", f, "system_u:object_r:quota_db_t:s0 true"},
		{"/aquota.group", f, "system_u:object_r:quota_db_t:s0 true"},
		{"/aquota.groups", f, "system_u:object_r:etc_runtime_t:s0 true"},
		{"/home/a", d, "system_u:object_r:two_t:s0 true"},
		{"/home/alice", d, "system_u:object_r:home_dir_t:s0 true"},
		{"/home/alice/x", d, "u:object_r:user_home_t:s0 true"},
		{"/home/eve", d, "u:r:eve_t:s0 true"},
		{"/home/bob", d, "u:r:bob_t:s0 true"},
		{"/srv/y", d, "system_u:object_r:default_t:s0 true"}, // filed under /opt, as libselinux does
		{"/opt/xy", d, "system_u:object_r:odd_t:s0 true"},    // ^/opt/x matches, and its end isn't anchored
		{"/srv/www/x", f, "u:r:www_t:s0 true"},
		{"/dev/sda", f, "system_u:object_r:default_t:s0 true"},
		{"/data", d, "system_u:object_r:root_t:s0 true"},
		{"/data/tmp", d, "system_u:object_r:tmp_t:s0 true"},
		{"/lookahead", f, "error: file_contexts:11: the pattern may be about /lookahead and can't be read"},
		{"/loo", f, "system_u:object_r:etc_runtime_t:s0 true"},
	} {
		got, found, err := s.FileContext(c.path, c.t)
		check(t, fmt.Sprintf("%q %s", c.path, c.t), fmt.Sprint(got, " ", found), err, c.want)
	}
}

func TestBadFileContexts(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "error: file_contexts is missing",
		"/tmp\n":                "error: file_contexts:1: \"/tmp",
		"#\n/tmp -x u:r:t:s0\n": `error: file_contexts:2: "-x" is no type of file`,
		"/t.*\xe9 u:r:t:s0\n":   "error: file_contexts:1: ",
		"/t(mp u:r:t:s0\n":      "error: file_contexts:1: the pattern may be about /tmp",
		"/x(mp u:r:t:s0\n":      " false",
		".*" + strings.Repeat("a", 5e3) + " u:r:t:s0\n": "error: file_contexts:1: the pattern is longer than 4095 bytes",
	} {
		got, found, err := machine(t, small(map[string]string{"contexts/files/file_contexts": text})).FileContext("/tmp", linux.TypeDirectory)
		check(t, fmt.Sprintf("%.40q", text), fmt.Sprint(got, " ", found), err, want)
	}
}

// Few of a policy's patterns begin like a path, and only these are compiled.
func TestCollectIsFrugal(t *testing.T) {
	var text strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&text, "/usr/lib/p%d(/.*)?\tu:r:t%d:s0\n", i, i)
	}
	l := lookup{path: "/usr/lib/p17/x", typ: linux.TypeRegular}
	if err := l.collect("f", text.String()); err != nil {
		t.Fatal(err)
	}
	if len(l.patterns) > 2 { // p1 and p17
		t.Errorf("%d patterns may match %s", len(l.patterns), l.path)
	}
}

var plainStarts = []struct{ pattern, want string }{
	{"/tmp", "/tmp true"},
	{`/tmp/\.X11-unix`, "/tmp/.X11-unix true"},
	{"/usr/lib(/.*)?", "/usr/lib false"},
	{"/a?b", "/ false"},
	{"/ab*", "/a false"},
	{"/ab{0}", "/a false"},
	{"/ab+", "/ab false"},
	{`/a\.?`, "/a false"},
	{`/a\d`, "/a false"},
	{`/a\`, "/a false"},
	{"", " true"},
	{"*", " false"},
}

func TestPlainStart(t *testing.T) {
	for _, c := range plainStarts {
		start, whole := plainStart(c.pattern)
		check(t, c.pattern, fmt.Sprint(start, " ", whole), nil, c.want)
	}
}

// No line makes the look-up crash, and what is passed over unread for its start doesn't match; libselinux's own exception
// is patterns with alternatives.
func FuzzFileContexts(f *testing.F) {
	for _, line := range strings.Split(fileContextsText, "\n") {
		f.Add(line, "/home/alice")
		f.Add(line, "/tmp/.X11-unix")
	}
	for _, c := range plainStarts {
		f.Add(c.pattern+"\tu:r:t:s0", "/a")
	}
	f.Fuzz(func(t *testing.T, line, path string) {
		path = normal(path)
		s, ok, err := parseSpecification(line)
		if err != nil || !ok || len(s.pattern) > 200 || strings.Contains(s.pattern, "|") {
			return
		}
		start, whole := plainStart(s.pattern)
		re, err := regexp.Compile("(?s)^" + s.pattern + "$")
		if err != nil {
			if whole {
				t.Errorf("%q is plain text and no pattern: %v", s.pattern, err)
			}
			return
		}
		if re.MatchString(path) && !glance(line, path) {
			t.Errorf("%q matches %q, but not at a glance", line, path)
		}
		if re.MatchString(path) && !(whole && start == path || !whole && mayMatch(start, s.pattern, path)) {
			t.Errorf("%q matches %q, and begins with %q", s.pattern, path, start)
		}
	})
}
