package differential_test

import (
	"os"
	"strings"
	"testing"
)

// manualRows are the names in the table of pam_gons(8); each must be followed by its reason.
func manualRows(t testing.TB) (names []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/man/pam_gons.8")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n.Sh WHERE GONS DIFFERS FROM PAM_NAMESPACE\n")
	section, _, _ = strings.Cut(section, "\n.Sh ")
	for _, item := range strings.Split(section, "\n.It Cm ")[1:] {
		name, reason, _ := strings.Cut(item, "\n")
		if strings.TrimSpace(reason) == "" || strings.HasPrefix(reason, ".It") {
			t.Errorf("the manual gives no reason for %s", name)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		t.Fatal("pam_gons(8) has no table of differences")
	}
	return names
}
