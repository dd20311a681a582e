package login

import (
	"os"
	"strings"

	"gons/internal/linux"
)

// rootPath is where programs are looked for by who has no PATH.
const rootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// LookPath finds a program as execvp(3) does: an entry that can't be executed is passed over, and remembered. The
// errors are ENOENT and EACCES. env is the environment that PATH is in; of that, what isn't absolute is left out, since the
// working directory may be anybody's.
func LookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := rootPath
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			path = value
		}
	}
	found := error(linux.ENOENT)
	for _, dir := range strings.Split(path, ":") {
		if !strings.HasPrefix(dir, "/") {
			continue
		}
		file := strings.TrimSuffix(dir, "/") + "/" + name
		info, err := os.Stat(file)
		switch {
		case err != nil || info.IsDir():
		case info.Mode()&0o111 == 0:
			found = linux.EACCES
		default:
			return file, nil
		}
	}
	return "", found
}
