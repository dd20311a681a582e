package module

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gons/internal/config"
)

// Line is what the options of a PAM line ask for.
type Line struct {
	// Options change what a session gets, and Reading how the configuration is read.
	Options config.Options
	Reading config.Reading
	// Config is the file that config= names; "" for the standard ones.
	Config string
	// Debug logs the plan.
	Debug bool
	// Warnings are about options that nobody knows, and Notes about pam_namespace's that change nothing here.
	Warnings, Notes []string
}

// ParseLine reads the module's options, one a string. An option that isn't known is a Warning, as PAM modules have it;
// a known one with a bad value is an error.
func ParseLine(args []string) (Line, error) {
	var l Line
	var failed []error
	for _, arg := range args {
		failed = append(failed, l.add(arg))
	}
	return l, errors.Join(failed...)
}

// flags are the options that are one word.
var flags = map[string]func(*Line){
	"debug":                       func(l *Line) { l.Debug = true },
	"gen_hash":                    func(l *Line) { l.Options.GenHash = true },
	"ignore_instance_parent_mode": func(l *Line) { l.Options.IgnoreParentMode = true },
	"ignore_config_error":         func(l *Line) { l.Options.SkipBad, l.Reading.SkipBad = true, true },
	"enable_groups":               func(l *Line) { l.Reading.Groups = true },
	"require_selinux":             func(l *Line) { l.Options.RequireSELinux = true },
	"use_current_context":         func(l *Line) { l.Options.Context = config.ContextCurrent },
	"use_default_context":         func(l *Line) { l.Options.Context = config.ContextDefault },
	"unmnt_remnt":                 func(l *Line) { l.Options.Inherited = config.InheritedUnmount },
	"unmnt_only":                  func(l *Line) { l.Options.Inherited = config.InheritedUnmountOnly },
	"mount_private":               func(l *Line) { l.note("mount_private", "/ is always made a slave") },
	"unmount_on_close":            func(l *Line) { l.note("unmount_on_close", "tmpdir instances are always removed") },
	"no_unmount_on_close":         func(l *Line) { l.note("no_unmount_on_close", "a close never unmounts") },
}

func (l *Line) note(option, why string) {
	l.Notes = append(l.Notes, fmt.Sprintf("the option %s changes nothing: %s", option, why))
}

func (l *Line) add(arg string) error {
	key, value, valued := strings.Cut(arg, "=")
	set := flags[arg]
	switch {
	case set != nil:
		set(l)
	case key == "config" && valued:
		if !strings.HasPrefix(value, "/") {
			return fmt.Errorf("bad option %q: expected an absolute path", arg)
		}
		l.Config = value
	case key == "timeout" && valued: // the gate's
	default:
		known := append(slices.Sorted(maps.Keys(flags)), "config", "timeout")
		l.Warnings = append(l.Warnings, fmt.Sprintf("unknown option %q ignored%s", arg, config.DidYouMean(key, known)))
	}
	return nil
}
