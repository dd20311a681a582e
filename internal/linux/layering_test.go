package linux

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imports are what every file below the repository's directories imports, tests left out.
func imports(t *testing.T, dirs ...string) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir("../../"+dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(path, "../../")
			files[name] = nil
			for _, spec := range f.Imports {
				files[name] = append(files[name], strings.Trim(spec.Path.Value, `"`))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// using are the files that import one of packages.
func using(files map[string][]string, packages ...string) []string {
	var out []string
	for file, have := range files {
		if slices.ContainsFunc(have, func(p string) bool { return slices.Contains(packages, p) }) {
			out = append(out, file)
		}
	}
	slices.Sort(out)
	return out
}

// System calls are made in this package and nowhere else.
func TestOnlyLinuxMakesSystemCalls(t *testing.T) {
	for _, file := range using(imports(t, "internal", "cmd", "pam_gons"), "golang.org/x/sys/unix", "syscall") {
		if filepath.Dir(file) != "internal/linux" {
			t.Errorf("%s imports a package of system calls", file)
		}
	}
}

// The planner sees facts and nothing else: neither the disk, nor the clock, nor the environment.
func TestThePlannerIsPure(t *testing.T) {
	files := imports(t, "internal")
	effects := []string{"os", "os/exec", "os/user", "time", "net", "io/ioutil", "syscall", "crypto/rand",
		"math/rand", "math/rand/v2", "golang.org/x/sys/unix", "gons/internal/linux", "gons/internal/safepath"}
	for _, name := range []string{"internal/polyinst/request.go", "internal/polyinst/plan.go", "internal/polyinst/build.go",
		"internal/polyinst/naming.go", "internal/polyinst/environment.go", "internal/newns/options.go", "internal/newns/parse.go",
		"internal/newns/plan.go", "internal/newns/steps.go", "internal/newns/words.go", "internal/newns/command.go"} {
		have, ok := files[name]
		if !ok {
			t.Errorf("%s is gone: say here which files are pure", name)
		}
		if using(map[string][]string{name: have}, effects...) != nil {
			t.Errorf("%s imports one of %v: %v", name, effects, have)
		}
	}
	for _, file := range using(files, "os") {
		if strings.HasPrefix(file, "internal/polyinst/") || strings.HasPrefix(file, "internal/config/") {
			t.Errorf("%s imports os", file)
		}
	}
}

// cgo is where tests can't go, so one file has it, and nothing else.
func TestOneFileHasCgo(t *testing.T) {
	got := using(imports(t, "internal", "cmd", "pam_gons", "tests", "bench"), "C")
	if want := []string{"pam_gons/main.go"}; !slices.Equal(got, want) {
		t.Errorf("C is imported by %v, want %v", got, want)
	}
}

// Layers look downwards only: every package here may import those after it.
func TestLayers(t *testing.T) {
	order := []string{
		"doctor", "retention", "graft", "live", "login", "module", "session", "sharedtree", "polyinst", "initscript", "config", "selinux", "pamstack",
		"mountinfo", "wire", "newns", "safepath", "exitstatus", "linux", "entry", "md5", "printable",
	}
	for file, have := range imports(t, "internal") {
		from := slices.Index(order, strings.Split(file, "/")[1])
		if from < 0 {
			t.Errorf("%s: its package has no place in the order", file)
		}
		for _, p := range have {
			name, ours := strings.CutPrefix(p, "gons/internal/")
			if ours && slices.Index(order, name) <= from {
				t.Errorf("%s imports %s", file, p)
			}
		}
	}
}
