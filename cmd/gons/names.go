package main

import (
	"fmt"

	"gons/internal/config"
	"gons/internal/polyinst"
)

// unknownNames returns a warning for each name that the name service doesn't know, or can't be asked about, at the place
// where it is named first.
func unknownNames(named []config.Named, names polyinst.NameService) []config.Warning {
	var warnings []config.Warning
	seen := make(map[config.Named]bool)
	for _, n := range named {
		pos := n.Pos
		if n.Pos = (config.Pos{}); seen[n] {
			continue
		}
		seen[n] = true
		if problem := lookUp(n, names); problem != "" {
			warnings = append(warnings, config.Warning{Pos: pos, Text: problem})
		}
	}
	return warnings
}

// lookUp says what is wrong with a name; "" where it is known.
func lookUp(n config.Named, names polyinst.NameService) string {
	kind, known, err := "user", false, error(nil)
	if n.Group {
		kind = "group"
		_, known, err = names.LookupGroup(n.Name)
	} else {
		_, known, err = names.LookupUser(n.Name)
	}
	switch {
	case err != nil:
		return fmt.Sprintf("cannot look up the %s %q: %v", kind, n.Name, err)
	case !known:
		return fmt.Sprintf("this machine knows no %s %q", kind, n.Name)
	}
	return ""
}
