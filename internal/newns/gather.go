package newns

import (
	"fmt"
	"os"
	"strconv"

	"gons/internal/linux"
)

// Gather finds what the plan depends on.
func Gather(o *Options) (Facts, error) {
	effective, permitted, err := linux.Capabilities()
	if err != nil {
		return Facts{}, err
	}
	f := Facts{
		UID: uint32(linux.EffectiveUID()), GID: uint32(linux.EffectiveGID()), Privileged: effective>>linux.CapSysAdmin&1 != 0,
		Capabilities: keepable(o, effective, permitted), Mounts: map[string]bool{}, Directories: map[string]bool{}, Environ: os.Environ(),
	}
	f.Lacking = lacking(o, f.Privileged)
	f.Cwd, _ = os.Getwd() // "" where it has no name any more
	b := builder{o: o}
	if o.PID {
		f.Mounts["/proc"], _ = linux.IsMountRoot("/proc")
	}
	for _, op := range o.Operations {
		switch op.Kind {
		case Proc:
			f.Mounts[op.Target], _ = linux.IsMountRoot(op.Target)
		case Propagate:
			f.Mounts[b.outside(op.Target)], err = linux.IsMountRoot(b.outside(op.Target))
		case Hide:
			f.Directories[b.outside(op.Target)], err = isDirectory(b.outside(op.Target))
		}
		if err != nil && len(o.Operations) == 1 { // an earlier one may bring the path into being
			return Facts{}, fmt.Errorf("cannot look at %s: %w", op.Target, err)
		}
	}
	f.As, err = identity(o, f)
	return f, err
}

// isDirectory reports whether path leads to a directory, symbolic links followed.
func isDirectory(path string) (bool, error) {
	info, err := os.Stat(path)
	return err == nil && info.IsDir(), err
}

// identity looks up who the command is to run as.
func identity(o *Options, f Facts) (Identity, error) {
	as := Identity{UID: f.UID, GID: f.GID}
	if o.UID != "" {
		account, known, err := lookUpUser(o.UID)
		n, numeric := number(o.UID)
		switch {
		case err != nil:
			return as, fmt.Errorf("cannot look up the user %s: %w", o.UID, err)
		case known:
			as = account
		case numeric && n != f.UID && o.GID == "" && (f.Privileged || o.MapAuto): // the caller's group is root's
			return as, &RefusedError{"no user has the number " + o.UID + ", so it isn't known what group is theirs", "name one with --gid"}
		case numeric:
			as = Identity{UID: n, GID: f.GID}
		default:
			return as, &RefusedError{"there is no user " + o.UID, "see `getent passwd`"}
		}
	}
	if o.GID == "" {
		return as, nil
	}
	gid, known, err := lookUpGroup(o.GID)
	if err == nil && !known {
		if gid, known = number(o.GID); !known {
			return as, &RefusedError{"there is no group " + o.GID, "see `getent group`"}
		}
	}
	as.GID = gid
	return as, err
}

func number(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && uint32(n) != ^uint32(0)
}

// keepable are the capabilities that the command can be left: in a new user namespace all that the kernel has.
func keepable(o *Options, effective, permitted uint64) uint64 {
	if effective>>linux.CapSysAdmin&1 != 0 && !o.User {
		return permitted
	}
	last, err := strconv.Atoi(setting("kernel/cap_last_cap"))
	if err != nil || last < 0 || last > 62 {
		return permitted
	}
	return 1<<(last+1) - 1
}

// lacking are those of the kinds that a plan needs that have no file in /proc; where that is missing itself, nothing is known.
func lacking(o *Options, privileged bool) (out []string) {
	b := builder{o: o, user: o.User || !privileged}
	for _, kind := range b.allKinds() {
		file := kind
		if kind == "mount" {
			file = "mnt"
		}
		if _, err := os.Stat("/proc/self/ns/" + file); !os.IsNotExist(err) {
			continue
		}
		if kind == "mount" {
			return nil
		}
		out = append(out, kind)
	}
	return out
}
