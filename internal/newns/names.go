package newns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// lookUpUser asks the machine's name service, by getent(1) and id(1): a static program can't load what
// /etc/nsswitch.conf names.
func lookUpUser(name string) (who Identity, known bool, err error) {
	entry, err := getent("passwd", name)
	if err != nil || entry == nil || len(entry) < 4 {
		return Identity{}, false, err
	}
	uid, ok1 := number(entry[2])
	gid, ok2 := number(entry[3])
	if !ok1 || !ok2 {
		return Identity{}, false, nil
	}
	out, err := exec.Command("id", "-G", "--", entry[0]).Output()
	if err != nil {
		return Identity{}, false, err
	}
	who = Identity{UID: uid, GID: gid}
	for _, g := range strings.Fields(string(out)) {
		if n, ok := number(g); ok {
			who.Groups = append(who.Groups, n)
		}
	}
	return who, true, nil
}

func lookUpGroup(name string) (gid uint32, known bool, err error) {
	entry, err := getent("group", name)
	if err != nil || len(entry) < 3 {
		return 0, false, err
	}
	gid, known = number(entry[2])
	return gid, known, nil
}

// getent returns the fields of an entry; nil where there is none.
func getent(database, key string) ([]string, error) {
	out, err := exec.Command("getent", database, "--", key).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSpace(string(out)), ":"), nil
}

// subordinate returns the first range of ids that /etc/subuid, or for groups /etc/subgid, gives a user, which it may name
// or number (subuid(5)).
func subordinate(uid uint32, groups bool) (start, count uint32, err error) {
	file := "/etc/subuid"
	if groups {
		file = "/etc/subgid"
	}
	number := strconv.FormatUint(uint64(uid), 10)
	entry, err := getent("passwd", number)
	if err != nil {
		return 0, 0, err
	}
	names := []string{number}
	if entry != nil {
		names = append(names, entry[0])
	}
	data, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return 0, 0, err
	}
	if start, count, ok := findRange(string(data), names); ok {
		return start, count, nil
	}
	return 0, 0, &RefusedError{fmt.Sprintf("%s gives user %s no ids", file, names[len(names)-1]),
		"root can: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + names[len(names)-1]}
}

// findRange finds "name:start:count" for one of names.
func findRange(text string, names []string) (start, count uint32, ok bool) {
	for _, line := range strings.Split(text, "\n") {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || !slices.Contains(names, f[0]) {
			continue
		}
		var fine bool
		if start, ok = number(f[1]); ok {
			count, fine = number(f[2])
		}
		if ok && fine && count > 0 {
			return start, count, true
		}
	}
	return 0, 0, false
}
