// Command cmd is both ends of a command in a machine: `serve PORT` runs in the machine; `run SOCKET COMMAND...` is what
// the test starts for one command.
package main

import (
	"fmt"
	"net"
	"os"

	"gons/tests/vm/agent"
)

func main() {
	status, err := agent.Failed, error(nil)
	switch os.Args[1] {
	case "serve":
		err = serve(os.Args[2])
	case "run":
		status, err = run(os.Args[2], os.Args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		status = agent.Failed
	}
	os.Exit(status)
}

func serve(path string) error {
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return agent.Serve(port)
}

func run(socket string, args []string) (int, error) {
	line, err := net.Dial("unix", socket)
	if err != nil {
		return 0, err
	}
	return agent.Run(line, os.Environ(), args, os.Stdin, os.Stdout, os.Stderr)
}
