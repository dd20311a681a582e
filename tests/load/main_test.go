// Package load_test shows what gons does under load and under hindrance: logins that hang, callers with hostile
// environments, workers that die, hosts with busy threads, and sessions by the hundred and thousand. After each the
// machine is as before (census_test.go says what is counted).
//
// With GONS_LONG=1 (make test-long) the numbers are those that gons promises; without, a tenth and less.
package load_test

import (
	"os"
	"testing"

	"gons/tests/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// long returns how often to do something: a few times, or all that is promised.
func long(few, all int) int {
	if os.Getenv("GONS_LONG") != "" {
		return all
	}
	return few
}
