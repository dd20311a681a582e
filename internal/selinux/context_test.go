package selinux

import (
	"strings"
	"testing"
)

var contexts = []struct{ text, want string }{
	{"system_u:object_r:tmp_t:s0", "system_u object_r tmp_t s0"},
	{"u:r:t", "u r t "},
	{"u:r:t:s0:c1,c3.c5-s15:c0.c1023", "u r t s0:c1,c3.c5-s15:c0.c1023"},
	{"", "error: must be USER:ROLE:TYPE"},
	{"u:r", "error: must be USER:ROLE:TYPE"},
	{"u::t:s0", "error: must be USER:ROLE:TYPE"},
	{"u:r:t:", "error: must be USER:ROLE:TYPE"},
	{"u:r:t:a:b:c:d", "error: too many colons"},
	{"u:r:t:s0 s1", "error: white space"},
	{"u:r:t\x00", "error: white space"},
	{"u:r:" + strings.Repeat("t", 4096), "error: longer than 4095 bytes"},
}

func TestParseContext(t *testing.T) {
	for _, c := range contexts {
		got, err := ParseContext(c.text)
		check(t, c.text, strings.Join([]string{got.User, got.Role, got.Type, got.Range}, " "), err, c.want)
		if err == nil && got.String() != c.text {
			t.Errorf("%q becomes %q", c.text, got)
		}
	}
}

func FuzzParseContext(f *testing.F) {
	for _, c := range contexts {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseContext(text); err == nil && c.String() != text {
			t.Errorf("%q becomes %q", text, c)
		}
	})
}

func TestLevel(t *testing.T) {
	for _, c := range []struct{ dir, session, want string }{
		{"system_u:object_r:tmp_t:s0", "unconfined_u:unconfined_r:unconfined_t:s0-s0:c5", "system_u:object_r:tmp_t:s0-s0:c5"},
		{"system_u:object_r:tmp_t:s0-s0:c0.c1023", "u:r:t:s0", "system_u:object_r:tmp_t:s0"},
		{"system_u:object_r:tmp_t:s0", "u:r:t", "system_u:object_r:tmp_t"},
		{"tmp_t", "u:r:t:s0", "error: the level of a directory"},
		{"u:r:t:s0", "", "error: the level of a session"},
	} {
		got, err := Level(c.dir, c.session)
		check(t, c.dir+" + "+c.session, got, err, c.want)
	}
}

func TestRestored(t *testing.T) {
	customizable := []string{"public_content_t"}
	for _, c := range []struct{ have, want, out string }{
		{"alice_u:object_r:tmp_t:s0:c5", "system_u:object_r:user_home_t:s0", "alice_u:object_r:user_home_t:s0:c5"},
		{"u:r:tmp_t:s0", "u:r:tmp_t:s0", "u:r:tmp_t:s0"},
		{"u:r:public_content_t:s0", "u:r:tmp_t:s0", "u:r:public_content_t:s0"},
		{"", "u:r:tmp_t:s0", "u:r:tmp_t:s0"},
		{"u:r:tmp_t:s0", "<<none>>", "u:r:tmp_t:s0"},
	} {
		if got := Restored(c.have, c.want, customizable); got != c.out {
			t.Errorf("Restored(%s, %s) = %s; want %s", c.have, c.want, got, c.out)
		}
	}
}
