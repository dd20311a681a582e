package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The words of namespace.conf's third field.
var (
	legacyMethods = []string{"user", "context", "level", "tmpdir", "tmpfs"}
	legacyFlags   = []string{"create", "noinit", "iscript", "shared", "mntopts"}
)

// method reads the method and returns the flags after it. As with strtok(3), colons that follow one another are one.
func (p *legacyParser) method(d *Directory, pos Pos, text string) (flags []string) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ':' })
	if len(words) == 0 {
		words = []string{""}
	}
	switch name := words[0]; {
	case name == "level" || name == "context":
		p.bad.add(pos, "method %s needs SELinux support, which this version does not have", name)
	case slices.Contains(legacyMethods, name):
		d.Method = Method(name)
	default:
		p.bad.add(pos, "method %s is not one of %s%s", quote(name), strings.Join(methodWords, ", "),
			didYouMean(name, legacyMethods))
	}
	return words[1:]
}

// flag reads one flag. pam_namespace compares only as many bytes as the flag it knows has, and drops what it doesn't
// know without a word.
func (p *legacyParser) flag(d *Directory, pos Pos, text string) {
	given, _, _ := strings.Cut(text, "=")
	i := slices.IndexFunc(legacyFlags, func(known string) bool { return strings.HasPrefix(text, known) })
	if i < 0 {
		p.cfg.warn(pos, "unknown flag %s is ignored%s", quote(given), didYouMean(given, legacyFlags))
		return
	}
	name := legacyFlags[i]
	if given != name {
		p.cfg.warn(pos, "flag %s is read as %q", quote(text), name)
	}
	value, hasValue := strings.CutPrefix(text[len(name):], "=")
	switch name {
	case "create":
		d.Create = p.createFlag(pos, value, hasValue)
	case "iscript":
		p.bad.add(pos, "init scripts are not supported by this version")
	case "shared":
		p.cfg.warn(pos, "flag shared has no effect with method %s", d.Method)
	case "mntopts":
		p.mntoptsFlag(d, pos, value, hasValue)
	}
}

// createFlag reads "mode,owner,group", each of which may be missing. Where the "=" itself is, so are all three.
func (p *legacyParser) createFlag(pos Pos, value string, hasValue bool) *Create {
	if !hasValue {
		return &Create{}
	}
	parts := append(strings.SplitN(value, ",", 3), "", "")
	c := &Create{Mode: p.createMode(pos, parts[0]), Owner: parts[1], Group: parts[2]}
	for _, name := range parts[1:3] {
		if name != "" {
			p.checkCreateName(pos, name)
		}
	}
	return c
}

// checkCreateName refuses what the name service can't know; pam_namespace refuses what it doesn't know.
func (p *legacyParser) checkCreateName(pos Pos, name string) {
	if err := checkName(name); err != nil {
		p.bad.add(pos, "create: %v", err)
	}
}

// createMode reads the mode as pam_namespace does, strtoul(3) with base 0, so that only a leading 0 makes it octal.
// nil stands for the default.
func (p *legacyParser) createMode(pos Pos, text string) *uint32 {
	if text == "" {
		return nil
	}
	value, rest, ok := strtoul(text)
	// mode_t has 32 bits, and all of them set is how pam_namespace marks a mode that wasn't given.
	if !ok || uint32(value) == math.MaxUint32 {
		p.cfg.warn(pos, "create: mode %s is out of range: the default is taken", quote(text))
		return nil
	}
	mode := uint32(value) & 0o7777
	if problem := suspectMode(text, rest, value); problem != "" {
		p.cfg.warn(pos, "create: mode %s is read as 0%03o: %s", quote(text), mode, problem)
	}
	return &mode
}

// suspectMode says why a mode is hardly the one that was meant; "" where it may be.
func suspectMode(text, rest string, value uint64) string {
	switch {
	case rest == text:
		return "it is not a number"
	case rest != "":
		return fmt.Sprintf("%s after the number is ignored", quote(rest))
	case value > 0o7777:
		return "it has more than permission bits"
	case text[0] != '0':
		return "a number without a leading 0 is decimal"
	}
	return ""
}

// strtoul is strtoul(3) with base 0: the value and what follows the number; false where it doesn't fit.
func strtoul(text string) (value uint64, rest string, ok bool) {
	body := text
	for body != "" && isSpace(body[0]) {
		body = body[1:]
	}
	negative := strings.HasPrefix(body, "-")
	if negative || strings.HasPrefix(body, "+") {
		body = body[1:]
	}
	base, body := numberBase(body)
	digits := body[:countDigits(body, base)]
	if digits == "" {
		return 0, text, true
	}
	value, err := strconv.ParseUint(digits, base, 64)
	if negative {
		value = -value
	}
	return value, body[len(digits):], err == nil
}

// numberBase returns the base that a number's beginning asks for, and the number without an 0x.
func numberBase(text string) (int, string) {
	switch {
	case len(text) > 2 && (text[:2] == "0x" || text[:2] == "0X") && countDigits(text[2:], 16) > 0:
		return 16, text[2:]
	case strings.HasPrefix(text, "0"):
		return 8, text
	}
	return 10, text
}

// countDigits returns how many bytes text begins with are digits in a base.
func countDigits(text string, base int) int {
	digits := "0123456789abcdef"[:base]
	for i := range len(text) {
		if !strings.ContainsRune(strings.ToLower(digits)+strings.ToUpper(digits), rune(text[i])) {
			return i
		}
	}
	return len(text)
}

// mntoptsFlag reads mount options; the last mntopts of a line wins.
func (p *legacyParser) mntoptsFlag(d *Directory, pos Pos, value string, hasValue bool) {
	switch {
	case !hasValue:
		p.cfg.warn(pos, `flag mntopts without "=" is ignored`)
		return
	case d.Method != MethodTmpfs:
		p.cfg.warn(pos, "mount options are ignored: they are for method tmpfs only")
		return
	case d.Options.given():
		p.cfg.warn(pos, "an earlier mntopts is ignored: the last one counts")
	}
	d.Options = splitOptions(value)
	p.cfg.warnNearFlags(pos, d.Options.Data...)
}
