package newns

import (
	"errors"
	"os"
	"strings"

	"gons/internal/linux"
)

// hint says what to do about an error, or "".
func hint(o *Options, err error) string {
	var c *linux.CallError
	var exec *linux.ExecError
	switch {
	case errors.As(err, &exec) && linux.Is(err, linux.ENOENT) && strings.Contains(exec.Path, "/"):
		return "what it names in its first line (#!), or its loader, may be missing"
	case errors.As(err, &exec) && linux.Is(err, linux.ENOENT):
		return "it is in no directory of PATH, as that is in there"
	case !errors.As(err, &c):
		return ""
	case c.Errno == linux.ENOSYS:
		return "gons needs Linux 5.12 or newer; in a container, the runtime's seccomp profile must allow the mount system calls"
	case c.Call == "clone3":
		return userNamespaces(c)
	}
	return mountHint(o, c)
}

// mountHint is hint for what mounts.
func mountHint(o *Options, c *linux.CallError) string {
	user := linux.EffectiveUID() != 0 || o.User
	switch c.Call + " " + name(c) {
	case "open_tree ENOENT":
		return "the source must be there; with --bind-try and its like it may be missing"
	case "open_tree EINVAL":
		if user {
			return "a user namespace can't show a directory without what the parent has mounted in it: use --rbind"
		}
		return "the source may be unbindable"
	case "mount_setattr EINVAL":
		return "nothing is mounted there, as in a chroot: bind the directory on itself first, or use --propagation unchanged"
	case "move_mount ENOENT":
		return "what is covered must be there: make it with mkdir, or touch for a file"
	case "move_mount ENOTDIR", "move_mount EINVAL":
		return "a directory can cover a directory alone, and a file a file"
	case "fsmount EPERM", "fsconfig EPERM":
		if strings.Contains(c.About, "proc") {
			return "a part of the caller's own /proc is covered, as in containers, so a user namespace gets no new one: use --rbind /proc:/proc"
		}
		return "a user namespace can't mount that; run it as root"
	case "fsconfig ENOENT":
		return "all of LOWER, UPPER and WORK must be there"
	case "fchdir ENOTDIR":
		return "--root wants a directory"
	case "fsopen ENODEV":
		return "the kernel has no such file system; see /proc/filesystems"
	case "setsid EPERM", "setresuid EINVAL", "setresgid EINVAL":
		return "the id isn't mapped into the user namespace"
	}
	if c.Errno == linux.EPERM || c.Errno == linux.EACCES {
		return denied(user)
	}
	return ""
}

func name(c *linux.CallError) string {
	switch c.Errno {
	case linux.ENOENT:
		return "ENOENT"
	case linux.EINVAL:
		return "EINVAL"
	case linux.ENOTDIR:
		return "ENOTDIR"
	case linux.EPERM:
		return "EPERM"
	case linux.ENODEV:
		return "ENODEV"
	}
	return ""
}

// userNamespaces says why the kernel makes no user namespace.
func userNamespaces(c *linux.CallError) string {
	switch {
	case setting("user/max_user_namespaces") == "0":
		return "user namespaces are switched off (sysctl user.max_user_namespaces=0): run it as root, or have that raised"
	case setting("kernel/unprivileged_userns_clone") == "0":
		return "user namespaces are for root alone here (sysctl kernel.unprivileged_userns_clone=0): run it as root"
	case c.Errno == linux.EPERM:
		return "a process in a chroot, or one that a seccomp filter keeps from it, can't make a user namespace: run it as root"
	}
	return "there are as many as the kernel allows; see sysctl user.max_user_namespaces"
}

// denied says what may have denied a thing that the kernel would allow.
func denied(user bool) string {
	if user && setting("kernel/apparmor_restrict_unprivileged_userns") == "1" {
		return "AppArmor lets user namespaces do nothing here (sysctl kernel.apparmor_restrict_unprivileged_userns=1): run it as root, or give gons a profile with userns"
	}
	if user {
		return "a user namespace doesn't allow that; run it as root"
	}
	return "a security module, or the lack of a capability, denies it"
}

func setting(name string) string {
	data, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
