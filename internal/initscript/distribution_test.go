package initscript

import (
	"os"
	"regexp"
	"testing"
)

func TestIsDistribution(t *testing.T) {
	const installed = "/etc/security/namespace.init" // of libpam-modules, which the tests need anyway
	content, err := os.ReadFile(installed)
	must(t, err)
	if !IsDistribution(content) {
		t.Errorf("%s isn't known", installed)
	}
	for _, other := range []string{"", "#!/bin/sh\nexit 0\n", string(content) + "\n", string(content[1:])} {
		if IsDistribution([]byte(other)) {
			t.Errorf("%.40q... is taken for a distribution's", other)
		}
	}
}

func TestDistributionSums(t *testing.T) {
	sum := regexp.MustCompile(`^[0-9a-f]{32}$`)
	for s := range distributions {
		if !sum.MatchString(s) {
			t.Errorf("%q is no sum", s)
		}
	}
}
