package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gons/internal/live"
)

// completeSessions offers users with sessions, and sessions by what tells them from others.
func completeSessions(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, _ := sessions()
	var out []string
	for _, s := range all {
		out = append(out, shown(s.User), live.Short(s.ID, all)+"\t"+shown(s.User+", "+s.Service))
	}
	slices.Sort(out)
	return slices.Compact(out), cobra.ShellCompDirectiveNoFileComp
}

// completeTargets offers sessions and files to begin with, and commands after that are the shell's own.
func completeTargets(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || strings.Contains(begun, "/") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	out, _ := completeSessions(cmd, args, begun)
	return out, cobra.ShellCompDirectiveDefault
}

// maxCompletions bounds what is offered: a directory server may know every student.
const maxCompletions = 1000

// completeUsers offers the users in /etc/passwd: others can't be listed in general.
func completeUsers(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	data, _ := os.ReadFile("/etc/passwd")
	var out []string
	for _, line := range strings.Split(string(data), "\n") {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(name, begun) && len(out) < maxCompletions {
			out = append(out, shown(name))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeServices offers the PAM services.
func completeServices(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, dir := range []string{"/etc/pam.d", "/usr/lib/pam.d"} {
		files, _ := filepath.Glob(dir + "/*")
		for _, f := range files {
			if name := filepath.Base(f); strings.HasPrefix(name, begun) && !strings.HasPrefix(name, "common-") {
				out = append(out, shown(name))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), cobra.ShellCompDirectiveNoFileComp
}

// completeFlags offers values for the flags of a command that have a meaning of their own.
func completeFlags(cmd *cobra.Command) {
	for flag, complete := range map[string]cobra.CompletionFunc{"user": completeUsers, "requester": completeUsers, "service": completeServices} {
		if cmd.Flags().Lookup(flag) != nil {
			cobra.CheckErr(cmd.RegisterFlagCompletionFunc(flag, complete))
		}
	}
}
