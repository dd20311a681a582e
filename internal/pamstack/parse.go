// Package pamstack reads PAM's configuration (pam.d(5)) to find out which modules a service runs, in which order and with
// which options. It is for advice: libpam itself is the judge of what its files mean, and what isn't understood here is a
// problem that is told, never an error that ends the reading.
package pamstack

import (
	"fmt"
	"path"
	"strings"
)

// Rule is one line of a service.
type Rule struct {
	// File and Line say where it stands.
	File string
	Line int
	// Kind is "auth", "account", "password" or "session"; "" for an @include, which is for all.
	Kind string
	// Control is a word, as "required" or "include", or what is in brackets, with them.
	Control string
	// Module is the module, or the file that is included, as written.
	Module string
	// Args are the module's options.
	Args []string
}

// Name is the module's file name: "pam_unix.so".
func (r Rule) Name() string { return path.Base(r.Module) }

// Where is "FILE:LINE".
func (r Rule) Where() string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

// includes reports whether the rule stands for those of another file.
func (r Rule) includes() bool {
	return r.Control == "include" || r.Control == "substack" || r.Control == "@include"
}

// kinds are the first words of lines.
var kinds = map[string]bool{"auth": true, "account": true, "password": true, "session": true}

// Parse reads a file. Problems are lines that aren't understood.
func Parse(file string, data []byte) (rules []Rule, problems []string) {
	for _, l := range logicalLines(string(data)) {
		words := split(l.text)
		if len(words) == 0 {
			continue
		}
		r, ok := rule(words)
		r.File, r.Line = file, l.number
		if !ok {
			problems = append(problems, fmt.Sprintf("%s is no line of PAM's", r.Where()))
			continue
		}
		rules = append(rules, r)
	}
	return rules, problems
}

func rule(words []string) (Rule, bool) {
	if words[0] == "@include" {
		return Rule{Control: "@include", Module: strings.Join(words[1:], " ")}, len(words) == 2
	}
	kind := strings.ToLower(strings.TrimPrefix(words[0], "-"))
	if !kinds[kind] || len(words) < 3 {
		return Rule{}, false
	}
	control := words[1]
	if !strings.HasPrefix(control, "[") {
		control = strings.ToLower(control)
	}
	return Rule{Kind: kind, Control: control, Module: words[2], Args: words[3:]}, true
}

type line struct {
	text   string
	number int
}

// logicalLines joins lines that end in a backslash and takes comments away.
func logicalLines(text string) []line {
	var out []line
	joined := line{}
	for i, raw := range strings.Split(text, "\n") {
		if joined.number == 0 {
			joined.number = i + 1
		}
		raw, _, commented := strings.Cut(raw, "#")
		if before, goesOn := strings.CutSuffix(raw, "\\"); goesOn && !commented {
			joined.text += before + " "
			continue
		}
		joined.text += raw
		out = append(out, joined)
		joined = line{}
	}
	if joined.number != 0 {
		out = append(out, joined)
	}
	return out
}

// split separates words; one that begins with "[" goes on to "]", blanks and "\]" included. Brackets of an option aren't
// part of it, those of a control are kept by being told from words.
func split(text string) []string {
	var words []string
	for rest := strings.TrimLeft(text, " \t\r"); rest != ""; rest = strings.TrimLeft(rest, " \t\r") {
		end := strings.IndexAny(rest, " \t\r")
		if rest[0] == '[' {
			end = closing(rest)
		}
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		if len(words) > 2 && rest[0] == '[' {
			word = strings.ReplaceAll(strings.TrimSuffix(word[1:], "]"), `\]`, "]")
		}
		words = append(words, word)
		rest = rest[end:]
	}
	return words
}

// closing is the end of what begins with a bracket; -1 where that isn't closed.
func closing(text string) int {
	for i := 1; i < len(text); i++ {
		if text[i] == ']' && text[i-1] != '\\' {
			return i + 1
		}
	}
	return -1
}
