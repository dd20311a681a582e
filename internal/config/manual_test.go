package config

import (
	"os"
	"strings"
	"testing"
)

// Every example of the manual that is a whole file is one that the module takes, without a warning.
func TestManualExamples(t *testing.T) {
	found := 0
	for _, page := range []string{"gons.yaml.5", "gons.8", "pam_gons.8"} {
		text, err := os.ReadFile("../../docs/man/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "\n.Bd -literal")[1:] {
			_, block, _ = strings.Cut(block, "\n")
			example, _, _ := strings.Cut(block, "\n.Ed")
			example = strings.ReplaceAll(example, `\(dq`, `"`)
			if !strings.HasPrefix(example, "version: 1\n") {
				continue
			}
			found++
			if cfg, err := ParseYAML(page, []byte(example)); err != nil || len(cfg.Warnings) > 0 {
				t.Errorf("%s\n%s\n%v", allErrors(err), example, cfg)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d examples", found)
	}
}
