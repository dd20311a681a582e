package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"gons/internal/linux"
	"gons/internal/safepath"
)

// hostName is the file below RunDir that says which namespace is the host's.
const hostName = "host"

// init1 is the process whose namespace is the host's, where gons boot has not been run.
const init1 = 1

// SetHost makes the namespace that the store was opened in the host's, until the next boot. A namespace can't be pinned in
// itself, so it is remembered by its number, and found again by a process that is in it. One that a session is in, or that
// shows a session's instances, is refused: everybody would come to that user's directories.
func (s *Store) SetHost(p Processes) error {
	if err := s.checkHost(p); err != nil {
		return fmt.Errorf("cannot make this the host's namespace: %w", err)
	}
	data, err := json.Marshal(s.namespace)
	if err != nil {
		return err
	}
	run, err := openTrusted(s.root, RunDir)
	if err != nil {
		return err
	}
	defer run.Close()
	if err := (shelf{run.Handle}).replace(hostName, data); err != nil {
		return fmt.Errorf("cannot write %w", err)
	}
	return nil
}

// checkHost looks for a reason why the namespace can't be the host's.
func (s *Store) checkHost(p Processes) error {
	ids, err := s.List()
	if err != nil {
		return err
	}
	for _, id := range ids {
		r, err := s.Get(id)
		if err != nil {
			continue
		}
		if alive, _ := s.Alive(r, p); alive && (r.Namespace == s.namespace || s.isCovered(r)) {
			return fmt.Errorf("it is that of a session of %s (%s), or made from it", r.User, id)
		}
	}
	if first, err := linux.OpenNamespaceOf(init1); s.namespace.ID == 0 && err == nil {
		defer first.Close()
		if NamespaceOf(first) != s.namespace {
			return errors.New("before Linux 6.11 none but that of process 1 can be found again")
		}
	}
	return nil
}

// isCovered reports whether an instance of the session covers its directory here.
func (s *Store) isCovered(r Record) bool {
	for _, c := range r.coverings() {
		dir, err := s.root.Open(c.Path)
		if err != nil {
			continue
		}
		is := dir.IsMountRoot() && dir.Stat.Dev == c.Dev && dir.Stat.Ino == c.Ino
		dir.Close()
		if is {
			return true
		}
	}
	return false
}

// Host opens the host's mount namespace: the one that SetHost was called in, or where that was not, or nobody is in that any
// more, that of process 1.
func (s *Store) Host(p Processes) (*linux.Handle, error) {
	first, firstErr := linux.OpenNamespaceOf(init1)
	want, err := s.host()
	if errors.Is(err, fs.ErrNotExist) {
		return first, firstErr
	}
	if err == nil && firstErr == nil && NamespaceOf(first) == want {
		return first, nil
	}
	if err != nil {
		first.Close()
		return nil, err
	}
	in, ok := p.InNamespace(want, 0)
	if !ok || want.ID == 0 { // the next one may have its number
		return first, firstErr
	}
	first.Close()
	if h, ok := p.Open(in, want); ok {
		return h, nil
	}
	return nil, fmt.Errorf("cannot find a process in the one that gons boot was run in (mnt:[%d], by %s/%s)", want.Inode, RunDir, hostName)
}

func (s *Store) host() (ns Namespace, err error) {
	run, err := openTrusted(s.root, RunDir)
	if err != nil {
		return ns, err
	}
	defer run.Close()
	h, err := run.OpenAt(hostName, linux.ReadFile, false)
	if err != nil {
		return ns, err
	}
	defer h.Close()
	data, err := io.ReadAll(io.LimitReader(h, maxRecordSize))
	if err == nil {
		err = json.Unmarshal(data, &ns)
	}
	if err != nil {
		return ns, fmt.Errorf("cannot read %s/%s: %w", RunDir, hostName, err)
	}
	return ns, nil
}

// CheckIn reports whether a root, in another namespace, has the same records. Otherwise that is another machine's, as for
// a container that sees the processes of the host it is on.
func (s *Store) CheckIn(root *safepath.Root) error {
	there, err := openTrusted(root, path.Join(RunDir, sessionsName))
	if err != nil {
		return err
	}
	defer there.Close()
	here, err := s.sessions.Stat()
	if err == nil && !here.SameFile(there.Stat) {
		err = fmt.Errorf("the host's namespace has another %s: it is another container's, or another machine's", RunDir)
	}
	return err
}
