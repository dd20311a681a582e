package newns

import (
	"fmt"
	"strconv"
	"strings"
)

// Option is one option of the command line.
type Option struct {
	// Name is what follows "--", Value what stands for its value in help, "" where it has none.
	Name, Value string
	// Optional says that the value, which then follows "=", may be left out.
	Optional bool
	Help     string
	set      func(*Options, string) error
}

// All are the options, in the order of the manual.
func All() []Option {
	return []Option{
		{"propagation", "TYPE", false, "of all mounts: slave (the default), private, shared, or unchanged", setPropagation},
		{"slave", "PATH", false, "make the mounts at and below PATH slaves", propagate(Slave)},
		{"private", "PATH", false, "make the mounts at and below PATH private", propagate(Private)},
		{"shared", "PATH", false, "make the mounts at and below PATH shared", propagate(Shared)},
		{"unbindable", "PATH", false, "make the mounts at and below PATH unbindable", propagate(Unbindable)},
		{"bind", "SRC:DST", false, "show SRC at DST too, without what is mounted below it", bind(Bind, false)},
		{"bind-try", "SRC:DST", false, "the same; no SRC is no error", bind(Bind, true)},
		{"rbind", "SRC:DST", false, "show SRC and what is mounted below it at DST too", bind(RecursiveBind, false)},
		{"rbind-try", "SRC:DST", false, "the same; no SRC is no error", bind(RecursiveBind, true)},
		{"ro-bind", "SRC:DST", false, "as --rbind, but nothing in it can be changed", bind(ReadOnlyBind, false)},
		{"ro-bind-try", "SRC:DST", false, "the same; no SRC is no error", bind(ReadOnlyBind, true)},
		{"tmpfs", "DST[:OPTIONS]", false, "cover DST with a tmpfs; size=1G,mode=0700 and others as in tmpfs(5)", setTmpfs},
		{"overlay", "LOWER:UPPER:WORK:DST", false, "cover DST with LOWER, changes of which go to UPPER", setOverlay},
		{"proc", "DST", true, "mount a /proc of the pid namespace, at DST", mount(Proc, "/proc")},
		{"devpts", "DST", true, "mount terminals of its own at DST (/dev/pts)", mount(DevPTS, "/dev/pts")},
		{"hide", "PATH", false, "cover PATH with an empty directory or file", mount(Hide, "")},
		{"root", "DIR", false, "make DIR the root directory", text(func(o *Options) *string { return &o.Root })},
		{"config", "FILE", true, "the directories of gons.yaml(5) for who runs the command", setConfig},
		{"pid", "", false, "a pid namespace, with a process that reaps orphans, and its /proc", flag(func(o *Options) *bool { return &o.PID })},
		{"uts", "", false, "a UTS namespace: the host name", flag(func(o *Options) *bool { return &o.UTS })},
		{"hostname", "NAME", false, "set the host name in it; implies --uts", setHostname},
		{"ipc", "", false, "an IPC namespace", flag(func(o *Options) *bool { return &o.IPC })},
		{"net", "", false, "a network namespace that has a loopback interface alone", flag(func(o *Options) *bool { return &o.Net })},
		{"cgroup", "", false, "a cgroup namespace", flag(func(o *Options) *bool { return &o.Cgroup })},
		{"time", "", false, "a time namespace", flag(func(o *Options) *bool { return &o.Time })},
		{"monotonic", "SECONDS", false, "what CLOCK_MONOTONIC is ahead in it; implies --time", seconds(func(o *Options) *int64 { return &o.Monotonic })},
		{"boottime", "SECONDS", false, "what CLOCK_BOOTTIME is ahead in it; implies --time", seconds(func(o *Options) *int64 { return &o.Boottime })},
		{"user", "", false, "a user namespace; made without root in any case", flag(func(o *Options) *bool { return &o.User })},
		{"map-root", "", false, "be root in the user namespace", flag(func(o *Options) *bool { return &o.MapRoot })},
		{"map-auto", "", false, "be root in it, and have the ids of /etc/subuid and /etc/subgid", flag(func(o *Options) *bool { return &o.MapAuto })},
		{"uid", "USER", false, "run the command as USER, a name or number", text(func(o *Options) *string { return &o.UID })},
		{"gid", "GROUP", false, "and in GROUP, a name or number", text(func(o *Options) *string { return &o.GID })},
		{"keep-caps", "", false, "leave the command its capabilities", flag(func(o *Options) *bool { return &o.KeepCaps })},
		{"chdir", "DIR", false, "start the command in DIR", text(func(o *Options) *string { return &o.Chdir })},
		{"setenv", "NAME=VALUE", false, "set a variable of the environment", setEnv},
		{"clear-env", "", false, "start with an empty environment", flag(func(o *Options) *bool { return &o.ClearEnv })},
		{"die-with-parent", "", false, "kill the command when the caller ends", flag(func(o *Options) *bool { return &o.DieWithParent })},
		{"kill-child", "", false, "kill the command when gons is killed", flag(func(o *Options) *bool { return &o.KillChild })},
		{"new-session", "", false, "a session of its own, without the terminal", flag(func(o *Options) *bool { return &o.NewSession })},
		{"cleanup", "", false, "when the command ends, end all that it has left; implies --pid", flag(func(o *Options) *bool { return &o.Cleanup })},
		{"persist", "FILE", false, "keep the mount namespace by binding it to FILE", text(func(o *Options) *string { return &o.Persist })},
		{"dry-run", "", false, "print what would be done, and do nothing", flag(func(o *Options) *bool { return &o.DryRun })},
		{"verbose", "", false, "print what is done", flag(func(o *Options) *bool { return &o.Verbose })},
		{"help", "", false, "print this", flag(func(o *Options) *bool { return &o.Help })},
	}
}

// UsageError is a command line that isn't understood.
type UsageError struct{ Text string }

// Error says what is wrong with it.
func (e *UsageError) Error() string { return e.Text }

func usage(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// Parse reads a command line without the program's name. Options end with "--" or the first word that is none.
func Parse(args []string) (*Options, error) {
	o := &Options{Propagation: Slave}
	all := All()
	for len(args) > 0 {
		word := args[0]
		if word == "--" {
			args = args[1:]
			break
		}
		if !strings.HasPrefix(word, "-") || word == "-" {
			break
		}
		rest, err := o.parse(all, word, args[1:])
		if err != nil {
			return nil, err
		}
		args = rest
	}
	o.Command = args
	return o, o.check()
}

// parse reads one option and returns the words behind it.
func (o *Options) parse(all []Option, word string, rest []string) ([]string, error) {
	if word == "-h" {
		word = "--help"
	}
	name, value, given := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	for _, option := range all {
		if option.Name != name || !strings.HasPrefix(word, "--") {
			continue
		}
		switch {
		case option.Value == "" && given:
			return nil, usage("--%s takes no value", name)
		case option.Value != "" && !option.Optional && !given:
			if len(rest) == 0 {
				return nil, usage("--%s needs a value: %s", name, option.Value)
			}
			value, rest = rest[0], rest[1:]
		}
		if option.Value != "" && !option.Optional && value == "" {
			return nil, usage("--%s needs a value that isn't empty: %s", name, option.Value)
		}
		return rest, option.set(o, value)
	}
	return nil, usage("there is no option %s", word)
}

// check finds what contradicts itself.
func (o *Options) check() error {
	switch {
	case o.MapRoot && o.MapAuto:
		return usage("--map-auto maps root too; leave --map-root out")
	case o.Root != "" && o.Propagation == Shared:
		return usage("--root can't be had with --propagation shared: what becomes / in there would do so elsewhere")
	}
	if o.Cleanup && o.Persist != "" {
		return usage("--persist keeps what --cleanup is to end; leave one of them out")
	}
	o.User = o.User || o.MapRoot || o.MapAuto
	o.PID = o.PID || o.Cleanup
	return nil
}

// Fields splits at colons; "\:" is a colon and "\\" a backslash.
func fields(s string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == ':' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == ':':
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	return append(out, b.String())
}

// split is fields, as many as names, none of them empty.
func split(option, value, want string) ([]string, error) {
	got := fields(value)
	ok := len(got) == strings.Count(want, ":")+1
	for _, f := range got {
		ok = ok && f != ""
	}
	if !ok {
		return nil, usage(`--%s wants %s, not %q; a colon in a path is written "\:"`, option, want, value)
	}
	return got, nil
}

func bind(kind Kind, try bool) func(*Options, string) error {
	return func(o *Options, value string) error {
		name := [...]string{Bind: "bind", RecursiveBind: "rbind", ReadOnlyBind: "ro-bind"}[kind]
		f, err := split(name, value, "SRC:DST")
		if err == nil {
			o.Operations = append(o.Operations, Operation{Kind: kind, Source: f[0], Target: f[1], Try: try})
		}
		return err
	}
}

func setTmpfs(o *Options, value string) error {
	f := fields(value)
	if len(f) > 2 || f[0] == "" {
		return usage(`--tmpfs wants DST or DST:OPTIONS, not %q; a colon in a path is written "\:"`, value)
	}
	op := Operation{Kind: Tmpfs, Target: f[0]}
	if len(f) == 2 {
		op.Parameters = strings.Split(f[1], ",")
	}
	o.Operations = append(o.Operations, op)
	return nil
}

func setOverlay(o *Options, value string) error {
	f, err := split("overlay", value, "LOWER:UPPER:WORK:DST")
	if err == nil {
		o.Operations = append(o.Operations, Operation{Kind: Overlay, Lower: f[0], Upper: f[1], Work: f[2], Target: f[3]})
	}
	return err
}

func mount(kind Kind, standard string) func(*Options, string) error {
	return func(o *Options, value string) error {
		if value == "" {
			value = standard
		}
		if value == "" {
			return usage("--hide wants a path")
		}
		o.Operations = append(o.Operations, Operation{Kind: kind, Target: value})
		return nil
	}
}

func propagate(t Propagation) func(*Options, string) error {
	return func(o *Options, value string) error {
		if value == "" {
			return usage("--%s wants a path", t)
		}
		o.Operations = append(o.Operations, Operation{Kind: Propagate, Target: value, Type: t})
		return nil
	}
}

func setPropagation(o *Options, value string) error {
	switch p := Propagation(value); p {
	case Slave, Private, Shared, Unchanged:
		o.Propagation = p
		return nil
	}
	return usage("--propagation is slave, private, shared or unchanged, not %q", value)
}

func setConfig(o *Options, value string) error {
	if o.ConfigFile = value; value == "" {
		o.ConfigFile = StandardConfig
	}
	return nil
}

// StandardConfig stands for the files that the module reads.
const StandardConfig = "standard"

func setHostname(o *Options, value string) error {
	if value == "" || len(value) > 64 {
		return usage("--hostname wants a name of at most 64 characters")
	}
	o.Hostname, o.UTS = value, true
	return nil
}

func setEnv(o *Options, value string) error {
	if i := strings.IndexByte(value, '='); i < 1 {
		return usage("--setenv wants NAME=VALUE, not %q", value)
	}
	o.SetEnv = append(o.SetEnv, value)
	return nil
}

func seconds(where func(*Options) *int64) func(*Options, string) error {
	return func(o *Options, value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return usage("%q is no number of seconds", value)
		}
		*where(o), o.Time = n, true
		return nil
	}
}

func text(where func(*Options) *string) func(*Options, string) error {
	return func(o *Options, value string) error {
		*where(o) = value
		return nil
	}
}

func flag(where func(*Options) *bool) func(*Options, string) error {
	return func(o *Options, _ string) error {
		*where(o) = true
		return nil
	}
}
