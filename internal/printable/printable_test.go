package printable

import (
	"errors"
	"fmt"
	"testing"
)

func TestLine(t *testing.T) {
	for s, want := range map[string]string{
		"/tmp/Grüße ✓": "/tmp/Grüße ✓", "a\x1b[2J\nrun true": `a\x1b[2J\nrun true`, "\xff\u202e'": `\xff\u202e'`, "\ufffd": "\ufffd", "": "",
	} {
		if got := Line(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

func TestError(t *testing.T) {
	a, b := errors.New("a\nx"), errors.New("b")
	for _, c := range []struct {
		err  error
		want string
	}{
		{a, `a\nx`}, {errors.Join(a, errors.Join(b, b)), "a\\nx\nb\nb"}, {fmt.Errorf("%w; and %w", a, b), `a\nx; and b`}, {errors.Join(b), "b"},
	} {
		if got := Error(c.err); got != c.want {
			t.Errorf("%q: %q, want %q", c.err, got, c.want)
		}
	}
}
