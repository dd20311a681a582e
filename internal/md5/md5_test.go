package md5

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"
)

func checkMD5(t *testing.T, s string) {
	t.Helper()
	sum := md5.Sum([]byte(s))
	if got, want := Hex(s), hex.EncodeToString(sum[:]); got != want {
		t.Errorf("Hex(%q) = %s, want %s", s, got, want)
	}
}

func TestMD5(t *testing.T) {
	for n := range 300 {
		checkMD5(t, strings.Repeat("a\xffé", n)[:n])
	}
}

func FuzzMD5(f *testing.F) {
	f.Add("alice")
	f.Fuzz(checkMD5)
}
