package config

// merge puts this file's directories into the Config: those of a path take the place of all that earlier files have for
// it, so that a drop-in doesn't change the order of mounts; the others follow at the end.
func (p *yamlParser) merge() {
	if len(p.dirs) == 0 {
		return
	}
	mine := make(map[string][]Directory)
	for i, d := range p.dirs {
		p.cfg.warnHidden(p.dirs[:i], d)
		mine[d.Path] = append(mine[d.Path], d)
	}
	var merged []Directory
	placed := make(map[string]bool)
	for _, old := range p.cfg.Directories {
		switch {
		case mine[old.Path] == nil:
			merged = append(merged, old)
		case !placed[old.Path]:
			merged = append(merged, mine[old.Path]...)
			placed[old.Path] = true
		}
	}
	for _, d := range p.dirs {
		if !placed[d.Path] {
			merged = append(merged, d)
		}
	}
	if len(merged) > MaxDirectories {
		p.bad.add(p.dirs[len(p.dirs)-1].Pos, "more than %d directories in all files", MaxDirectories)
		return
	}
	p.cfg.Directories = merged
}
