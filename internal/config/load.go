package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Files is how configuration files are reached.
type Files interface {
	// Read returns the content of a regular file which only root can write. A missing file is an error that matches
	// fs.ErrNotExist; more than max bytes is an error. Errors name the path.
	Read(path string, max int64) ([]byte, error)
	// List returns the names, not the paths, in a directory, unsorted. A missing directory is an error that matches
	// fs.ErrNotExist. Errors name the path.
	List(dir string) ([]string, error)
}

// Reading says how files are read.
type Reading struct {
	// SkipBad leaves out a line of namespace.conf, or an entry of directories in gons.yaml, that is wrong, with a Warning
	// (pam_namespace's ignore_config_error). All else that is wrong stays an error. A gons.yaml can ask for it, too, for
	// its own directories.
	SkipBad bool
	// Groups lets @name in namespace.conf's list of users stand for a group, as in pam_limits.
	Groups bool
	// Names collects Config.Names. A login has no use for them, and they may be half a million.
	Names bool
}

// Load reads a host's configuration: gons.yaml and its drop-ins in name order, or, where there is neither,
// namespace.conf and its drop-ins, the host's and the vendor's. It returns Errors for what is wrong in the files; an error
// of f is wrapped.
//
// Only a file that doesn't exist leads on to the next choice. One that can't be read is an error: falling through to
// another configuration would let a broken disk or a wrong mode decide which directories are private.
func Load(f Files, at Locations, how Reading) (*Config, error) {
	yaml, found, err := loadYAML(f, at, how)
	if err != nil || found {
		return yaml, err
	}
	cfg, found, err := loadLegacy(f, at, how)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("cannot find %s or %s: %w", at.Main, at.Legacy, fs.ErrNotExist)
	}
	// A drop-in with a name that isn't read may be why there is no YAML.
	cfg.Warnings = append(yaml.Warnings, cfg.Warnings...)
	return cfg, nil
}

// LoadFile reads one file and no drop-ins, as the module's config=FILE asks. It is YAML when its name ends in .yaml or
// .yml, and namespace.conf's grammar otherwise. Errors are as for Load, but a missing file is one of them.
func LoadFile(f Files, file string, how Reading) (*Config, error) {
	parse := parseLegacyInto
	if isYAML(file) {
		parse = parseYAMLInto
	}
	l := loader{files: f, how: how, parse: parse, cfg: defaults()}
	if err := l.read(file); err != nil {
		return nil, err
	}
	return l.result()
}

// isYAML tells the language by the name.
func isYAML(file string) bool {
	return strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml")
}

// defaults is the Config that an empty configuration stands for, in both languages.
func defaults() *Config {
	return &Config{Propagation: PropagationSlave, Home: HomeInherit}
}

// loadYAML reads gons.yaml and its drop-ins; where there is none of them, false and a Config of warnings only.
func loadYAML(f Files, at Locations, how Reading) (*Config, bool, error) {
	l := loader{files: f, how: how, parse: parseYAMLInto, cfg: defaults()}
	main, err := l.readIfThere(at.Main)
	if err != nil {
		return nil, false, err
	}
	n, err := l.readDropIns(".yaml", at.DropIns)
	if err != nil {
		return nil, false, err
	}
	cfg, err := l.result()
	return cfg, main || n > 0, err
}

// loadLegacy reads namespace.conf and its drop-ins; false where there is no namespace.conf.
func loadLegacy(f Files, at Locations, how Reading) (*Config, bool, error) {
	l := loader{files: f, how: how, parse: parseLegacyInto, cfg: defaults()}
	if found, err := l.readLegacy(at); err != nil || !found {
		return nil, false, err
	}
	cfg, err := l.result()
	return cfg, true, err
}

// readLegacy adds namespace.conf, the vendor's where the host has none, and the drop-ins of both. It returns false where
// there is no namespace.conf: pam_namespace too wants that file even where namespace.d has some.
func (l *loader) readLegacy(at Locations) (bool, error) {
	found, err := l.readIfThere(at.Legacy)
	if err == nil && !found && at.Vendor != "" {
		found, err = l.readIfThere(path.Join(at.Vendor, legacyName))
	}
	if err != nil || !found {
		return false, err
	}
	dirs := []string{at.LegacyDropIns}
	if at.Vendor != "" {
		dirs = append(dirs, path.Join(at.Vendor, legacyDropInsName))
	}
	_, err = l.readDropIns(".conf", dirs...)
	return err == nil, err
}

// loader reads files one after the other into one Config.
type loader struct {
	files Files
	how   Reading
	// parse adds a file to a Config and returns what is wrong in it.
	parse func(cfg *Config, how Reading, file string, data []byte) Errors
	cfg   *Config
	bad   Errors
}

// readIfThere is read, and false for a file that doesn't exist.
func (l *loader) readIfThere(file string) (bool, error) {
	err := l.read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// read adds a file; what is wrong in it is kept for result, so that one run reports on every file.
func (l *loader) read(file string) error {
	data, err := l.files.Read(file, MaxFileSize)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	l.cfg.Files = append(l.cfg.Files, file)
	l.bad = append(l.bad, l.parse(l.cfg, l.how, file, data)...)
	l.bad = l.bad[:min(len(l.bad), maxReports)]
	return nil
}

// readDropIns adds the files in some directories whose names end in suffix, in byte order of the names whichever directory
// they are in, and returns how many there are. Of two with the same name, that of the earlier directory counts. A listed
// file that is then missing is an error: a dangling link, or an upgrade halfway through.
func (l *loader) readDropIns(suffix string, dirs ...string) (int, error) {
	home := make(map[string]string)
	for _, dir := range dirs {
		names, err := l.files.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("cannot list the configuration: %w", err)
		}
		l.warnNearMisses(dir, suffix, names)
		for _, name := range dropIns(names, suffix) {
			if home[name] == "" {
				home[name] = dir
			}
		}
	}
	if len(home) > MaxFiles {
		return 0, Errors{{Pos{File: dirs[0]}, fmt.Sprintf("%d files; at most %d expected", len(home), MaxFiles)}}
	}
	for _, name := range slices.Sorted(maps.Keys(home)) {
		if err := l.read(path.Join(home[name], name)); err != nil {
			return 0, err
		}
	}
	return len(home), nil
}

// warnNearMisses tells of drop-ins that were probably meant to be read.
func (l *loader) warnNearMisses(dir, suffix string, names []string) {
	if suffix != ".yaml" {
		return
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		if strings.HasSuffix(name, ".yml") && name[0] != '.' {
			l.cfg.warn(Pos{File: path.Join(dir, name)}, "not read: only names that end in .yaml are")
		}
	}
}

// dropIns returns the names that count, without dot-files, as glob(3) gives them to pam_namespace.
func dropIns(names []string, suffix string) []string {
	var found []string
	for _, name := range names {
		if strings.HasSuffix(name, suffix) && name[0] != '.' {
			found = append(found, name)
		}
	}
	return found
}

// result returns the Config, or what is wrong with it.
func (l *loader) result() (*Config, error) {
	return finish(l.cfg, l.bad)
}

// finish ends the reading of a Config: nil and the problems where there are any.
func finish(cfg *Config, bad Errors) (*Config, error) {
	if len(bad) == 0 {
		bad = contradictions(cfg)
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	cfg.Exempt.Users = unique(cfg.Exempt.Users)
	cfg.Exempt.Groups = unique(cfg.Exempt.Groups)
	cfg.Exempt.Services = unique(cfg.Exempt.Services)
	cfg.HostServices = unique(cfg.HostServices)
	return cfg, nil
}

// unique drops all but the first of equal names.
func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}
