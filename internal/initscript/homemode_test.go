package initscript

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func TestHomeMode(t *testing.T) {
	for text, want := range map[string]uint32{
		"UMASK\t\t022\n":                     0o755,
		"UMASK 077":                          0o700,
		"UMASK 027 # comment":                0o750,
		"UMASK 027# comment":                 0o750,
		"# UMASK 022\nUMASK 002\n#UMASK 077": 0o775,
		"UMASK 022 077":                      0o755,
		"UMASK 022\r\n":                      0o755,
		"UMASK 0x12\n":                       0o755,
		"UMASK 0X1b\n":                       0o744,
		"UMASK 18\n":                         0o755,
		"UMASK 22\n":                         0o751, // decimal, to a shell
		"UMASK +18\n":                        0o755,
		"HOME_MODE 0750\nUMASK 022":          0o755,
		"UMASKS 022\nUMASK 077":              0o700,
		// From here on namespace.init says something else, or what the shell makes of it.
		"":                              0o700,
		"UMASK":                         0o700,
		"UMASK #022":                    0o700,
		" UMASK 022":                    0o700,
		"UMASK 0":                       0o700,
		"UMASK 77":                      0o700,
		"UMASK 0777":                    0o700,
		"UMASK 08":                      0o700,
		"UMASK -1":                      0o700,
		"UMASK abc":                     0o700,
		"UMASK 0o22":                    0o700,
		"UMASK 0b1":                     0o700,
		"UMASK 0_22":                    0o700,
		"UMASK 022\nUMASK 077":          0o700,
		"UMASK 022\nUMASK 022":          0o700,
		"UMASK 99999999999999999999999": 0o700,
	} {
		if got := HomeMode([]byte(text)); got != want {
			t.Errorf("%q: %04o, want %04o", text, got, want)
		}
	}
}

// What a sane umask comes to, a shell is asked: dash and bash, as /bin/sh may be either.
func TestHomeModeAsAShell(t *testing.T) {
	for _, shell := range []string{"dash", "bash"} {
		var script strings.Builder
		for mask := range 0o1000 {
			fmt.Fprintf(&script, "mask=0%o; printf '%%o\\n' $((0777 & ~mask))\n", mask)
			fmt.Fprintf(&script, "mask=%#x; printf '%%o\\n' $((0777 & ~mask))\n", mask)
			fmt.Fprintf(&script, "mask=%d; printf '%%o\\n' $((0777 & ~mask))\n", mask)
		}
		out, err := exec.Command(shell, "-c", script.String()).Output()
		must(t, err)
		said := strings.Fields(string(out))
		for mask := range 0o1000 {
			for i, form := range []string{"0%o", "%#x", "%d"} {
				text := fmt.Sprintf("UMASK "+form, mask)
				want, err := strconv.ParseUint(said[3*mask+i], 8, 32)
				must(t, err)
				if want&0o700 != 0o700 || want&0o002 != 0 {
					want = privateMode
				}
				if got := HomeMode([]byte(text)); got != uint32(want) {
					t.Errorf("%s: %04o, %s says %04o", text, got, shell, want)
				}
			}
		}
	}
}

func TestHomeModeOfThisMachine(t *testing.T) {
	data, err := os.ReadFile("/etc/login.defs")
	must(t, err)
	want := uint32(0o700) // Debian 13
	if strings.Contains(string(data), "\nUMASK\t\t022\n") {
		want = 0o755 // Debian 12
	}
	if got := HomeMode(data); got != want {
		t.Errorf("%04o, expected %04o", got, want)
	}
}
