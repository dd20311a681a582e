package module

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"gons/internal/config"
	"gons/internal/initscript"
	"gons/internal/linux"
	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/internal/selinux"
	"gons/internal/session"
)

// Machine is polyinst.Machine for the machine below Root.
type Machine struct{ Root *safepath.Root }

// SELinux implements polyinst.Machine.
func (m Machine) SELinux(user string, names polyinst.NameService, want bool, source config.ContextSource) (bool, string, error) {
	s, err := selinux.Open(m.Root)
	if err != nil || s == nil {
		return false, "", err
	}
	defer s.Close()
	if !want {
		return true, "", nil
	}
	context := ""
	switch source {
	case config.ContextCurrent:
		context, err = s.CurrentContext()
	case config.ContextDefault:
		context, err = s.DefaultContext(user, func(group string) (bool, error) {
			g, ok, err := names.LookupGroup(group)
			return ok && g.Member, err
		})
	default:
		context, err = s.ExecContext()
	}
	if err != nil {
		return true, "", fmt.Errorf("cannot find the SELinux context of %s: %w", user, err)
	}
	return true, context, nil
}

// maxScript bounds what is read of a namespace.init to see whether it is a distribution's; those have about 2 KiB. A larger
// one is a site's own, and may be a program of any size.
const maxScript = 64 << 10

// StandardInit implements polyinst.Machine: the first of /etc/security and the vendor's directory that has a
// namespace.init. One that isn't executable is to be run, too: that then says so.
func (m Machine) StandardInit() (config.Init, error) {
	for _, script := range config.Default.StandardInit() {
		content, err := m.beginning(script)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return config.Init{}, fmt.Errorf("cannot tell what the init script is: %w", err)
		case initscript.IsDistribution(content) && m.executable(script):
			return config.Init{Kind: config.InitBuiltin}, nil
		}
		return config.Init{Kind: config.InitScript, Script: script}, nil
	}
	return config.Init{}, nil
}

// beginning reads no more of a script than a distribution's can have.
func (m Machine) beginning(script string) ([]byte, error) {
	h, err := m.Root.OpenTrusted(script)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	content, err := io.ReadAll(io.LimitReader(h, maxScript))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", script, err)
	}
	return content, nil
}

func (m Machine) executable(file string) bool {
	dir, err := m.Root.Open(path.Dir(file))
	if err != nil {
		return false
	}
	defer dir.Close()
	h, err := dir.OpenAt(path.Base(file), linux.LookAt, false)
	if err != nil {
		return false
	}
	defer h.Close()
	st, err := h.Stat()
	return err == nil && st.Mode&0o111 != 0
}

// loginDefs says how a home is to be made (login.defs(5)).
const loginDefs = "/etc/login.defs"

// HomeMode implements polyinst.Machine.
func (m Machine) HomeMode() (uint32, error) {
	content, err := safepath.Files{Root: m.Root, Strict: true}.Read(loginDefs, config.MaxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		content, err = nil, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot find the mode of a new home: %w", err)
	}
	return initscript.HomeMode(content), nil
}

// Inherited implements polyinst.Machine.
func (m Machine) Inherited() ([]polyinst.Covering, error) {
	store, err := session.OpenExisting(m.Root)
	if errors.Is(err, fs.ErrNotExist) { // there has been no session yet
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return store.Inherited()
}

// Covers implements polyinst.Machine. What can't be opened proves nothing.
func (m Machine) Covers(path, parent, name string) (c polyinst.Covering, ok bool) {
	top, err := m.Root.Open(path)
	if err != nil {
		return c, false
	}
	defer top.Close()
	dir, err := m.Root.Open(parent)
	if err != nil {
		return c, false
	}
	defer dir.Close()
	h, err := dir.OpenAt(name, linux.LookAtDirectory, false)
	if err != nil {
		return c, false
	}
	defer h.Close()
	st, err := h.Stat()
	c = polyinst.Covering{Path: top.Resolved, Dev: top.Stat.Dev, Ino: top.Stat.Ino}
	return c, err == nil && st.SameFile(top.Stat) && top.IsMountRoot()
}

// Remains implements polyinst.Machine. What can't be opened proves nothing.
func (m Machine) Remains(path string) (c polyinst.Covering, ok bool) {
	top, err := m.Root.Open(path)
	if err != nil {
		return c, false
	}
	defer top.Close()
	c = polyinst.Covering{Path: top.Resolved, Dev: top.Stat.Dev, Ino: top.Stat.Ino}
	return c, top.IsMountRoot() && (top.Stat.Nlink == 0 || top.IsInstance())
}
