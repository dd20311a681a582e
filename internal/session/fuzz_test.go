package session

import "testing"

// A record is root's, but a crash may leave anything: it is read as the session's own or not at all.
func FuzzDecode(f *testing.F) {
	const id = "2001-0123456789abcdef0123456789abcdef"
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"Version":1}`, `{"Version":2,"ID":"` + id + `"}`, `{"Version":1,"ID":"2001-0"}`,
		`{"Version":1,"ID":"` + id + `","User":"alice","UID":2001,"Opened":"2026-01-02T03:04:05Z","Leader":{"PID":7,"Start":8},` +
			`"Covered":["\"/tmp\""],"Instances":[{"Dev":1,"Ino":2}],"Leftovers":[{"Parent":"\"/i\"","Name":"\"x\"","Tree":true}]}`,
		`{"Version":1,"ID":"` + id + `","Covered":["/tmp"]}`, `{"Version":1,"ID":"` + id + `","UID":-1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data, id)
		if err == nil && (r.ID != id || r.Version != recordVersion) {
			t.Errorf("%q is read as %+v", data, r)
		}
		r.coverings()
	})
}
