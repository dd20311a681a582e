// Package pam_test opens sessions through the real libpam: in this process by github.com/msteinert/pam, and in the ways
// that real hosts fork and thread by tests/pamhost.
package pam_test

import (
	"testing"

	"gons/tests/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }
