package config

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The words of namespace.conf's third field. ignoreInitError is gons' own: pam_namespace, which ignores both what a
// script says and flags that it doesn't know, reads such a line as it did.
var (
	legacyMethods = []string{"user", "tmpfs", "tmpdir", "level", "context"}
	legacyFlags   = []string{"create", "noinit", "iscript", "shared", "mntopts"}
	flagNames     = append(slices.Clone(legacyFlags), ignoreInitError)
)

const ignoreInitError = "ignore_init_error"

// method reads the method and the flags after it. As with strtok(3), colons that follow one another are one.
func (p *legacyParser) method(d *Directory, line Pos, text field) {
	f := flagReader{legacyParser: p, d: d}
	first := true
	for pos, word := range text.parts(line, ":") {
		f.pos = pos
		switch {
		case word == "":
		case first:
			first = false
			f.methodName(word)
		default:
			f.flag(word)
		}
	}
	if first {
		f.pos = text.pos(line)
		f.methodName("")
	}
	d.Init = f.init.init()
	if f.init.none && f.init.script != "" {
		p.cfg.warn(text.pos(line), "flag iscript has no effect with noinit")
	}
}

// flagReader reads the third field of one line.
type flagReader struct {
	*legacyParser
	d *Directory
	// pos is where the word stands that is read.
	pos  Pos
	init initFlags
}

// methodName reads the method.
func (f *flagReader) methodName(name string) {
	if slices.Contains(legacyMethods, name) {
		f.d.Method = Method(name)
		return
	}
	f.bad.add(f.pos, "method %s is not one of %s%s", quote(name), strings.Join(legacyMethods, ", "),
		didYouMean(name, legacyMethods))
}

// initFlags are what a line's flags say of its init script.
type initFlags struct {
	none, ignoreFailure bool
	script              string
}

// init is what they come to: noinit counts whatever else there is.
func (f initFlags) init() Init {
	switch {
	case f.none:
		return Init{}
	case f.script != "":
		return Init{Kind: InitScript, Script: f.script, IgnoreFailure: f.ignoreFailure}
	}
	return Init{Kind: InitStandard, IgnoreFailure: f.ignoreFailure}
}

// flag reads one flag. pam_namespace compares only as many bytes as the flag it knows has, and drops what it doesn't
// know without a word.
func (f *flagReader) flag(text string) {
	if text == ignoreInitError {
		f.init.ignoreFailure = true
		return
	}
	given, _, _ := strings.Cut(text, "=")
	i := slices.IndexFunc(legacyFlags, func(known string) bool { return strings.HasPrefix(text, known) })
	if i < 0 {
		f.warn("unknown flag %s is ignored%s", quote(given), didYouMean(given, flagNames))
		return
	}
	name := legacyFlags[i]
	value, hasValue := strings.CutPrefix(text[len(name):], "=")
	if !hasValue {
		value = "" // what a flag merely begins with is all that counts of it
	}
	switch {
	case given != name:
		f.warn("flag %s is read as %q", quote(text), name)
	case hasValue && (name == "noinit" || name == "shared"):
		f.warn("flag %s is read as %q: it takes no value", quote(text), name)
	}
	f.known(name, value, hasValue)
}

// known reads a flag by its full name.
func (f *flagReader) known(name, value string, hasValue bool) {
	switch name {
	case "create":
		f.d.Create = f.createFlag(f.pos, value, hasValue)
	case "noinit":
		f.init.none = true
	case "iscript":
		f.iscriptFlag(value)
	case "shared":
		f.sharedFlag()
	case "mntopts":
		f.mntoptsFlag(f.d, f.pos, value, hasValue)
	}
}

// warn warns of a flag.
func (f *flagReader) warn(format string, args ...any) {
	f.cfg.warn(f.pos, format, args...)
}

// sharedFlag reads the flag that pam_namespace heeds where names have a context in them.
func (f *flagReader) sharedFlag() {
	switch f.d.Method {
	case MethodLevel, MethodContext:
		f.d.Shared = true
	case MethodUser:
		f.warn("flag shared has no effect with method user; `shared: true` in gons.yaml has")
	default:
		f.warn("flag shared has no effect with method %s", f.d.Method)
	}
}

// iscriptFlag reads the path of a script; without one, pam_namespace runs the standard script as if the flag weren't
// there, or the script of an earlier iscript.
func (f *flagReader) iscriptFlag(value string) {
	if value == "" {
		f.warn("flag iscript without a path has no effect")
		return
	}
	if f.init.script != "" {
		f.warn("an earlier iscript is ignored: the last one counts")
	}
	script := value
	if !strings.HasPrefix(script, "/") {
		script = ScriptDir + "/" + script
	}
	f.init.script = path.Clean(script)
	switch {
	case len(f.init.script) > maxPath:
		f.bad.add(f.pos, "iscript is longer than %d bytes", maxPath)
	case slices.Contains(strings.Split(value, "/"), ".."):
		f.warn("iscript %s is read as %s", quote(value), quote(f.init.script))
	}
}

// createFlag reads "mode,owner,group", each of which may be missing. Where the "=" itself is, so are all three.
func (p *legacyParser) createFlag(pos Pos, value string, hasValue bool) *Create {
	if !hasValue {
		return &Create{}
	}
	parts := append(strings.SplitN(value, ",", 3), "", "")
	c := &Create{Mode: p.createMode(pos, parts[0]), Owner: parts[1], Group: parts[2]}
	for i, name := range parts[1:3] {
		if name != "" {
			p.checkCreateName(pos, name)
			p.cfg.named(p.how, pos, name, i == 1)
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
	for _, option := range d.Options.Data {
		if problem := optionVariables.unknown(option); problem != nil {
			p.cfg.warn(pos, "mntopts: %v", problem)
		}
	}
}
