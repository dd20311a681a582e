package polyinst

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gons/internal/config"
	"gons/internal/md5"
)

// instanceNameMax is pam_namespace's limit on a name, in bytes; a longer one ends in its MD5 sum.
const instanceNameMax = 80

// freshSuffix stands in a plan for the characters that are chosen when a tmpdir is made (mkdtemp(3)).
const freshSuffix = "XXXXXX"

// ownPrefix is what the names of drafts and marks beside instances begin with.
const ownPrefix = ".gons-"

// InstanceName returns the last part of an instance's path for what tells it from others, to the byte what pam_namespace
// makes, so that existing instances are found.
func InstanceName(difference string, genHash bool) string {
	switch {
	case difference == "":
		return ""
	case genHash:
		return md5.Hex(difference)
	case len(difference) > instanceNameMax:
		sum := md5.Hex(difference)
		return difference[:instanceNameMax-len(sum)-1] + "_" + sum
	}
	return difference
}

// difference is what tells an instance from those of others. context is the raw SELinux context that the instance gets,
// for methods level and context; shared leaves the user out.
func difference(method config.Method, user, context string, shared bool) string {
	byContext := method == config.MethodLevel || method == config.MethodContext
	switch {
	case byContext && shared:
		return context
	case byContext:
		return context + "_" + user
	case shared:
		return ""
	}
	return user
}

// Expand replaces $HOME and $USER in text as pam_namespace does: wherever they stand, also directly before a letter.
func Expand(text string, req Request) string {
	return strings.NewReplacer("$HOME", req.Home, "$USER", req.User).Replace(text)
}

// expandOptions expands the parameters of a tmpfs. pam_namespace has no variables there.
func expandOptions(o config.MountOptions, req Request) config.MountOptions {
	r := everyVariable(req)
	o.Data = slices.Clone(o.Data)
	for i := range o.Data {
		o.Data[i] = r.Replace(o.Data[i])
	}
	return o
}

func everyVariable(req Request) *strings.Replacer {
	return strings.NewReplacer("$HOME", req.Home, "$USER", req.User,
		"$UID", strconv.FormatUint(uint64(req.UID), 10), "$GID", strconv.FormatUint(uint64(req.GID), 10))
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

// instancePath is where an instance is: its path as pam_namespace writes it, and the parent and name that come to.
type instancePath struct{ written, parent, name string }

// newInstancePath appends an instance's name to the expanded prefix of d.
func newInstancePath(d config.Directory, req Request, name string) (instancePath, error) {
	if err := checkHome(d.InstancePrefix, req); err != nil {
		return instancePath{}, err
	}
	full := Expand(d.InstancePrefix, req) + name
	if !strings.HasPrefix(full, "/") {
		return instancePath{}, fmt.Errorf("%s is %q for user %s: not an absolute path", d.InstancePrefix, full, req.User)
	}
	if err := checkComponents(full, d.InstancePrefix, req); err != nil {
		return instancePath{}, err
	}
	i := strings.LastIndexByte(full, '/')
	p := instancePath{written: full, parent: strings.TrimRight(full[:i], "/"), name: full[i+1:]}
	if p.parent == "" {
		p.parent = "/"
	}
	if strings.HasPrefix(p.name, ownPrefix) {
		return instancePath{}, fmt.Errorf("%s is %q for user %s: no instance's name can begin with %s, as unfinished ones' do",
			d.InstancePrefix, full, req.User, ownPrefix)
	}
	return p, nil
}
