// Package attack_test is what pam_namespace's history of attacks has taught, A1 to A24 (see README.md), each tried on
// gons and, where that says something, on the machine's own pam_namespace.so with the same namespace.conf. The attacker
// is outside of the session's namespace, in the host's, unless the test says otherwise.
//
// Races are run for a few seconds, and with GONS_LONG=1 for at least 10,000 opens or deletions. Each is first run on a
// stand-in that looks at paths before it uses them: an attack that never wins there proves nothing.
package attack_test

import (
	"os"
	"testing"

	"gons/tests/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// long says that the races are run at length.
var long = os.Getenv("GONS_LONG") != ""

// times is how often a race is run.
func times(short int) int {
	if long {
		return 10000
	}
	return short
}
