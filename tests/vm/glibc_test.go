package vm

// This file is about which machines what was built here can run on at all.

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// glibcSymbol names a version of glibc, in a library that has it or in a
// program that needs it.
var glibcSymbol = regexp.MustCompile(`GLIBC_2\.(\d+)`)

// newestGlibc returns the newest 2.N that a file names.
func newestGlibc(t *testing.T, file string) (newest int) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range glibcSymbol.FindAllSubmatch(content, -1) {
		n, _ := strconv.Atoi(string(match[1]))
		newest = max(newest, n)
	}
	return newest
}

// skipOlderGlibc skips the test where the suite's glibc is older than that of
// this machine, which the module was linked with: one for Debian 12 has to be
// built there.
func skipOlderGlibc(t *testing.T, suite string) {
	t.Helper()
	image, err := BuildImage(suite)
	if err != nil {
		t.Fatal(err)
	}
	libc, err := filepath.Glob(filepath.Join(image.Root(), "usr/lib/*/libc.so.6"))
	if err != nil || len(libc) != 1 {
		t.Fatalf("cannot tell the glibc of %s: found %q, %v", suite, libc, err)
	}
	needs, has := newestGlibc(t, filepath.Join(repository(t), "build/pam_gons.so")), newestGlibc(t, libc[0])
	if needs > has {
		t.Skipf("what was built here needs glibc 2.%d, and the machine has 2.%d", needs, has)
	}
}
