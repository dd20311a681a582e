package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// maxPath is the longest path that a system call takes: PATH_MAX less the NUL.
const maxPath = 4095

// cleanPath checks a path of gons.yaml and returns it without doubled and trailing slashes, and with ${HOME} and
// ${USER} as $HOME and $USER. It must be absolute or begin with $HOME. "." and ".." are refused rather than resolved:
// what they would mean behind a symbolic link is not what the text says.
func cleanPath(text string) (string, error) {
	if text == "" {
		return "", errors.New("an absolute path expected, not an empty one")
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", fmt.Errorf("%s contains a control character", quote(text))
	}
	plain, err := pathVariables.plain(text)
	if err != nil {
		return "", err
	}
	if len(plain) > maxPath {
		return "", fmt.Errorf("longer than %d bytes", maxPath)
	}
	if !isRooted(plain) {
		return "", fmt.Errorf(`%s does not begin with "/" or "$HOME"`, quote(text))
	}
	return joinClean(plain)
}

// isRooted reports whether a path is absolute once $HOME is expanded.
func isRooted(path string) bool {
	return strings.HasPrefix(path, "/") || strings.HasPrefix(path, "$HOME")
}

// joinClean drops the empty components of a rooted path and refuses those that are dots.
func joinClean(path string) (string, error) {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "":
			continue
		case ".", "..":
			return "", fmt.Errorf("%s contains the component %q", quote(path), part)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "", errors.New(`"/" is not a directory that can be private`)
	}
	joined := strings.Join(parts, "/")
	if path[0] == '/' {
		joined = "/" + joined
	}
	return joined, nil
}

// cleanScript checks an absolute path of a script in gons.yaml and returns it without doubled and trailing slashes.
func cleanScript(text string) (string, error) {
	if strings.Contains(text, "$") {
		return "", fmt.Errorf("%s: there are no variables in the path of a script", quote(text))
	}
	return cleanPath(text)
}

// cleanPrefix checks the beginning of an instance's name in gons.yaml; the result is as for cleanPath.
func cleanPrefix(text string) (string, error) {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", fmt.Errorf("%s contains a control character", quote(text))
	}
	if strings.Contains(text, "/") {
		return "", fmt.Errorf(`%s contains "/"; directories belong in instances`, quote(text))
	}
	if strings.Contains(text, "..") {
		return "", fmt.Errorf(`%s contains ".."`, quote(text))
	}
	plain, err := pathVariables.plain(text)
	if err != nil {
		return "", err
	}
	if strings.Contains(plain, "$HOME") {
		return "", fmt.Errorf("%s contains $HOME, which has slashes in it", quote(text))
	}
	return plain, nil
}

// checkName refuses what can't be the name of a user, a group or a PAM service. Whether there is one of that name is
// for the name service to say, at a login.
func checkName(name string) error {
	if name == "" {
		return errors.New("an empty name")
	}
	bad := func(r rune) bool {
		return strings.ContainsRune(",:/", r) || unicode.IsSpace(r) || unicode.IsControl(r)
	}
	if strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%s is not a name: it has a comma, a colon, a slash, white space or a control character in it",
			quote(name))
	}
	return nil
}

// octal reads permission bits written as 755, 0755, 01777 or 0o755. The text decides, not YAML's idea of the number:
// 0755 is octal to one YAML and decimal to another.
func octal(text string) (uint32, error) {
	digits := strings.TrimPrefix(text, "0o")
	mode, err := strconv.ParseUint(digits, 8, 16)
	if err != nil || mode > 0o7777 || len(digits) < 3 || len(digits) > 5 {
		return 0, fmt.Errorf(`an octal mode such as "0755" or "1777" expected, not %s`, quote(text))
	}
	return uint32(mode), nil
}

// octalText is octal, as a mount option wants it.
func octalText(text string) (string, error) {
	mode, err := octal(text)
	return fmt.Sprintf("%04o", mode), err
}

// ownerID checks a user's or group's number, or the variable that stands for one, and returns it with the variable plain.
func ownerID(text string) (string, error) {
	plain, err := optionVariables.plain(text)
	if err != nil {
		return "", err
	}
	id, err := strconv.ParseUint(plain, 10, 32)
	if plain == "$UID" || plain == "$GID" || err == nil && id < math.MaxUint32 && strconv.FormatUint(id, 10) == plain {
		return plain, nil
	}
	return "", fmt.Errorf("a number, $UID or $GID expected, not %s", quote(text))
}

// Numbers as tmpfs(5) takes them. A leading zero would make the kernel read octal.
var (
	amountText  = lazyPattern(`^(0|[1-9][0-9]*)([kKmMgGtT]?)$`)
	percentText = lazyPattern(`^[1-9][0-9]{0,2}%$`)
)

// size checks the size of a tmpfs and returns it as it was written.
func size(text string) (string, error) {
	if percentText().MatchString(text) || isAmount(text) {
		return text, nil
	}
	return "", fmt.Errorf("a size such as 1G, 512M or 50%% expected, not %s", quote(text))
}

// count checks a number of inodes and returns it as it was written.
func count(text string) (string, error) {
	if isAmount(text) && !strings.ContainsAny(text, "tT") {
		return text, nil
	}
	return "", fmt.Errorf("a number such as 100k or 1m expected, not %s", quote(text))
}

// isAmount reports whether text is a number with an optional suffix that fits in a file size: the kernel's memparse
// doesn't notice an overflow, and takes what is left of it.
func isAmount(text string) bool {
	m := amountText().FindStringSubmatch(text)
	if m == nil {
		return false
	}
	shift := map[string]uint{"k": 10, "m": 20, "g": 30, "t": 40}[strings.ToLower(m[2])]
	n, err := strconv.ParseUint(m[1], 10, 64)
	return err == nil && n <= math.MaxInt64>>shift
}

// lazyPattern compiles at the first use: a login that reads no such text must not pay for it when the worker starts.
func lazyPattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
