package config

import "testing"

func TestCleanPath(t *testing.T) {
	for text, want := range map[string]string{
		"/tmp":            "/tmp",
		"//tmp//x//":      "/tmp/x",
		"$HOME":           "$HOME",
		"${HOME}//a/":     "$HOME/a",
		"/x/${USER}NAME":  "/x/$USERNAME",
		"/x/$USER.$HOME":  "/x/$USER.$HOME",
		"/a/..b/c..":      "/a/..b/c..",
		"/tmp/with space": "/tmp/with space",
	} {
		if got, err := cleanPath(text); err != nil || got != want {
			t.Errorf("cleanPath(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestOctal(t *testing.T) {
	for text, want := range map[string]uint32{
		"755": 0o755, "0755": 0o755, "1777": 0o1777, "01777": 0o1777, "0o755": 0o755, "000": 0,
	} {
		if got, err := octal(text); err != nil || got != want {
			t.Errorf("octal(%q) = %o, %v; want %o", text, got, err, want)
		}
	}
	for _, text := range []string{"", "7", "77", "8000", "17777", "001777", "0x1ff", "0o", "-755", "+755", "7_5_5",
		"7 5"} {
		if got, err := octal(text); err == nil {
			t.Errorf("octal(%q) = %o, want an error", text, got)
		}
	}
}

func TestSize(t *testing.T) {
	for _, text := range []string{"0", "4096", "1k", "512M", "1G", "2t", "50%", "150%", "9223372036854775807"} {
		if got, err := size(text); err != nil || got != text {
			t.Errorf("size(%q) = %q, %v", text, got, err)
		}
	}
	// 010 would be 8 to the kernel, 0% no limit, and the large ones overflow.
	bad := []string{"", "010", "0%", "1000%", "-1", "1.5G", "1GB", "0x10", "1_000", "9223372036854775808",
		"8388608t", "1e3"}
	for _, text := range bad {
		if got, err := size(text); err == nil {
			t.Errorf("size(%q) = %q, want an error", text, got)
		}
	}
}

func TestCount(t *testing.T) {
	for text, ok := range map[string]bool{"100k": true, "1M": true, "0": true, "50%": false, "1t": false, "k": false} {
		if _, err := count(text); (err == nil) != ok {
			t.Errorf("count(%q): %v", text, err)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"method", "path", "only", "dev", "nosuid"}
	for text, want := range map[string]string{
		"methd": "method", "mehtod": "method", "pth": "path", "ony": "only", "dve": "", "de": "dev", "": "",
		"completely": "", "nosiud": "nosuid", "exact-but-far-too-long-to-be-any-known-word": "",
	} {
		if got := nearest(text, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestErrorsText(t *testing.T) {
	one := Errors{{Pos{File: "f", Line: 2}, "bad"}}
	for want, list := range map[string]Errors{
		"no errors": nil, "f:2: bad": one, "f:2: bad (and 2 more)": {one[0], one[0], one[0]},
	} {
		if got := list.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
