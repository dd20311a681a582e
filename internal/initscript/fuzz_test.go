package initscript

import "testing"

// Whatever login.defs says, a new home is its user's, and others can't write to it unless that is what it says.
func FuzzHomeMode(f *testing.F) {
	for _, seed := range []string{
		"", "UMASK 022\n", "UMASK\t\t077 # comment\n", "UMASK 0x12\n", "UMASK 18\n", "#UMASK 022\n", "UMASK\n", "UMASK 022\nUMASK 077\n",
		"UMASK 09\n", "UMASK -1\n", "UMASK 0777\n", "UMASK 99999999999999999999\n", " UMASK 022\n", "UMASK 022", "UMASK\x00022\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if mode := HomeMode(data); mode&^0o777 != 0 || mode == 0 {
			t.Errorf("%q: a home of mode %04o", data, mode)
		}
	})
}
