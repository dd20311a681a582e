package module

import (
	"strings"
	"testing"
)

// Options are an administrator's, one a string: a known one is obeyed, another is a warning, and none is both or neither.
func FuzzParseLine(f *testing.F) {
	for _, seed := range []string{"", "debug", "gen_hash=1", "config=/x", "config=x", "timeout=", "unmnt_remnt", "a\n<0>b", "\x00", "=", "no_unmount_on_close"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		line, err := ParseLine([]string{arg})
		key, _, valued := strings.Cut(arg, "=")
		known := flags[arg] != nil || valued && (key == "config" || key == "timeout")
		if known == (len(line.Warnings) > 0) || err != nil && key != "config" {
			t.Errorf("%q: %+v, %v", arg, line, err)
		}
	})
}
