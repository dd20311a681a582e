package doctor

import (
	"fmt"
	"path"
	"strings"
	"unicode"
)

// edit is a command that changes a file of PAM's by a sed(1) script. What a distribution has in /usr/lib/pam.d is copied to
// /etc/pam.d first: there it counts before the other, as a whole, so that one line alone there would be the whole stack.
func edit(file, script string) string {
	own := file
	before := ""
	if strings.HasPrefix(file, "/usr/lib/pam.d/") {
		own = path.Join("/etc/pam.d", path.Base(file))
		before = fmt.Sprintf("cp -n %s %s && ", quote(file), quote(own))
	}
	return before + fmt.Sprintf("sed -i %s %s", quote(script), quote(own))
}

// quote makes a word of the shell's.
func quote(word string) string {
	safe := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+,:@%", r))
	}
	switch {
	case word != "" && strings.IndexFunc(word, func(r rune) bool { return !safe(r) }) < 0:
		return word
	case strings.IndexFunc(word, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for _, c := range []byte(word) { // for bash and zsh: the words of POSIX have no such bytes that could be printed
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return "$'" + b.String() + "'"
}
