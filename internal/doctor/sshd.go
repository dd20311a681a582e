package doctor

import (
	"path"
	"slices"
	"strings"

	"gons/internal/config"
	"gons/internal/safepath"
)

const sshdConfig = "/etc/ssh/sshd_config"

// usePAM reads sshd_config(5) as far as UsePAM needs it: the first value counts, and it isn't within a Match.
func usePAM(files safepath.Files) (sshd, pam bool) {
	data, err := files.Read(sshdConfig, config.MaxFileSize)
	if err != nil {
		return false, false
	}
	list := func(pattern string) (out []string) {
		if !strings.HasPrefix(pattern, "/") {
			pattern = path.Join(path.Dir(sshdConfig), pattern)
		}
		names, _ := files.List(path.Dir(pattern))
		slices.Sort(names)
		for _, name := range names {
			if ok, _ := path.Match(path.Base(pattern), name); ok {
				text, _ := files.Read(path.Join(path.Dir(pattern), name), config.MaxFileSize)
				out = append(out, string(text))
			}
		}
		return out
	}
	value, _ := sshdValue(string(data), "usepam", list, 0)
	return true, strings.EqualFold(value, "yes")
}

// sshdValue is the first value of a keyword; include returns the texts of the files that a pattern fits.
func sshdValue(text, keyword string, include func(pattern string) []string, depth int) (value string, found bool) {
	const deepest = 16 // as sshd
	for _, line := range strings.Split(text, "\n") {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '=' || r == '\r' || r == '"' })
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch strings.ToLower(words[0]) {
		case keyword:
			return words[1], true
		case "match":
			return "", false
		case "include":
			for _, pattern := range words[1:] {
				for _, inner := range include(pattern) {
					if depth >= deepest {
						return "", false
					}
					if value, found := sshdValue(inner, keyword, include, depth+1); found {
						return value, true
					}
				}
			}
		}
	}
	return "", false
}
