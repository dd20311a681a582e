package newns

import (
	"slices"
	"strings"
)

// command is what is executed: what was asked for, or a shell.
func command(o *Options, f Facts) Execute {
	x := Execute{Argv: o.Command}
	if !o.ClearEnv {
		x.Env = append(x.Env, f.Environ...)
	}
	for _, v := range o.SetEnv {
		x.Env = setVariable(x.Env, v)
	}
	if len(x.Argv) == 0 {
		shell := variable(f.Environ, "SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		x.Argv = []string{shell}
	}
	x.Paths = search(x.Argv[0], x.Env)
	return x
}

// search are the places where a program may be, as execvp(3) has it.
func search(name string, env []string) []string {
	if name == "" || strings.Contains(name, "/") {
		return []string{name}
	}
	dirs := variable(env, "PATH")
	if dirs == "" {
		dirs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	var out []string
	for _, dir := range strings.Split(dirs, ":") {
		if dir == "" {
			dir = "."
		}
		out = append(out, dir+"/"+name)
	}
	return out
}

func variable(env []string, name string) string {
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func setVariable(env []string, v string) []string {
	name, _, _ := strings.Cut(v, "=")
	env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	return append(env, v)
}
