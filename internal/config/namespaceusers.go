package config

import (
	"fmt"
	"strings"
)

// users reads the list of names: those that get no instance or, after "~", the only ones that do. It returns false
// where nobody is left, which an empty Only couldn't say.
func (p *legacyParser) users(d *Directory, line Pos, list field) bool {
	words, only := list.cutPrefix("~")
	if !only {
		d.Except = p.names(line, words)
		return true
	}
	if words.text != "" {
		d.Only = p.names(line, words)
	}
	if d.Only.Empty() {
		p.cfg.warn(list.pos(line), `"~" without a name: this line applies to nobody`)
	}
	return !d.Only.Empty()
}

// names reads the names of a list, and says of each what is odd.
func (p *legacyParser) names(line Pos, list field) Selector {
	var named Selector
	for pos, word := range list.parts(line, ",") {
		name, isGroup := word, false
		if p.how.Groups {
			name, isGroup = strings.CutPrefix(word, "@")
		}
		switch {
		case name == "":
			p.cfg.warn(pos, "an empty name in the list of users")
			continue
		case isGroup:
			named.Groups = append(named.Groups, name)
		default:
			named.Users = append(named.Users, name)
		}
		if problem := suspectName(word, p.how.Groups); problem != "" {
			p.cfg.warn(pos, "%s", problem)
		} else {
			p.cfg.named(p.how, pos, name, isGroup)
		}
	}
	return named
}

// named keeps a name where Reading asks for that.
func (c *Config) named(how Reading, pos Pos, name string, group bool) {
	if how.Names {
		c.Names = append(c.Names, Named{Pos: pos, Group: group, Name: name})
	}
}

// suspectName says why a word in a list is hardly a user's name, or with groups, that of a group after "@"; "" where it
// may be.
func suspectName(name string, groups bool) string {
	switch {
	case name[0] == '~':
		return fmt.Sprintf(`%s is read as a user's name: "~" has a meaning only before the first name`, quote(name))
	case name[0] == '@' && !groups:
		return fmt.Sprintf("%s is read as a user's name: groups need the option enable_groups", quote(name))
	case strings.ContainsRune("%*!+", rune(name[0])):
		return fmt.Sprintf("%s is read as a user's name: there are no patterns here", quote(name))
	case checkName(name) != nil:
		return checkName(name).Error()
	}
	return ""
}
