package main

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/linux"
	"gons/internal/login"
	"gons/internal/module"
	"gons/internal/polyinst"
	"gons/internal/safepath"
)

type planFlags struct {
	user, service, requester, config string
	options                          []string
	diff, json                       bool
}

func newPlan() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan --user USER [--service SERVICE]",
		Short: "Show what a login of a user does, step by step, and change nothing",
		Long: `Prints the steps that the module takes when the user logs in through the service, each with the line of the
configuration it comes from. It is the module's own planner, so the two cannot differ. Needs no root.
With --diff it compares the user's open sessions with that instead, for which it needs root; the exit status is 1 when one
differs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return showPlan(cmd, f) },
	}
	cmd.Flags().StringVar(&f.user, "user", "", "the `USER` who logs in")
	cmd.Flags().StringVar(&f.service, "service", "login", "the PAM `SERVICE`, a file name in /etc/pam.d")
	cmd.Flags().StringVar(&f.requester, "requester", "", "the `USER` who asks for the session (PAM_RUSER), as the caller of su")
	cmd.Flags().StringArrayVarP(&f.options, "option", "o", nil, "an `OPTION` of the module, as on the PAM line; may be repeated")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "compare the user's open sessions with what a login would get, those of SERVICE if one is named")
	configFlag(cmd, &f.config)
	jsonFlag(cmd, &f.json)
	cobra.CheckErr(cmd.MarkFlagRequired("user"))
	completeFlags(cmd)
	return cmd
}

func showPlan(cmd *cobra.Command, f planFlags) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	if f.diff {
		return showDiff(cmd, root, f)
	}
	plan, err := makePlan(root, f)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd, describePlan(plan))
	}
	for _, w := range plan.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "gons: warning: %s\n", w)
	}
	for _, n := range plan.Notices {
		fmt.Fprintf(cmd.ErrOrStderr(), "gons: note: %s\n", n)
	}
	fmt.Fprint(cmd.OutOrStdout(), plan)
	return nil
}

// makePlan does what the module does up to the plan.
func makePlan(root *safepath.Root, f planFlags) (*polyinst.Plan, error) {
	line, err := module.ParseLine(f.options)
	if err != nil {
		return nil, err
	}
	if f.config != "" {
		line.Config = f.config
	}
	req, names, err := planRequest(f, line.Options)
	if err != nil {
		return nil, err
	}
	cfg, err := module.LoadConfig(safepath.Files{Root: root, Strict: true}, line.Config, line.Reading)
	if err != nil {
		return nil, err
	}
	if cfg.Options.With(req.Options).Context == "" {
		req.Options.Context = config.ContextDefault // what pam_selinux will have set by then
	}
	facts, err := polyinst.Gather(cfg, req, names, module.Machine{Root: root})
	if err != nil {
		return nil, err
	}
	plan, err := polyinst.Build(cfg, req, facts)
	if err == nil {
		for _, text := range line.Warnings {
			plan.Warnings = append(plan.Warnings, config.Warning{Pos: config.Pos{File: "--option"}, Text: text})
		}
	}
	return plan, err
}

// planRequest makes the request that PAM would make, from the name service.
func planRequest(f planFlags, options config.Options) (polyinst.Request, localNames, error) {
	u, err := user.Lookup(f.user)
	if err != nil {
		return polyinst.Request{}, localNames{}, err
	}
	uid, gid, err := login.IDs(u)
	if err != nil {
		return polyinst.Request{}, localNames{}, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return polyinst.Request{}, localNames{}, fmt.Errorf("cannot list the groups of %s: %w", f.user, err)
	}
	umask := linux.SetUmask(0o22)
	linux.SetUmask(umask)
	return polyinst.Request{
		User: f.user, Service: f.service, UID: uid, GID: gid, Home: u.HomeDir, Umask: uint32(umask), Options: options,
		Requester: f.requester, RequesterUID: uint32(linux.UID()),
	}, localNames{groups}, nil
}

// localNames is polyinst.NameService from this process's own name service.
type localNames struct{ groups []string }

// LookupUser implements polyinst.NameService.
func (localNames) LookupUser(name string) (polyinst.Account, bool, error) {
	return account(user.Lookup(name))
}

// LookupUID implements polyinst.NameService.
func (localNames) LookupUID(uid uint32) (polyinst.Account, bool, error) {
	return account(user.LookupId(strconv.FormatUint(uint64(uid), 10)))
}

func account(u *user.User, err error) (polyinst.Account, bool, error) {
	var name user.UnknownUserError
	var id user.UnknownUserIdError
	if errors.As(err, &name) || errors.As(err, &id) {
		return polyinst.Account{}, false, nil
	}
	if err != nil {
		return polyinst.Account{}, false, err
	}
	uid, gid, err := login.IDs(u)
	return polyinst.Account{UID: uid, GID: gid, Name: u.Username, Home: u.HomeDir}, err == nil, err
}

// LookupGroup implements polyinst.NameService.
func (n localNames) LookupGroup(name string) (polyinst.Group, bool, error) {
	g, err := user.LookupGroup(name)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		return polyinst.Group{}, false, nil
	}
	if err != nil {
		return polyinst.Group{}, false, err
	}
	gid, err := strconv.ParseUint(g.Gid, 10, 32)
	return polyinst.Group{GID: uint32(gid), Member: slices.Contains(n.groups, g.Gid)}, err == nil, err
}
