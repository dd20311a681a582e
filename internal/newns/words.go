package newns

import (
	"fmt"
	"strings"

	"gons/internal/printable"
)

// String lists the plan: one line a step.
func (p *Plan) String() string {
	var b strings.Builder
	if p.Fork != "" {
		fmt.Fprintf(&b, "fork, since %s\n", p.Fork)
	}
	if p.DieWithParent {
		fmt.Fprintln(&b, "end with the caller")
	}
	for _, s := range p.Stage {
		fmt.Fprintln(&b, printable.Line(s.String()))
	}
	if p.Init != "" {
		fmt.Fprintf(&b, "start %s\n", p.Init)
	}
	if p.InitDies {
		fmt.Fprintln(&b, "let the job end with gons")
	}
	for _, s := range p.Setup {
		fmt.Fprintln(&b, printable.Line(s.String()))
	}
	if p.Persist != "" {
		fmt.Fprintf(&b, "bind the mount namespace to %s\n", printable.Line(p.Persist))
	}
	fmt.Fprintln(&b, printable.Line(p.Command.String()))
	return b.String()
}

// String says it in words, as does each below.
func (s Unshare) String() string { return "make namespaces: " + strings.Join(s.Kinds, ", ") }

func (s MapIDs) String() string {
	text := fmt.Sprintf("make a user namespace in which user %d is %d and group %d is %d", s.Outside, s.Inside, s.OutsideGroup, s.InsideGroup)
	if s.Auto {
		text += ", and the ids of /etc/subuid and /etc/subgid follow"
	}
	return text
}

func (s ShiftClocks) String() string {
	return fmt.Sprintf("set the clocks ahead: monotonic by %d s, boottime by %d s", s.Monotonic, s.Boottime)
}

func (s SetPropagation) String() string {
	return fmt.Sprintf("make %s and every mount below it %s", s.Path, s.Type)
}

func (s PrepareTree) String() string {
	text := "prepare what is at " + s.Source
	if s.Recursive {
		text += " and mounted below it"
	}
	if s.ReadOnly {
		text += ", read-only"
	}
	if s.Try {
		text += ", if it is there"
	}
	return text + ", to " + s.For
}

func (s PrepareFileSystem) String() string {
	text := "prepare a " + s.FileSystem
	if words := append(append([]string{}, s.Flags...), s.Parameters...); len(words) > 0 {
		text += " (" + strings.Join(words, ",") + ")"
	}
	return text + ", to " + s.For
}

func (s Attach) String() string {
	text := fmt.Sprintf("cover %s with what was prepared for it", s.Path)
	if s.Type != "" {
		text += ", and make that " + string(s.Type)
	}
	return text
}

func (s EnterRoot) String() string {
	return "make " + s.Path + " the root directory and forget the old one"
}

func (s SetHostname) String() string { return "set the host name to " + s.Name }

func (LoopbackUp) String() string { return "bring the loopback interface up" }

func (NewSession) String() string { return "make a session without a terminal" }

func (s Become) String() string {
	text := fmt.Sprintf("become user %d, group %d", s.UID, s.GID)
	if s.SetGroups {
		text += fmt.Sprintf(", groups %v", s.Groups)
	}
	return text
}

func (KeepCaps) String() string { return "keep the capabilities" }

func (s EnterDirectory) String() string {
	if s.Return {
		return "return to " + s.Path
	}
	return "enter " + s.Path
}

func (s Execute) String() string {
	quoted := make([]string, len(s.Argv))
	for i, a := range s.Argv {
		if quoted[i] = a; a == "" || strings.ContainsAny(a, " \t\n'\"\\$`") {
			quoted[i] = fmt.Sprintf("%q", a)
		}
	}
	return "run " + strings.Join(quoted, " ")
}
