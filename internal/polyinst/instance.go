package polyinst

import (
	"fmt"
	"strings"

	"gons/internal/config"
)

// instanceNameMax is pam_namespace's limit on a name, in bytes; a longer one ends in its MD5 sum.
const instanceNameMax = 80

// freshSuffix stands in a plan for the characters that are chosen when a tmpdir is made (mkdtemp(3)).
const freshSuffix = "XXXXXX"

// InstanceName returns the last part of an instance's path, to the byte what pam_namespace makes, so that existing
// instances are found.
func InstanceName(method config.Method, user string, genHash bool) string {
	switch {
	case method == config.MethodTmpfs:
		return ""
	case method == config.MethodTmpdir:
		return freshSuffix
	case genHash:
		return md5hex(user)
	case len(user) > instanceNameMax:
		sum := md5hex(user)
		return user[:instanceNameMax-len(sum)-1] + "_" + sum
	}
	return user
}

// Expand replaces $HOME and $USER in text as pam_namespace does: wherever they stand, also directly before a letter.
func Expand(text string, req Request) string {
	return strings.NewReplacer("$HOME", req.Home, "$USER", req.User).Replace(text)
}

// expandPath expands a path and checks what came out: a home or user name that leads elsewhere must not choose where
// root mounts.
func expandPath(text string, req Request) (string, error) {
	if err := checkHome(text, req); err != nil {
		return "", err
	}
	path := Expand(text, req)
	if strings.HasPrefix(path, "/") {
		path = "/" + strings.Join(strings.FieldsFunc(path, func(c rune) bool { return c == '/' }), "/")
	}
	switch {
	case path == "/":
		return "", fmt.Errorf("%s is / for user %s: that can't be polyinstantiated", text, req.User)
	case !strings.HasPrefix(path, "/"):
		return "", fmt.Errorf("%s is %q for user %s: not an absolute path", text, path, req.User)
	case len(path) > 4095:
		return "", fmt.Errorf("%s is longer than a path can be for user %s", text, req.User)
	}
	return path, checkComponents(path, text, req)
}

// checkHome refuses to expand a home that isn't a path: "$HOME/.cache" of an empty one would be a directory in /.
func checkHome(text string, req Request) error {
	if strings.Contains(text, "$HOME") && !strings.HasPrefix(req.Home, "/") {
		return fmt.Errorf("%s: the home of user %s is %q: not an absolute path", text, req.User, req.Home)
	}
	return nil
}

func checkComponents(path, text string, req Request) error {
	for _, name := range strings.Split(path, "/") {
		if name == "." || name == ".." {
			return fmt.Errorf("%s is %q for user %s: %q in a path is not allowed", text, path, req.User, name)
		}
		if len(name) > 255 {
			return fmt.Errorf("%s is %q for user %s: a name is longer than 255 bytes", text, path, req.User)
		}
	}
	return nil
}

// checkUserName refuses a user name that isn't one component of a path. NSS may hold any string.
func checkUserName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("the user name %q can't be the name of a directory", name)
	}
	return nil
}

// instancePath returns the instance parent and the name in it.
func instancePath(d config.Directory, req Request) (parent, name string, err error) {
	if err := checkHome(d.InstancePrefix, req); err != nil {
		return "", "", err
	}
	full := Expand(d.InstancePrefix, req) + InstanceName(d.Method, req.User, req.Options.GenHash)
	if !strings.HasPrefix(full, "/") {
		return "", "", fmt.Errorf("%s is %q for user %s: not an absolute path", d.InstancePrefix, full, req.User)
	}
	if err := checkComponents(full, d.InstancePrefix, req); err != nil {
		return "", "", err
	}
	i := strings.LastIndexByte(full, '/')
	parent, name = strings.TrimRight(full[:i], "/"), full[i+1:]
	if parent == "" {
		parent = "/"
	}
	return parent, name, nil
}
