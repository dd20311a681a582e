package attack_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Every test that README.md or SECURITY.md names is there: a claim whose test is gone has no proof any more.
func TestNamedTestsExist(t *testing.T) {
	out, err := exec.Command("grep", "-rhoE", "--include=*_test.go", "^func Test[A-Za-z0-9]+", "../..").Output()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, line := range strings.Fields(string(out)) {
		there[line] = true
	}
	for _, file := range []string{"README.md", "../../SECURITY.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
		if len(named) == 0 {
			t.Errorf("%s names no test", file)
		}
		for _, name := range named {
			if !there[name[1]] {
				t.Errorf("%s names %s, which isn't there", file, name[1])
			}
		}
	}
}
