//go:build amd64 || arm64

package entry

// askLimits writes nofile.
func askLimits()
