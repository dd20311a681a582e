package module

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gons/internal/polyinst"
	"gons/internal/wire"
)

// request is what the gate asks for, with the options of the PAM line.
type request struct {
	op         string
	sessions   []string // of close
	session    polyinst.Request
	tty, rhost string
	hostPID    int
	config     string // config=FILE
	debug      bool
	warnings   []string
}

func parseRequest(m wire.Message, umask uint32) (request, error) {
	if m.Kind != wire.Request {
		return request{}, fmt.Errorf("internal error: expected a request, got a message of kind %d", m.Kind)
	}
	r := request{session: polyinst.Request{Umask: umask}}
	var failed []error
	for _, s := range m.Strings {
		key, value, _ := strings.Cut(s, "=")
		failed = append(failed, r.set(key, value))
	}
	return r, errors.Join(failed...)
}

func (r *request) set(key, value string) (err error) {
	switch key {
	case "op":
		r.op = value
	case "sessions":
		r.sessions = strings.Split(value, ",")
	case "service":
		r.session.Service = value
	case "user":
		r.session.User = value
	case "home":
		r.session.Home = value
	case "uid":
		r.session.UID, err = number(value)
	case "gid":
		r.session.GID, err = number(value)
	case "tty":
		r.tty = value
	case "rhost":
		r.rhost = value
	case "pid":
		r.hostPID, err = strconv.Atoi(value)
	case "arg":
		err = r.option(value)
	}
	return err
}

// unsupported are options of pam_namespace that change who is isolated and how, and that this version lacks: ignoring
// one would open a session that isn't what the administrator wrote.
var unsupported = map[string]bool{
	"unmnt_remnt": true, "unmnt_only": true, "require_selinux": true, "use_current_context": true,
	"use_default_context": true, "ignore_config_error": true,
}

// harmless are options of pam_namespace that gons does without: it always makes / a slave, and always cleans up.
var harmless = map[string]bool{"mount_private": true, "unmount_on_close": true, "no_unmount_on_close": true}

func (r *request) option(arg string) error {
	key, value, _ := strings.Cut(arg, "=")
	switch {
	case arg == "debug":
		r.debug = true
	case arg == "gen_hash":
		r.session.Options.GenHash = true
	case arg == "ignore_instance_parent_mode":
		r.session.Options.IgnoreParentMode = true
	case key == "config":
		if !strings.HasPrefix(value, "/") {
			return fmt.Errorf("bad option %q: expected an absolute path", arg)
		}
		r.config = value
	case key == "timeout", harmless[arg]: // timeout is the gate's
	case unsupported[arg]:
		return fmt.Errorf("the option %s is not supported by this version", arg)
	default:
		r.warnings = append(r.warnings, fmt.Sprintf("unknown option %q ignored", arg))
	}
	return nil
}
