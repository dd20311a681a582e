package config

import (
	"fmt"
	"strings"
	"unicode"
)

// variables are the names that a "$" may stand before.
//
// Package polyinst expands as pam_namespace does, by prefix: $USERx is the user's name and an x. A Config's texts are
// that plain. gons.yaml has braces to tell $USERNAME from ${USER}NAME, and is strict about the rest.
type variables []string

// The variables of paths, of mount options, and of what the environment gets.
var (
	pathVariables   = variables{"HOME", "USER"}
	optionVariables = variables{"USER", "UID", "GID"}
	valueVariables  = variables{"HOME", "USER", "UID", "GID"}
)

// String lists them, for messages.
func (v variables) String() string {
	last := len(v) - 1
	return "$" + strings.Join(v[:last], ", $") + " and $" + v[last]
}

// plain turns each ${NAME} of a text of gons.yaml into $NAME and refuses any other "$".
func (v variables) plain(text string) (string, error) {
	var out strings.Builder
	rest := text
	for {
		before, after, found := strings.Cut(rest, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, length := v.match(after)
		if name == "" {
			return "", v.refuse(after)
		}
		out.WriteString("$" + name)
		rest = after[length:]
	}
}

// match returns the variable that the text after a "$" of gons.yaml begins with, and the bytes it takes: a whole word,
// or one in braces. "" stands for none.
func (v variables) match(after string) (name string, length int) {
	for _, name := range v {
		if strings.HasPrefix(after, "{"+name+"}") {
			return name, len(name) + 2
		}
		if rest, ok := strings.CutPrefix(after, name); ok && !goesOn(rest) {
			return name, len(name)
		}
	}
	return "", 0
}

// goesOn reports whether text goes on with the word before it.
func goesOn(text string) bool {
	return text != "" && (text[0] == '_' || text[0] >= '0' && text[0] <= '9' ||
		text[0]|0x20 >= 'a' && text[0]|0x20 <= 'z')
}

// prefix returns the variable that the text after a plain "$" begins with; "" where it is no variable.
func (v variables) prefix(after string) string {
	for _, name := range v {
		if strings.HasPrefix(after, name) {
			return name
		}
	}
	return ""
}

// braced is the inverse of plain: the text in which every variable is one to gons.yaml, too. A "$" of which it can't be
// said is an error.
func (v variables) braced(text string) (string, error) {
	if err := v.unknown(text); err != nil {
		return "", err
	}
	var out strings.Builder
	for before, after, found := strings.Cut(text, "$"); ; before, after, found = strings.Cut(after, "$") {
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name := v.prefix(after)
		after = after[len(name):]
		if goesOn(after) {
			name = "{" + name + "}"
		}
		out.WriteString("$" + name)
	}
}

// unknown says which "$" of a plain text is no variable; nil where all are.
func (v variables) unknown(text string) error {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "$")
		if !found {
			return nil
		}
		if v.prefix(after) == "" {
			return v.refuse(after)
		}
		rest = after
	}
}

// refuse says what is wrong with the text after a "$".
func (v variables) refuse(after string) error {
	if name := v.prefix(after); name != "" {
		return fmt.Errorf("%s is ambiguous: write ${%s} where a letter, a digit or _ follows",
			quote("$"+word(after)), name)
	}
	return fmt.Errorf("unknown variable %s; only %s are known", quote("$"+word(after)), v)
}

// word returns the letters, digits and _ that text begins with, after "{" where there is one.
func word(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool {
		return r != '{' && r != '}' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	if end < 0 {
		return text
	}
	return text[:end]
}
