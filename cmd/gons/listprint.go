package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"gons/internal/live"
)

// printSessions prints a line for each session, and below it one for each instance, or its mount table.
func printSessions(out io.Writer, listed []listedSession) {
	if len(listed) == 0 {
		fmt.Fprintln(out, "no session is open")
		return
	}
	for i, line := range sessionLines(listed) {
		fmt.Fprintln(out, line)
		switch {
		case i == 0: // the heading
		case listed[i-1].Mounts != nil:
			printMount(out, *listed[i-1].Mounts, "  ")
		default:
			printInstances(out, listed[i-1].Instances)
		}
		if i > 0 {
			printGrafts(out, listed[i-1].Grafts)
		}
		if i > 0 && listed[i-1].Outdated {
			fmt.Fprintln(out, "  made by another configuration than the present one")
		}
	}
}

// sessionLines are a heading and a line for each session, in columns.
func sessionLines(listed []listedSession) []string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SESSION\tUSER\tSERVICE\tTERMINAL\tFROM\tSINCE\tSCOPE\tSTATE\tLEADER")
	for _, s := range listed {
		leader := "-"
		if s.Leader != nil {
			leader = fmt.Sprintf("%d %s", s.Leader.PID, shown(s.Leader.Command))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.short, shown(s.User), shown(s.Service), orDash(s.Terminal),
			orDash(s.RemoteHost), s.Since.Local().Format("2006-01-02 15:04"), s.Scope, s.State, leader)
	}
	w.Flush()
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return shown(s)
}

func printInstances(out io.Writer, instances []listedInstance) {
	for _, in := range instances {
		words := []string{"  " + shown(in.Path)}
		switch {
		case in.Kind == live.Missing:
			words = append(words, "not mounted any more")
		case in.Kind != "":
			words = append(words, string(in.Kind), shown(in.Shows))
		}
		if in.Hidden {
			words = append(words, "something else is mounted on it")
		}
		if in.Size != nil {
			words = append(words, in.Size.String())
		}
		fmt.Fprintln(out, strings.Join(words, "  "))
	}
}

func printGrafts(out io.Writer, grafts []listedGraft) {
	for _, g := range grafts {
		fmt.Fprintf(out, "  %s  from %s, by gons mount\n", shown(g.Path), shown(g.Source))
	}
}

func printMount(out io.Writer, m listedMount, indent string) {
	fmt.Fprintf(out, "%s%s  %s  %s  %s  %s\n", indent, shown(m.Path), shown(m.FileSystem), shown(m.Shows), shown(m.Options), m.Propagation)
	for _, c := range m.Mounts {
		printMount(out, c, indent+"  ")
	}
}
