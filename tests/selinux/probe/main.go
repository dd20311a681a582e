// Command probe answers, by package selinux, what the tools of libselinux are asked in a machine of tests/selinux: one
// question a line on standard input, one answer a line on standard output. An answer is "error: " and why, or "none".
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"gons/internal/linux"
	"gons/internal/safepath"
	"gons/internal/selinux"
)

func main() {
	root, err := safepath.OpenRoot()
	if err == nil {
		var s *selinux.SELinux
		if s, err = selinux.Open(root); err == nil {
			serve(s)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "probe:", err)
	os.Exit(1)
}

func serve(s *selinux.SELinux) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := ask(s, strings.Fields(lines.Text()))
		if err != nil {
			answer = "error: " + err.Error()
		}
		if answer == "" {
			answer = "none"
		}
		fmt.Println(answer)
	}
}

var types = map[string]linux.Type{"dir": linux.TypeDirectory, "file": linux.TypeRegular, "lnk_file": linux.TypeSymlink}

func ask(s *selinux.SELinux, words []string) (string, error) {
	if s == nil {
		return "off", nil
	}
	words = append(words, "", "")
	switch words[0] {
	case "current":
		return s.CurrentContext()
	case "exec":
		return s.ExecContext()
	case "default": // LOGIN: in no group but its own
		return s.DefaultContext(words[1], func(group string) (bool, error) { return group == words[1], nil })
	case "member": // SESSION DIRECTORY
		return s.Member(words[1], words[2])
	case "files": // TYPE PATH
		context, _, err := s.FileContext(words[2], types[words[1]])
		return context, err
	case "mkdir": // CONTEXT DIRECTORY: a new directory's label, and that of one after it
		return mkdir(s, words[1], words[2])
	}
	return "", fmt.Errorf("no such question: %q", words[0])
}

func mkdir(s *selinux.SELinux, context, path string) (string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var labels []string
	for i, c := range []string{context, ""} {
		name := fmt.Sprint(path, ".", i)
		if err := errors.Join(s.CreateAs(c), os.Mkdir(name, 0o755)); err != nil {
			return "", err
		}
		root, err := safepath.OpenRoot()
		if err != nil {
			return "", err
		}
		dir, err := root.Open(name)
		if err != nil {
			return "", err
		}
		label, err := dir.Label()
		if err != nil {
			return "", err
		}
		labels = append(labels, label)
	}
	return strings.Join(labels, " "), nil
}
