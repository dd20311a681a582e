package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/live"
	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/internal/session"
)

// plannedSession is a plan as --json prints it, and how an open session differs from it; documented in gons(8).
type plannedSession struct {
	User      string        `json:"user"`
	Service   string        `json:"service"`
	Namespace bool          `json:"namespace"`
	Reason    string        `json:"reason"`
	Steps     []plannedStep `json:"steps"`
	Warnings  []plannedStep `json:"warnings"`
	Notices   []plannedStep `json:"notices"`
	// Session and Differences are --diff's.
	Session     string        `json:"session,omitempty"`
	Differences []plannedStep `json:"differences,omitempty"`
}

// plannedStep is a text with its place in the configuration.
type plannedStep struct {
	Path   string `json:"path,omitempty"`
	Text   string `json:"text"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func at(text string, pos config.Pos) plannedStep {
	return plannedStep{Text: strings.TrimSuffix(text, "  ["+pos.String()+"]"), File: pos.File, Line: pos.Line, Column: pos.Column}
}

func describePlan(plan *polyinst.Plan) plannedSession {
	out := plannedSession{User: plan.User, Service: plan.Service, Namespace: plan.Namespace, Reason: plan.Reason,
		Steps: []plannedStep{}, Warnings: located(plan.Warnings), Notices: located(plan.Notices)}
	for _, s := range plan.Steps {
		out.Steps = append(out.Steps, at(s.String(), s.Why()))
	}
	return out
}

func located(warnings []config.Warning) []plannedStep {
	out := []plannedStep{}
	for _, w := range warnings {
		out = append(out, at(w.Text, w.Pos))
	}
	return out
}

// showDiff compares the user's open sessions, those of the service where one is named, with what a login would get. The exit
// status is 1 where one differs.
func showDiff(cmd *cobra.Command, root *safepath.Root, f planFlags) error {
	all, failed := sessions()
	var found []live.Session
	for _, s := range live.Match(all, f.user) {
		if s.User == f.user && s.State == live.Open && (!cmd.Flags().Changed("service") || s.Service == f.service) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return errors.Join(append(failed, noSession(f.user))...)
	}
	same := true
	shown := []plannedSession{}
	for _, s := range found {
		plan, differences, err := compare(root, s, f)
		if err != nil {
			return fmt.Errorf("cannot compare session %s: %w", s.ID, err)
		}
		same = same && len(differences) == 0
		one := describePlan(plan)
		one.Session, one.Differences = s.ID, differences
		shown = append(shown, one)
		if !f.json {
			printDiff(cmd, s, all, differences)
		}
	}
	var err error
	if f.json {
		err = printJSON(cmd, shown)
	}
	if err == nil && !same {
		err = &statusError{status: 1}
	}
	return err
}

// compare returns what a login would get now, and how the session differs from that.
func compare(root *safepath.Root, s live.Session, f planFlags) (*polyinst.Plan, []plannedStep, error) {
	plan, err := planOf(root, s, f)
	if err != nil {
		return nil, nil, err
	}
	place, err := live.Find(s, session.Proc{})
	if err != nil {
		return plan, nil, err
	}
	defer place.Close()
	table, err := place.Mounts()
	if err != nil {
		return plan, nil, err
	}
	observed := live.Observed{Record: s.Record, Table: table, Resolved: map[string]string{}, OnDisk: map[string]session.Instance{}}
	lookAtSteps(root, plan, &observed)
	out := []plannedStep{}
	for _, d := range live.Diff(plan, observed) {
		one := at(d.Text, d.Why)
		one.Path = d.Path
		out = append(out, one)
	}
	return plan, out, nil
}

// planOf plans a login as the session's was, with the options of the service's PAM line where none are given.
func planOf(root *safepath.Root, s live.Session, f planFlags) (*polyinst.Plan, error) {
	f.user, f.service = s.User, s.Service
	if stack, err := sessionStack(f.service); err == nil && len(f.options) == 0 {
		if lines := stack.Find("pam_gons.so"); len(lines) > 0 {
			f.options = stack.Rules[lines[0]].Args
		}
	}
	return makePlan(root, f)
}

// lookAtSteps finds out what the plan's paths are. What can't be opened isn't there.
func lookAtSteps(root *safepath.Root, plan *polyinst.Plan, o *live.Observed) {
	for _, s := range plan.Steps {
		switch s := s.(type) {
		case polyinst.Attach:
			if dir, err := root.Open(s.Path); err == nil {
				o.Resolved[s.Path] = dir.Resolved
				dir.Close()
			}
		case polyinst.PrepareDirectory:
			if s.Fresh || s.ByContext.Method != "" {
				continue
			}
			if st, err := statBelow(root, s.Parent, s.Name); err == nil {
				o.OnDisk[strings.TrimSuffix(s.Parent, "/")+"/"+s.Name] = session.Instance{Dev: st.Dev, Ino: st.Ino}
			}
		}
	}
}

func statBelow(root *safepath.Root, parent, name string) (linux.Stat, error) {
	dir, err := root.Open(parent)
	if err != nil {
		return linux.Stat{}, err
	}
	defer dir.Close()
	h, err := dir.OpenAt(name, linux.LookAtDirectory, false)
	if err != nil {
		return linux.Stat{}, err
	}
	defer h.Close()
	return h.Stat()
}

func printDiff(cmd *cobra.Command, s live.Session, all []live.Session, differences []plannedStep) {
	verdict := "as a login would be"
	if len(differences) > 0 {
		verdict = "differs from what a login would get"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "session %s of %s, service %s: %s\n", live.Short(s.ID, all), shown(s.User), shown(s.Service), verdict)
	for _, d := range differences {
		where := ""
		if d.File != "" {
			where = "  [" + config.Pos{File: d.File, Line: d.Line, Column: d.Column}.String() + "]"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "  %s: %s%s\n", shown(d.Path), shown(d.Text), where)
	}
}
