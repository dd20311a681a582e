package pamstack

import (
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tree is Files in memory.
type tree map[string]string

func (t tree) Read(file string, max int64) ([]byte, error) {
	if text, ok := t[file]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("open %s: %w", file, fs.ErrNotExist)
}

func (t tree) List(dir string) (names []string, err error) {
	for file := range t {
		if path.Dir(file) == dir {
			names = append(names, path.Base(file))
		}
	}
	if names == nil {
		return nil, fs.ErrNotExist
	}
	return names, nil
}

func words(s Stack) string {
	var out []string
	for _, r := range s.Rules {
		out = append(out, strings.Join(append([]string{r.Control, r.Name()}, r.Args...), " "))
	}
	return strings.Join(out, "; ")
}

func TestRead(t *testing.T) {
	files := tree{
		"/etc/pam.d/sshd": "# comment\nauth required pam_unix.so\n@include common-session\nsession include more # of it\n" +
			"-session  [success=ok ignore=ignore module_unknown=ignore default=bad]  pam_selinux.so\topen\n" +
			"session optional \\\n  pam_motd.so [motd=/run/a b]\nSession Required /usr/lib/security/pam_gons.so debug\n",
		"/etc/pam.d/common-session": "session required pam_unix.so\nauth required pam_env.so\n",
		"/etc/pam.d/more":           "session substack deep\n",
		"/usr/lib/pam.d/deep":       "session required pam_limits.so\naccount required pam_time.so\n",
		"/usr/lib/pam.d/more":       "session required pam_hidden.so\n",
		"/etc/pam.d/loop":           "session include loop\nsession required pam_x.so\n",
		"/etc/pam.d/bad":            "session required\nnonsense a b\n@include nowhere\n@include\nsession include ../x\n",
		"/etc/pam.d/bad.dpkg-dist":  "",
	}
	s, err := Read(files, "sshd", "session")
	want := "required pam_unix.so; required pam_limits.so; [success=ok ignore=ignore module_unknown=ignore default=bad] pam_selinux.so open; " +
		"optional pam_motd.so motd=/run/a b; required pam_gons.so debug"
	if got := words(s); err != nil || got != want || s.Problems != nil {
		t.Errorf("sshd is\n%s\nwant\n%s\nproblems: %q, %v", got, want, s.Problems, err)
	}
	if at := s.Find("pam_gons.so"); !slices.Equal(at, []int{4}) || s.Rules[4].Where() != "/etc/pam.d/sshd:8" {
		t.Errorf("pam_gons.so is at %v, %s", at, s.Rules[4].Where())
	}
	if s, err := Read(files, "loop", "session"); err != nil || len(s.Rules) != maxLevel+1 || len(s.Problems) != 1 {
		t.Errorf("a loop: %v, %d rules, %q", err, len(s.Rules), s.Problems)
	}
	if s, err := Read(tree{"/etc/pam.d/x": strings.Repeat("@include x\n", 5)}, "x", "session"); err != nil || len(s.Rules) != 0 {
		t.Errorf("a loop that branches: %v, %v", err, s.Rules) // and it ends
	}
	if s, err := Read(files, "bad", "session"); err != nil || len(s.Problems) != 5 || len(s.Rules) != 0 {
		t.Errorf("bad: %v, %v, %q", err, s.Rules, s.Problems)
	}
	if _, err := Read(files, "nowhere", "session"); !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("nowhere: %v", err)
	}
	if got, err := Services(files); err != nil || !reflect.DeepEqual(got, []string{"bad", "deep", "loop", "more", "sshd"}) {
		t.Errorf("services: %v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("session required pam_unix.so a [b c\\]]\n@include x\n\\\n-auth [a=b pam_x.so\n#\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, problems := Parse("f", []byte(text))
		if lines := strings.Count(text, "\n") + 1; len(rules)+len(problems) > lines {
			t.Errorf("%d rules, %d problems in %d lines", len(rules), len(problems), lines)
		}
		for _, r := range rules {
			if r.Module == "" || r.Line < 1 {
				t.Errorf("%+v", r)
			}
		}
		Read(tree{"/etc/pam.d/f": text}, "f", "session")
	})
}
