package config

import (
	"errors"
	"fmt"
	"time"
)

// Span is a length of time.
type Span time.Duration

// maxLinger bounds linger: a namespace that is kept for longer is kept for good.
const maxLinger = 30 * 24 * time.Hour

// duration reads a time with its unit, as Go writes it: "90s", "10m", "1h30m".
func duration(text string) (Span, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is not a time with its unit, as 90s, 10m or 2h", quote(text))
	case d < 0 || d > maxLinger:
		return 0, errors.New("a time of at most 720h expected")
	}
	return Span(d), nil
}

// contradictions are what no single key can be blamed for: in one namespace for all of a user's sessions nothing can
// depend on which of them it is.
func contradictions(cfg *Config) Errors {
	var bad Errors
	file := Pos{}
	if len(cfg.Files) > 0 {
		file.File = cfg.Files[0]
	}
	if len(cfg.HostServices) > 0 && cfg.ExemptAction != ActionHost {
		bad.add(file, "exempt.host_services: it is for action: host only")
	}
	if cfg.Scope != ScopeUser {
		if cfg.Linger > 0 || cfg.Chrooted != "" {
			bad.add(file, "namespace.linger, namespace.chrooted: they are for scope: user only")
		}
		return bad
	}
	if cfg.Options.Inherited == InheritedUnmountOnly {
		bad.add(file, "namespace.inherited: unmount-only contradicts scope: user, in whose namespaces nothing is inherited")
	}
	for _, d := range cfg.Directories {
		if len(d.Only.Services)+len(d.Except.Services) > 0 {
			bad.add(d.Pos, "a directory for some services contradicts namespace.scope: user, by which all services of a user share one namespace")
		}
		if d.Method == MethodLevel || d.Method == MethodContext {
			bad.add(d.Pos, "method %s contradicts namespace.scope: user: the sessions that share a namespace may have different contexts", d.Method)
		}
	}
	return bad
}
