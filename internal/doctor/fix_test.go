package doctor

import (
	"os/exec"
	"testing"
)

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"/etc/pam.d/su-l": "/etc/pam.d/su-l", "/a b": "'/a b'", "$(reboot)": "'$(reboot)'", "it's": `'it'\''s'`, "": "''",
		"a\nb\xff": `$'\x61\x0a\x62\xff'`, "ü": "'ü'", "a;b": "'a;b'", "~": "'~'",
	} {
		got := quote(word)
		if got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
		if out, err := exec.Command("bash", "-c", "printf %s "+got).Output(); err != nil || string(out) != word {
			t.Errorf("%q: the shell takes %s for %q (%v)", word, got, out, err)
		}
	}
}

func TestEdit(t *testing.T) {
	for file, want := range map[string]string{
		"/etc/pam.d/su":          "sed -i 1d /etc/pam.d/su",
		"/usr/lib/pam.d/su":      "cp -n /usr/lib/pam.d/su /etc/pam.d/su && sed -i 1d /etc/pam.d/su",
		"/etc/pam.d/two words":   "sed -i 1d '/etc/pam.d/two words'",
		"/etc/security/pam/$x.d": "sed -i 1d '/etc/security/pam/$x.d'",
	} {
		if got := edit(file, "1d"); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}
