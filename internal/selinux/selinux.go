// Package selinux answers what a session needs to know of SELinux: its own contexts, the contexts that the policy gives to
// users, files and instances. It decides nothing; labels of files that are there are set by package linux.
//
// It asks the kernel's selinuxfs and reads the policy's files as libselinux does, which cannot be loaded: the module adds
// no library to its host. github.com/opencontainers/selinux (1.15.1) has no `member` query, knows no file contexts, and goes
// by paths; up to 1.13 it imports crypto/rand, 32 MiB of zeroed memory in every host. Contexts are raw ones, which
// mcstransd(8) has no part in.
package selinux

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"

	"gons/internal/linux"
	"gons/internal/safepath"
)

// mounts are where selinuxfs may be.
var mounts = []string{"/sys/fs/selinux", "/selinux"}

// SELinux is a running SELinux and its policy's files.
type SELinux struct {
	kernel *safepath.Dir  // selinuxfs
	proc   safepath.Files // the kernel's: nobody else can have put it there
	policy policy
}

// Open returns nil and no error where SELinux is off, in the sense of is_selinux_enabled(3): no selinuxfs that can be
// written to, no /etc/selinux/config, or no policy loaded. Paths are resolved from root, which must outlive the result.
func Open(root *safepath.Root) (*SELinux, error) {
	s, err := open(root)
	if err != nil {
		return nil, fmt.Errorf("cannot find out about SELinux: %w", err)
	}
	return s, nil
}

func open(root *safepath.Root) (*SELinux, error) {
	kernel, err := openKernel(root)
	if kernel == nil || err != nil {
		return nil, err
	}
	s := &SELinux{kernel: kernel, proc: safepath.Files{Root: root}}
	found := false
	s.policy, found, err = findPolicy(safepath.Files{Root: root, Strict: true})
	loaded := false
	if err == nil && found {
		loaded, err = s.loaded()
	}
	if err != nil || !loaded {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openKernel returns selinuxfs, or nil.
func openKernel(root *safepath.Root) (*safepath.Dir, error) {
	for _, path := range mounts {
		dir, err := root.Open(path)
		if errors.Is(err, fs.ErrNotExist) || linux.Is(err, linux.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		is, writable, err := dir.SELinuxFS()
		if err == nil && is && writable {
			return dir, nil
		}
		dir.Close()
		if err != nil || is { // read only: a container that is to see no SELinux
			return nil, err
		}
	}
	return nil, nil
}

// loaded reports whether a policy is loaded: before that, processes have the names of initial SIDs ("kernel") for contexts.
func (s *SELinux) loaded() (bool, error) {
	current, err := s.attribute("current")
	return strings.Contains(current, ":"), err
}

// Close gives the handles up.
func (s *SELinux) Close() {
	if s != nil {
		s.kernel.Close()
	}
}

// ExecContext returns the context that the calling thread's next program will get, "" where none is set (getexeccon(3)).
// It is what pam_selinux has set in the host: a forked process and its threads inherit it.
func (s *SELinux) ExecContext() (string, error) { return s.attribute("exec") }

// CurrentContext returns the calling thread's own context (getcon(3)).
func (s *SELinux) CurrentContext() (string, error) { return s.attribute("current") }

func (s *SELinux) attribute(name string) (string, error) {
	runtime.LockOSThread() // from the symbolic link to the file, the thread must be one
	defer runtime.UnlockOSThread()
	b, err := s.proc.Read("/proc/thread-self/attr/"+name, maxContext+1)
	return plain(b), err
}

// CreateAs gives a context to the files that the calling thread makes from now on, until CreateAs("") (setfscreatecon(3)).
// The caller has locked the goroutine to its thread. A policy that lets a domain make directories with a label may not let
// it change the label of one that it has made.
func (s *SELinux) CreateAs(context string) error {
	if err := s.createAs(context); err != nil {
		return fmt.Errorf("cannot choose the SELinux context %q for new files: %w", context, err)
	}
	return nil
}

func (s *SELinux) createAs(context string) error {
	value := []byte("\n") // which clears it
	if context != "" {
		if _, err := ParseContext(context); err != nil {
			return err
		}
		value = append([]byte(context), 0)
	}
	dir, name, err := s.proc.Root.OpenParent("/proc/thread-self/attr/fscreate")
	if err != nil {
		return err
	}
	defer dir.Close()
	h, err := dir.OpenAt(name, linux.ReadWriteFile, true)
	if err != nil {
		return err
	}
	defer h.Close()
	_, err = h.Write(value)
	return err
}

// plain is a context as the kernel returns it, with or without a terminator.
func plain(b []byte) string { return strings.TrimRight(string(b), "\x00\n") }

// Member returns the context of an instance of method context: what the policy's type_member rules make of a directory of
// context dir for a session of context session (security_compute_member(3), class dir).
func (s *SELinux) Member(session, dir string) (string, error) {
	for _, c := range []string{session, dir} {
		if _, err := ParseContext(c); err != nil {
			return "", fmt.Errorf("cannot ask SELinux for a member context: %w", err)
		}
	}
	class, err := s.read("class/dir/index")
	if err != nil {
		return "", fmt.Errorf("cannot ask SELinux for the class of directories: %w", err)
	}
	member, err := s.ask("member", session+" "+dir+" "+class)
	if err != nil {
		return "", fmt.Errorf("cannot ask SELinux for the member context of %s for %s: %w", dir, session, err)
	}
	return member, nil
}

// valid reports whether the policy knows a context (security_check_context(3)).
func (s *SELinux) valid(c Context) (bool, error) {
	h, err := s.kernel.OpenAt("context", linux.ReadWriteFile, true)
	if err != nil {
		return false, fmt.Errorf("cannot ask SELinux whether %s is valid: %w", c, err)
	}
	defer h.Close()
	_, err = h.Write(append([]byte(c.String()), 0))
	if linux.Is(err, linux.EINVAL) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot ask SELinux whether %s is valid: %w", c, err)
	}
	return true, nil
}

// multiLevel reports whether the loaded policy has levels (is_selinux_mls_enabled(3)).
func (s *SELinux) multiLevel() (bool, error) {
	text, err := s.read("mls")
	if err != nil {
		return false, fmt.Errorf("cannot ask SELinux whether it has levels: %w", err)
	}
	return text == "1", nil
}

// ask writes one question to a file of selinuxfs and reads the answer from the same open file.
func (s *SELinux) ask(name, question string) (string, error) {
	h, err := s.kernel.OpenAt(name, linux.ReadWriteFile, true)
	if err != nil {
		return "", err
	}
	defer h.Close()
	if _, err := h.Write([]byte(question)); err != nil {
		return "", err
	}
	return answer(h)
}

// read reads a file of selinuxfs, at most three directories deep.
func (s *SELinux) read(path string) (string, error) {
	dir := s.kernel.Handle
	for {
		name, rest, deeper := strings.Cut(path, "/")
		how := linux.ReadFile
		if deeper {
			how = linux.LookAtDirectory
		}
		h, err := dir.OpenAt(name, how, true)
		if err != nil {
			return "", err
		}
		defer h.Close()
		if !deeper {
			return answer(h)
		}
		dir, path = h, rest
	}
}

func answer(h *linux.Handle) (string, error) {
	b, err := io.ReadAll(io.LimitReader(h, maxContext+1))
	return plain(b), err
}
