package polyinst

import (
	"errors"
	"fmt"
	"strings"

	"gons/internal/initscript"
	"gons/internal/linux"
)

// fillHome puts what a new home begins with into one that nobody can reach yet: so no other session of the user's sees
// it half filled, or has put something there for root to write through.
func (x *executor) fillHome(h *linux.Handle, home Home) error {
	as := initscript.Home{UID: home.UID, GID: home.GID, Mode: home.Mode, Umask: home.Umask}
	if x.env.Labels != nil {
		as.Label = func(way []string, made *linux.Handle, t linux.Type) error {
			x.restore(made, home.Path+"/"+strings.Join(way, "/"), t)
			return nil
		}
	}
	return initscript.FillHome(h, x.env.Root, home.Skeleton, as)
}

// runInit runs a script for what covers a directory now.
func (x *executor) runInit(s RunInit) error {
	i := x.instances[s.Slot]
	if i == nil {
		return fmt.Errorf("internal error: nothing was prepared for %s", s.Path)
	}
	call := initscript.Call{
		Script: s.Script, Directory: s.Path, Instance: i.writtenAs(s.Instance), New: i.isNew, User: s.User,
		Umask: s.Umask, Deadline: x.env.Deadline, SELinuxExecReset: x.env.Labels != nil,
	}
	call.DirectorySafe = x.env.Root.IsSafe(call.Directory)
	call.InstanceSafe = x.env.Root.IsSafe(call.Instance)
	output, err := initscript.Run(call)
	if output = strings.TrimSpace(output); output != "" {
		x.done.notice(s.Pos, "%s for %s said: %s", s.Script, s.Path, output)
	}
	if err != nil && s.IgnoreFailure {
		x.done.notice(s.Pos, "%v; that doesn't matter (ignore_init_error)", err)
		var status *initscript.StatusError
		return x.finish(i, errors.As(err, &status))
	}
	if err != nil {
		return err
	}
	return x.finish(i, true)
}
