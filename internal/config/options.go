package config

import (
	"slices"
	"strings"
)

// flagWords are the options that are flags of the mount, for every method; all others belong to the file system.
var flagWords = []string{"nosuid", "nodev", "noexec"}

// add adds one option: a flag, or a parameter of the file system's own.
func (o *MountOptions) add(option string) {
	switch option {
	case "nosuid":
		o.NoSuid = true
	case "nodev":
		o.NoDev = true
	case "noexec":
		o.NoExec = true
	default:
		o.Data = append(o.Data, option)
	}
}

// given reports whether there is any option.
func (o MountOptions) given() bool {
	return o.NoSuid || o.NoDev || o.NoExec || len(o.Data) > 0
}

// splitOptions reads options separated by commas, as mount(2) takes them. The commas within mpol=bind:0,2 need no care:
// the colon would have ended the flag of namespace.conf that the options are in.
func splitOptions(text string) MountOptions {
	var o MountOptions
	for option := range strings.SplitSeq(text, ",") {
		if option != "" {
			o.add(option)
		}
	}
	return o
}

// warnNearFlags tells of parameters that look like a slip in a flag; the kernel will refuse them, but at a login.
func (c *Config) warnNearFlags(pos Pos, options ...string) {
	for _, option := range options {
		if word := nearest(option, flagWords); word != "" && !slices.Contains(flagWords, option) {
			c.warn(pos, "option %s is passed to tmpfs (did you mean %q?)", quote(option), word)
		}
	}
}
