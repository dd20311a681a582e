package session

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// After an upgrade records of another version may be there, of whatever layout: they are left to that version, and make
// neither a sweep nor a login fail.
func TestRecordsOfAnotherVersionAreLeftAlone(t *testing.T) {
	host := newHost(t)
	s := openStore(t, host)
	path := host + RunDir + "/sessions/" + id(1)
	must(t, os.WriteFile(path, []byte(`{"Version": 99, "Namespace": "of another layout"}`), 0o600))
	if _, err := s.Get(id(1)); !errors.Is(err, ErrForeign) {
		t.Errorf("Get: %v", err)
	}
	if got := summary(t, s, &machine{namespace: 1}, false, always); got != "" {
		t.Errorf("Sweep: %s", got)
	}
	if !exists(path) {
		t.Error("the record is gone")
	}
}

// What could still be removed keeps the record.
func TestOnlyElsewhere(t *testing.T) {
	elsewhere, other := fmt.Errorf("x: %w", ErrElsewhere), errors.New("y")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {other, false}, {elsewhere, true}, {errors.Join(elsewhere, elsewhere), true},
		{errors.Join(elsewhere, other), false}, {errors.Join(other, elsewhere), false},
	} {
		if got := onlyElsewhere(c.err); got != c.want {
			t.Errorf("onlyElsewhere(%v) = %t", c.err, got)
		}
	}
}
