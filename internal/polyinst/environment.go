package polyinst

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"gons/internal/config"
)

// maxEnvironment bounds a session's variables, in bytes: they travel in one message.
const maxEnvironment = 16 << 10

// Variable is a variable that the session's environment gets once all steps are done.
type Variable struct {
	Origin
	Name, Value string
}

// String says it in words.
func (v Variable) String() string { return fmt.Sprintf("set %s=%s", v.Name, v.Value) + v.suffix() }

// environment is what the session's directories, and then the configuration's own variables, set; of two with one name the
// later one counts.
func (b *builder) environment(targets []target) ([]Variable, error) {
	var out []Variable
	for _, t := range targets {
		for _, name := range t.Variables {
			out = setVariable(out, Variable{Origin{t.Pos}, name, t.path})
		}
	}
	for _, v := range b.cfg.Environment {
		value, err := expandValue(v.Value, b.req)
		if err != nil {
			return nil, fmt.Errorf("%s: env.%s: %w", v.Pos, v.Name, err)
		}
		out = setVariable(out, Variable{Origin{v.Pos}, v.Name, value})
	}
	size := 0
	for _, v := range out {
		size += len(v.Name) + len(v.Value) + len("=\x00")
	}
	if size > maxEnvironment {
		return nil, fmt.Errorf("the environment of user %s would get %d bytes, more than %d", b.req.User, size, maxEnvironment)
	}
	return out, nil
}

func setVariable(list []Variable, v Variable) []Variable {
	i := slices.IndexFunc(list, func(have Variable) bool { return have.Name == v.Name })
	if i < 0 {
		return append(list, v)
	}
	list[i] = v
	return list
}

// expandValue expands the value of a variable, and checks what came out: a name service may hold any string, and a value with a
// line break in it is more than one line to whoever writes it to a file.
func expandValue(text string, req Request) (string, error) {
	if err := checkHome(text, req); err != nil {
		return "", err
	}
	value := everyVariable(req).Replace(text)
	if strings.ContainsFunc(value, unicode.IsControl) {
		return "", fmt.Errorf("%s is %q for user %q: control characters are not allowed", text, value, req.User)
	}
	return value, nil
}

// isEnvironment reports whether d covers nothing.
func isEnvironment(d config.Directory) bool { return d.Method == config.MethodEnv }

// ownDirectory is the step that makes a user's directory, whose path is what the variables get.
func (b *builder) ownDirectory(d config.Directory) (OwnDirectory, string, error) {
	name := InstanceName(difference(config.MethodUser, b.req.User, "", false), b.options.GenHash)
	at, err := newInstancePath(d, b.req, name)
	if err == nil && strings.ContainsFunc(at.written, unicode.IsControl) {
		err = fmt.Errorf("%s is %q for user %q: control characters are not allowed", d.InstancePrefix, at.written, b.req.User)
	}
	return OwnDirectory{
		Origin: Origin{d.Pos}, Parent: at.parent, Name: at.name, ParentMode: d.ParentMode,
		AnyParent: b.options.IgnoreParentMode, UID: b.req.UID, GID: b.req.GID,
	}, joinPath(at.parent, at.name), err
}
