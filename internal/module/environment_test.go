package module

import (
	"strings"
	"testing"

	"gons/internal/wire"
)

// What the environment gets is told before the session is handed over, with a namespace or without; and a directory that was
// made for it goes when the host can't take the session over.
func TestEnvironment(t *testing.T) {
	dir := newTree(t)
	const env = nothing + "env: {CACHE: '/c/$USER'}\n"
	own := env + "directories: [{path: /x, method: env, instances: " + dir + "/own}]\n"
	for _, c := range []struct {
		name, yaml, want, made string
		namespace              bool
	}{
		{"variables alone", env, "CACHE=/c/alice", "", false},
		{"a directory", own, "TMPDIR=/own/alice TMP=/own/alice TEMP=/own/alice TEMPDIR=/own/alice CACHE=/c/alice", "own 711 0 own/alice 700 2001 ", false},
		{"beside a namespace", strings.Replace(own, "[", "[{path: "+dir+"/tmp, method: tmpfs}, ", 1),
			"TMPDIR=/own/alice TMP=/own/alice TEMP=/own/alice TEMPDIR=/own/alice CACHE=/c/alice", "own 711 0 own/alice 700 2001 ", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, before := configFile(t, "gons.yaml", c.yaml), files(t, dir)
			for _, taken := range []int32{14, -1} {
				h := newGate()
				h.taken = taken
				h.run(t, alice("open", conf))
				if files(t, dir) != before || len(records(t)) > 0 {
					t.Errorf("a host that answers %d has %s, %s", taken, files(t, dir), records(t))
				}
			}
			h := newGate()
			h.run(t, alice("open", conf))
			if got := strings.ReplaceAll(strings.Join(h.env, " "), dir, ""); got != c.want || h.code() != Success || len(h.log) > 0 {
				t.Errorf("%d: the environment gets %s\nexpected %s\n%q", h.code(), got, c.want, h.log)
			}
			made := strings.NewReplacer(before, "", "\n", " ").Replace(strings.TrimPrefix(files(t, dir), "\n"))
			if !strings.Contains(made, strings.TrimSpace(c.made)) {
				t.Errorf("made %s, expected %s", made, c.made)
			}
			if (h.id != "") != c.namespace || len(records(t)) != map[bool]int{true: 1}[c.namespace] {
				t.Errorf("namespace %q, records %q", h.id, records(t))
			}
			if c.namespace {
				newGate().run(t, alice("close", "sessions="+h.id))
			}
		})
	}
}

// A gate that can't keep it is a failure, and nothing was made.
func TestEnvironmentRefused(t *testing.T) {
	dir := newTree(t)
	conf, before := configFile(t, "gons.yaml", nothing+"directories: [{path: /x, method: env, instances: "+dir+"/own}]\n"), files(t, dir)
	h := newGate()
	h.on = func(m wire.Message) (wire.Message, bool) {
		return wire.Message{Kind: wire.Answer, Arg: 12}, m.Kind == wire.Env
	}
	h.run(t, alice("open", conf))
	h.check(t, "no memory", SessionError, "3 cannot tell the host the session's environment: cannot allocate memory")
	if files(t, dir) != before {
		t.Errorf("made: %s", files(t, dir))
	}
}
