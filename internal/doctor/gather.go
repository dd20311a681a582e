package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/live"
	"gons/internal/module"
	"gons/internal/pamstack"
	"gons/internal/retention"
	"gons/internal/safepath"
	"gons/internal/sharedtree"
)

// sizeBounds limit what is counted of all unused instances together.
var sizeBounds = live.Bounds{Entries: 200_000, Time: 2 * time.Second}

// Gather finds the facts out. It needs root. What can't be found out is told in its place; an error means that nothing can.
// file is another configuration than the standard one, or "".
func Gather(root *safepath.Root, file string, how config.Reading, users retention.Users) (Facts, error) {
	f := Facts{Kernel: kernel()}
	cfg := f.readConfiguration(root, file, how)
	if err := f.lookAtMounts(root, cfg); err != nil {
		return f, err
	}
	files := safepath.Files{Root: root}
	if err := f.readStacks(files); err != nil {
		return f, err
	}
	f.SSHD, f.UsePAM = usePAM(files)
	f.lookAtFiles(root)
	f.lookAtSessions(root, cfg, users)
	f.lookAtUnits()
	return f, nil
}

// kernel probes each feature by asking for it.
func kernel() []Feature {
	probe := func(name, purpose string, needed bool, err error) Feature {
		f := Feature{Name: name, For: purpose, Needed: needed}
		if err != nil {
			f.Missing = err.Error()
		}
		return f
	}
	pidfd, err := linux.OpenTarget(os.Getpid())
	pidfd.Close()
	return []Feature{
		probe("mount API and openat2", "every session", true, linux.ProbeMountAPI()),
		probe("MOVE_MOUNT_SET_GROUP", "propagation: shared and unchanged", false, linux.ProbeJoinGroup()),
		probe("pidfd_open", "scripts, gons enter and gons list", true, err),
		probe("numbers of mount namespaces (Linux 6.11)", "telling a namespace from a later one for certain", false, namespaceNumbers()),
		probe("user namespaces", "gons run without root", false, userNamespaces()),
	}
}

func namespaceNumbers() error {
	ns, err := linux.OpenMountNamespace()
	if err != nil {
		return err
	}
	defer ns.Close()
	_, err = ns.NamespaceID()
	return err
}

// userNamespaces says why users can't make them.
func userNamespaces() error {
	for file, off := range map[string]string{
		"/proc/sys/user/max_user_namespaces":                     "0",
		"/proc/sys/kernel/unprivileged_userns_clone":             "0", // Debian's
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1", // Ubuntu's
	} {
		if data, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(data)) == off {
			return fmt.Errorf("%s is %s", file, off)
		}
	}
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		return err
	}
	return nil
}

// readConfiguration returns nil where there is none that can be read.
func (f *Facts) readConfiguration(root *safepath.Root, file string, how config.Reading) *config.Config {
	cfg, err := module.LoadConfig(safepath.Files{Root: root, Strict: true}, file, how)
	if err != nil {
		f.NoConfig = errors.Is(err, fs.ErrNotExist)
		f.ConfigError = err.Error()
		return nil
	}
	f.Configuration = cfg.Files
	f.Private = cfg.Propagation == config.PropagationPrivate
	for _, w := range cfg.Warnings {
		f.ConfigWarnings = append(f.ConfigWarnings, w.String())
	}
	for _, d := range cfg.Directories {
		f.Home = f.Home || strings.Contains(d.Path+d.InstancePrefix, "$HOME")
		f.ByContext = f.ByContext || d.Method == config.MethodLevel || d.Method == config.MethodContext
	}
	f.Home = f.Home || cfg.Home == config.HomeSlave
	return cfg
}

func (f *Facts) lookAtMounts(root *safepath.Root, cfg *config.Config) error {
	wanted := sharedtree.Want(cfg)
	facts, err := sharedtree.Gather(root, wanted)
	if err != nil {
		return err
	}
	plan := sharedtree.Build(wanted, facts)
	f.BootProblems = plan.Problems
	for _, c := range plan.Changes {
		f.BootChanges = append(f.BootChanges, c.String())
	}
	return nil
}

func (f *Facts) readStacks(files safepath.Files) error {
	services, err := pamstack.Services(files)
	if err != nil {
		return err
	}
	for _, service := range services {
		s, err := pamstack.Read(files, service, "session")
		if err != nil {
			s.Problems = append(s.Problems, err.Error())
		}
		f.Stacks = append(f.Stacks, s)
	}
	return nil
}

func (f *Facts) lookAtUnits() {
	_, err := os.Stat("/run/systemd/system")
	f.Systemd = err == nil
	f.BootUnit, f.CleanTimer = enabled("gons-boot.service"), enabled("gons-clean.timer")
	data, _ := os.ReadFile("/etc/rc.local")
	f.RCLocal = strings.Contains(string(data), "gons boot")
}

func enabled(unit string) bool {
	for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system"} {
		if found, _ := filepath.Glob(path.Join(dir, "*.wants", unit)); len(found) > 0 {
			return true
		}
	}
	return false
}
