package newns

import (
	"fmt"
	"strings"
)

// Help is what --help prints.
func Help(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s [OPTION...] [--] [COMMAND [ARGUMENT...]]\n\nRuns COMMAND, or a shell, in a mount namespace of its own. See gons-run(1).\n\n", name)
	for _, o := range All() {
		left := "--" + o.Name
		switch {
		case o.Optional:
			left += "[=" + o.Value + "]"
		case o.Value != "":
			left += " " + o.Value
		}
		fmt.Fprintf(&b, "  %-36s %s\n", left, o.Help)
	}
	return b.String()
}
