package config

import (
	"runtime"
	"strings"
	"testing"
)

// hostile are texts of the largest size that try to cost more than they should.
var hostile = []struct {
	name, text string
	yaml       bool
}{
	{"one line", "/tmp /i/ user " + fill("a"), false},
	{"names", "/tmp /i/ user " + fill("a,"), false},
	{"groups", "/tmp /i/ user " + fill("@a,"), false},
	{"fields", fill("a "), false},
	{"lines", fill("\n"), false},
	{"bad lines", fill("a\n"), false},
	{"lines for nobody", fill("/a x tmpfs ~\n"), false},
	{"flags", "/tmp /i/ user" + fill(":x"), false},
	{"options", "/tmp x tmpfs:mntopts=" + fill("a,"), false},
	{"slashes", fill("/") + " /i/ user", false},
	{"dots", "/a" + fill("/.") + " /i/ user", false},
	{"variables", "/" + fill("$USER") + " /i/ user", false},
	{"unterminated quote", `/tmp /i/ "` + fill("a "), false},
	{"quotes", fill(`"`), false},
	{"backslashes", fill(`\`), false},
	{"NUL", fill("\x00"), false},
	{"CR", fill("\r"), false},
	{"same path", fill("/a x tmpfs ~b\n"), false},

	{"YAML of one line", "version: " + fill("a"), true},
	{"names", "version: 1\nexempt: {users: [" + fill("a,") + "]}\n", true},
	{"lists in lists", fill("["), true},
	{"mappings in mappings", fill("{a: "), true},
	{"nested blocks", fill("- "), true},
	{"keys", fill("a: \n"), true},
	{"aliases", "a: &a [" + fill("*a,") + "]", true},
	{"aliases of aliases", "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [" + fill("*c,") + "]\n", true},
	{"anchors", fill("&a b\n"), true},
	{"documents", fill("---\n"), true},
	{"comments", fill("# a\n"), true},
	{"open quote", `version: "` + fill("a "), true},
	{"open block", "version: |\n" + fill(" a\n"), true},
	{"entries", "version: 1\ndirectories: [" + fill("{},") + "]\n", true},
	{"wrong entries", "version: 1\ndirectories:\n" + strings.Repeat("- {path: "+strings.Repeat("$", 1000)+"}\n", 1000), true},
	{"NUL", fill("\x00"), true},
	{"CRLF", "version: 1\r\n" + fill("\r\n"), true},
}

// fill repeats text up to nearly the size that a file may have.
func fill(text string) string {
	return strings.Repeat(text, (MaxFileSize-200)/len(text))
}

// maxCost bounds the bytes that are allocated, in all, for each byte of a file. A node of package yaml takes some 400, and
// two bytes can make one; so can they make a flag, which is compared with those that are known.
const maxCost = 500

func TestCostIsBounded(t *testing.T) {
	for _, how := range []Reading{{}, {SkipBad: true, Groups: true}} {
		for _, c := range hostile {
			if len(c.text) > MaxFileSize {
				t.Errorf("%s: %d bytes", c.name, len(c.text))
			}
			file := "/f"
			if c.yaml {
				file = "/f.yaml"
			}
			f := memFiles{text: map[string]string{file: c.text}}
			var err error
			cost := allocated(func() { _, err = LoadFile(f, file, how) }) / uint64(len(c.text))
			if cost > maxCost {
				t.Errorf("%s, %+v: %d bytes for each, %v", c.name, how, cost, err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("%s: an error of %d bytes", c.name, len(err.Error()))
			}
		}
	}
}

// allocated returns how many bytes f allocates, freed ones included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
