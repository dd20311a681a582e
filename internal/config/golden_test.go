package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whole files as sites have them, and the Config that each makes.
func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.[yc]*[lf]")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data: ", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parse := ParseNamespaceConf
			if strings.HasSuffix(file, ".yaml") {
				parse = ParseYAML
			}
			cfg, err := parse(filepath.Base(file), data)
			if err != nil {
				t.Fatal(allErrors(err))
			}
			validate(t, cfg)
			golden(t, file+".golden", dump(cfg))
		})
	}
}
