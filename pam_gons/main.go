// Command pam_gons is built with -buildmode=c-shared and becomes pam_gons.so, a PAM session module.
//
// The C files are the gate, which runs in the host; this file is where the worker, a process that the gate forks,
// enters Go. The runtime starts there and only there: see deferred.ld and worker.c. Everything the worker does is in
// package module.
package main

// #cgo CFLAGS: -std=gnu11 -O2 -Wall -Wextra -Wno-unused-parameter -fvisibility=hidden -fstack-protector-strong -D_FORTIFY_SOURCE=2
// #cgo LDFLAGS: -lpam -Wl,-z,relro -Wl,-z,now
import "C"

import (
	"gons/internal/linux"
	"gons/internal/module"
)

//export gonsWorker
func gonsWorker(sock C.int, hostUmask C.uint) {
	module.Serve(linux.NewHandle(int(sock), "the gate"), uint32(hostUmask))
}

func main() {}
