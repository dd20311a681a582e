package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// yamlScalar writes text so that YAML reads it as that string, in a flow collection, too. Only text in UTF-8 can be.
func yamlScalar(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errors.New("not UTF-8")
	}
	if isPlainScalar(text) {
		return text, nil
	}
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteRune('\\')
			out.WriteRune(r)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			fmt.Fprintf(&out, `\U%08X`, r)
		}
	}
	out.WriteByte('"')
	return out.String(), nil
}

// wordsOfYAML are plain words that some YAML, if not ours, takes for something else than strings.
var wordsOfYAML = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// isPlainScalar reports whether text needs no quotes. It errs on the side of quotes.
func isPlainScalar(text string) bool {
	for _, word := range wordsOfYAML {
		if strings.EqualFold(text, word) {
			return false
		}
	}
	for i, r := range []byte(text) {
		if !isLetter(r) && r != '/' && r != '$' && (i == 0 || !strings.ContainsRune("0123456789._-=%", rune(r))) {
			return false
		}
	}
	return text != ""
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// commentText makes text fit for a comment of YAML: what would end the line or isn't allowed in the file becomes "?".
func commentText(text string) string {
	return strings.TrimRightFunc(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r == '\r' || r == '\v' || r == '\f':
			return ' '
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\ufeff', r == '\ufffe', r == '\uffff', r == utf8.RuneError:
			return '?'
		}
		return r
	}, text), unicode.IsSpace)
}
