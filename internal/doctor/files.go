package doctor

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"strings"

	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/internal/session"
)

// lookAtFiles looks at what root obeys: the module as the stacks name it, and where configuration and records are.
func (f *Facts) lookAtFiles(root *safepath.Root) {
	f.Module = lookAtFile(root, f.modulePath())
	for _, dir := range []string{"/etc/security", "/etc/pam.d", session.RunDir} {
		f.Files = append(f.Files, lookAtFile(root, dir))
	}
	if info, err := buildinfo.ReadFile(f.Module.Path); err == nil {
		f.ModuleBuild = revision(info)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		f.CommandBuild = revision(info)
	}
}

// revision is what the version control says of the source; "" where it was changed since, or isn't known.
func revision(info *debug.BuildInfo) string {
	out := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			out = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			return ""
		}
	}
	return out
}

// modulePath is where the first stack that has the module takes it from.
func (f *Facts) modulePath() string {
	for _, s := range f.Stacks {
		for _, i := range s.Find(gons) {
			if strings.HasPrefix(s.Rules[i].Module, "/") {
				return s.Rules[i].Module
			}
		}
	}
	found, _ := filepath.Glob("/usr/lib*/security/" + gons)
	for _, pattern := range []string{"/usr/lib/*/security/" + gons, "/lib/*/security/" + gons} {
		more, _ := filepath.Glob(pattern)
		found = append(found, more...)
	}
	if len(found) == 0 {
		return "/usr/lib/security/" + gons
	}
	return found[0]
}

// lookAtFile judges a file or a directory as the module judges its configuration.
func lookAtFile(root *safepath.Root, file string) File {
	out := File{Path: file}
	dir, name, err := root.OpenParent(file)
	if err != nil {
		out.Absent = errors.Is(err, fs.ErrNotExist)
		out.Distrust = err.Error()
		return out
	}
	defer dir.Close()
	h, err := dir.OpenAt(name, linux.LookAt, false)
	if err != nil {
		out.Absent = errors.Is(err, fs.ErrNotExist)
		out.Distrust = err.Error()
		return out
	}
	defer h.Close()
	st, err := h.Stat()
	if err == nil && !dir.PlacedByRoot {
		err = fmt.Errorf("others than root can write to the way to it")
	}
	if err == nil {
		err = safepath.Distrust(st)
	}
	if err != nil {
		out.Distrust = err.Error()
	}
	return out
}
