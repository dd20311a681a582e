// Command newns runs a command in a mount namespace of its own: gons run, as a program that starts fast. It has no
// configuration to read and no other subcommands to offer, and so none of what those bring.
package main

import (
	"os"

	"gons/internal/newns"
)

func main() {
	os.Exit(newns.Runner{Name: "newns", Out: os.Stdout, Errors: os.Stderr}.Main(os.Args[1:]))
}
