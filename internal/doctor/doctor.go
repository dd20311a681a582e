// Package doctor says whether a machine is ready for gons and is as its configuration has it. Diagnose is pure: Facts in,
// findings out, each with the command that mends it. gather.go finds the facts out and changes nothing.
package doctor

import (
	"fmt"
	"slices"
	"strings"

	"gons/internal/pamstack"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	// OK findings are as they should be.
	OK Level = "ok"
	// Warning findings may be meant so.
	Warning Level = "warning"
	// Problem findings keep sessions from opening, or from being private.
	Problem Level = "problem"
)

// Finding is one thing that was looked at.
type Finding struct {
	Level Level `json:"level"`
	// Check names what was looked at: "kernel", "configuration", "mounts", "pam", "files", "sessions", "instances", "boot".
	Check string `json:"check"`
	// Where is the file, directory or service; "" for the machine.
	Where string `json:"where,omitempty"`
	// Text says what is so.
	Text string `json:"text"`
	// Fix is a command, or a line of advice, that mends it; "" where nothing is to be mended.
	Fix string `json:"fix,omitempty"`
}

// Feature is something that the kernel has, or lacks.
type Feature struct {
	Name string
	// For says what it is needed for. Needed ones every session needs.
	For    string
	Needed bool
	// Missing is why it isn't there; "" where it is.
	Missing string
}

// File is a file or directory that only root may be able to change.
type File struct {
	Path string
	// Absent says that it isn't there, and Distrust why it can't be trusted; "" where it can.
	Absent   bool
	Distrust string
}

// Instances are those in one instance parent that nobody uses.
type Instances struct {
	Parent string
	Count  int
	// Size is what they take, in words.
	Size string
	// Strangers are entries that the configuration doesn't make.
	Strangers int
	// Error says why the parent couldn't be looked at.
	Error string
}

// Facts are what findings are made of.
type Facts struct {
	Kernel []Feature
	// Configuration are the files that were read, ConfigError what is wrong with them, NoConfig that there is none, and
	// Home that a directory depends on the user's home.
	Configuration  []string
	ConfigError    string
	ConfigWarnings []string
	NoConfig, Home bool
	// Private says that mounts pass neither into nor out of sessions.
	Private bool
	// ByContext says that a method needs the session's SELinux context.
	ByContext bool
	// BootChanges are what gons boot would change, and BootProblems what is in its way.
	BootChanges, BootProblems []string
	// Stacks are the session stacks of all services.
	Stacks []pamstack.Stack
	// SSHD says whether there is a sshd, and UsePAM whether it uses PAM.
	SSHD, UsePAM bool
	Module       File
	Files        []File
	// ModuleBuild and CommandBuild are the revisions that the two were built from; "" where they don't tell.
	ModuleBuild, CommandBuild string
	// Dead are the sessions that ended without being cleaned up, Open those that are open.
	Dead, Open int
	// RecordErrors are records that can't be read.
	RecordErrors []string
	Instances    []Instances
	// Systemd says that it runs the machine; BootUnit and CleanTimer that these are enabled, RCLocal that rc.local runs gons
	// boot.
	Systemd, BootUnit, CleanTimer, RCLocal bool
}

// Diagnose returns what is to be said of a machine, in the order in which one would mend it.
func Diagnose(f Facts) []Finding {
	var out report
	out.kernel(f)
	out.configuration(f)
	out.files(f)
	if f.ConfigError == "" || f.NoConfig { // or nobody knows what the mounts are to be
		out.mounts(f)
	}
	out.boot(f)
	out.pam(f)
	out.sessions(f)
	out.instances(f)
	return out
}

// Healthy reports whether there is no problem among the findings.
func Healthy(findings []Finding) bool {
	return !slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Problem })
}

type report []Finding

func (r *report) add(level Level, check, where, text, fix string) {
	*r = append(*r, Finding{level, check, where, text, fix})
}

func (r *report) kernel(f Facts) {
	for _, k := range f.Kernel {
		switch {
		case k.Missing == "":
			r.add(OK, "kernel", "", fmt.Sprintf("%s, for %s", k.Name, k.For), "")
		case k.Needed:
			r.add(Problem, "kernel", "", fmt.Sprintf("no %s, for %s: %s", k.Name, k.For, k.Missing),
				"run Linux 5.12 or newer; in a container, have its seccomp profile allow the call")
		default:
			r.add(Warning, "kernel", "", fmt.Sprintf("no %s, for %s: %s", k.Name, k.For, k.Missing), "")
		}
	}
}

func (r *report) configuration(f Facts) {
	switch {
	case f.NoConfig:
		r.add(Problem, "configuration", "/etc/security/gons.yaml", "there is no configuration: no session opens",
			"install -m 644 /usr/share/doc/gons/examples/gons.yaml /etc/security/gons.yaml")
		return
	case f.ConfigError != "":
		r.add(Problem, "configuration", "", f.ConfigError, "gons check")
		return
	}
	for _, w := range f.ConfigWarnings {
		r.add(Warning, "configuration", "", w, "gons check")
	}
	r.add(OK, "configuration", "", "read from "+strings.Join(f.Configuration, ", "), "")
}

func (r *report) files(f Facts) {
	if f.Module.Absent {
		r.add(Problem, "files", f.Module.Path, "the module isn't there", "make install")
	} else {
		r.file(f.Module)
	}
	for _, file := range f.Files {
		if !file.Absent {
			r.file(file)
		}
	}
	switch {
	case f.ModuleBuild == "" || f.CommandBuild == "" || f.Module.Absent:
	case f.ModuleBuild != f.CommandBuild:
		r.add(Warning, "files", f.Module.Path, fmt.Sprintf("it was built from revision %.12s, and this command from %.12s", f.ModuleBuild, f.CommandBuild),
			"make install")
	default:
		r.add(OK, "files", f.Module.Path, "it was built from the revision that this command is of", "")
	}
}

func (r *report) file(f File) {
	if f.Distrust == "" {
		r.add(OK, "files", f.Path, "only root can change it", "")
		return
	}
	r.add(Problem, "files", f.Path, f.Distrust, fmt.Sprintf("chown root: %s && chmod go-w %s", quote(f.Path), quote(f.Path)))
}

func (r *report) mounts(f Facts) {
	for _, p := range f.BootProblems {
		r.add(Problem, "mounts", "", p, "")
	}
	for _, c := range f.BootChanges {
		r.add(Warning, "mounts", "", "not as gons boot leaves it; to do: "+c, "gons boot")
	}
	if len(f.BootProblems)+len(f.BootChanges) == 0 {
		r.add(OK, "mounts", "", "/ is shared, the configured directories are private, and instance parents are there", "")
	}
}

func (r *report) boot(f Facts) {
	switch {
	case f.BootUnit, f.RCLocal:
		r.add(OK, "boot", "", "gons boot runs at boot", "")
	case f.Systemd:
		r.add(Warning, "boot", "gons-boot.service", "it isn't enabled: after a boot / may be private, and instance parents missing",
			"systemctl enable --now gons-boot.service")
	default:
		r.add(Warning, "boot", "/etc/rc.local", "nothing runs gons boot at boot", "have it run `gons boot`, as /usr/share/doc/gons/examples/rc.local does")
	}
	if f.Systemd && !f.CleanTimer {
		r.add(Warning, "boot", "gons-clean.timer", "it isn't enabled: what killed sessions leave stays until their user logs in again",
			"systemctl enable --now gons-clean.timer")
	}
}

func (r *report) sessions(f Facts) {
	for _, e := range f.RecordErrors {
		r.add(Problem, "sessions", "", e, "look at the record, and remove it")
	}
	if f.Dead > 0 {
		r.add(Warning, "sessions", "", fmt.Sprintf("sessions that died and left something: %d", f.Dead), "gons clean")
	}
	r.add(OK, "sessions", "", fmt.Sprintf("open sessions: %d", f.Open), "")
}

func (r *report) instances(f Facts) {
	for _, i := range f.Instances {
		switch {
		case i.Error != "":
			r.add(Problem, "instances", i.Parent, i.Error, "")
			continue
		case i.Count > 0:
			r.add(OK, "instances", i.Parent, fmt.Sprintf("instances of users without a session: %d, which take %s", i.Count, i.Size),
				"gons clean --instances --older-than 30d --dry-run")
		}
		if i.Strangers > 0 {
			r.add(Warning, "instances", i.Parent, fmt.Sprintf("entries that are no instances of users whom this machine knows: %d", i.Strangers),
				"gons clean --instances --dry-run")
		}
	}
}
