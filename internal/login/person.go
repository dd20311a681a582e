// Package login knows what it takes to run a command as a user: ids, groups, home, shell and a login's environment. It asks
// the name service; becoming the user belongs to package linux, PAM to gons-try.
package login

import (
	"fmt"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Person is a user to be, as the name service of the caller's namespace has them: what a namespace says of users is for
// whoever made it to say.
type Person struct {
	Name, Home, Shell string
	UID, GID          uint32
	// Groups are all of the user's, GID among them.
	Groups []uint32
}

// Named looks a user up by name. One who isn't known is user.UnknownUserError.
func Named(name string) (*Person, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	return newPerson(u)
}

// NamedWithID looks a user up, who must have the user id.
func NamedWithID(name string, uid uint32) (*Person, error) {
	p, err := Named(name)
	if err == nil && p.UID != uid {
		err = fmt.Errorf("user %s has the number %d now, and had %d when the session was opened", name, p.UID, uid)
	}
	return p, err
}

// WithID looks a user up by number.
func WithID(uid uint32) (*Person, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return nil, err
	}
	return newPerson(u)
}

func newPerson(u *user.User) (*Person, error) {
	uid, gid, err := IDs(u)
	if err != nil {
		return nil, err
	}
	names, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("cannot list the groups of %s: %w", u.Username, err)
	}
	p := &Person{Name: u.Username, Home: u.HomeDir, Shell: shellOf(u.Username), UID: uid, GID: gid}
	for _, text := range names {
		group, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("cannot read the groups of %s: %w", u.Username, err)
		}
		p.Groups = append(p.Groups, uint32(group))
	}
	return p, nil
}

// shellOf asks getent(1): package os/user doesn't tell, and users need not be in /etc/passwd.
func shellOf(name string) string {
	const last = 6 // passwd(5)
	out, err := exec.Command("getent", "passwd", "--", name).Output()
	fields := strings.Split(strings.TrimSuffix(string(out), "\n"), ":")
	if err != nil || len(fields) <= last || fields[last] == "" {
		return "/bin/sh"
	}
	return fields[last]
}

// userPath is where a user's programs are looked for, as login(1) and su(1) set it on Debian.
const userPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"

// keptVariables are what a terminal and a language need, as su - keeps them.
var keptVariables = []string{"TERM", "COLORTERM", "NO_COLOR", "LANG", "TZ"}

// Environment is that of a login, as far as one can know it without PAM; from is the caller's.
func (p *Person) Environment(from []string) []string {
	env := []string{"HOME=" + p.Home, "USER=" + p.Name, "LOGNAME=" + p.Name, "SHELL=" + p.Shell, "PATH=" + userPath}
	for _, e := range from {
		key, _, _ := strings.Cut(e, "=")
		if slices.Contains(keptVariables, key) || strings.HasPrefix(key, "LC_") {
			env = append(env, e)
		}
	}
	return env
}

// Command returns the program and the arguments to run: those that are given, or a login shell.
func (p *Person) Command(given []string) (program string, argv []string) {
	if len(given) > 0 {
		return given[0], given
	}
	return p.Shell, []string{"-" + filepath.Base(p.Shell)}
}

// IDs returns the user and group id of an entry of the name service.
func IDs(u *user.User) (uid, gid uint32, err error) {
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	g, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(n), uint32(g), err
}
