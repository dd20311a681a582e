package session

import "gons/internal/polyinst"

// maxNested bounds the sessions that lie in one another: su in a session of su in a session of ssh.
const maxNested = 32

// Inherited returns what covers directories in the namespace that the store was opened in: the instances of the session
// that the namespace belongs to, the last first, and then those of the session that that one was opened from, and so on.
// Outside of any session it is empty. A record that can't be read counts as none.
func (s *Store) Inherited() ([]polyinst.Covering, error) {
	ids, err := s.List()
	if err != nil {
		return nil, err
	}
	byNamespace := map[Namespace][]Record{}
	for _, id := range ids {
		if r, err := s.Get(id); err == nil && r.Namespace.Inode != 0 {
			byNamespace[r.Namespace] = append(byNamespace[r.Namespace], r)
		}
	}
	var out []polyinst.Covering
	at := s.namespace
	for range maxNested {
		records := byNamespace[at]
		if len(records) == 0 {
			break
		}
		delete(byNamespace, at)
		newest := latest(records)
		out = append(out, newest.coverings()...)
		at = newest.HostNamespace
	}
	return out, nil
}

// latest is the record of the session that is in a namespace: where the kernel gives namespaces no number of their own,
// an old record may name a later namespace.
func latest(records []Record) Record {
	out := records[0]
	for _, r := range records[1:] {
		if r.Opened.After(out.Opened) {
			out = r
		}
	}
	return out
}

// coverings are what a session covers, the last first.
func (r Record) coverings() []polyinst.Covering {
	var out []polyinst.Covering
	for i := min(len(r.Covered), len(r.Instances)) - 1; i >= 0; i-- {
		out = append(out, polyinst.Covering{Path: string(r.Covered[i]), Dev: r.Instances[i].Dev, Ino: r.Instances[i].Ino})
	}
	return out
}
