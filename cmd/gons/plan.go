package main

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"gons/internal/linux"
	"gons/internal/module"
	"gons/internal/polyinst"
	"gons/internal/safepath"
)

type planFlags struct {
	user, service, config string
	options               polyinst.Options
}

func newPlan() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan --user USER [--service SERVICE]",
		Short: "Show what a login of a user does, step by step, and change nothing",
		Long: `Prints the steps that the module takes when the user logs in through the service, each with the line of the
configuration it comes from. It is the module's own planner, so the two cannot differ. Needs no root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return showPlan(cmd, f) },
	}
	cmd.Flags().StringVar(&f.user, "user", "", "the `USER` who logs in")
	cmd.Flags().StringVar(&f.service, "service", "login", "the PAM `SERVICE`, a file name in /etc/pam.d")
	cmd.Flags().BoolVar(&f.options.GenHash, "gen-hash", false, "as with gen_hash on the PAM line")
	cmd.Flags().BoolVar(&f.options.IgnoreParentMode, "ignore-instance-parent-mode", false, "as with ignore_instance_parent_mode on the PAM line")
	configFlag(cmd, &f.config)
	cobra.CheckErr(cmd.MarkFlagRequired("user"))
	return cmd
}

func showPlan(cmd *cobra.Command, f planFlags) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	req, names, err := planRequest(f)
	if err != nil {
		return err
	}
	cfg, err := module.LoadConfig(safepath.Files{Root: root, Strict: true}, f.config)
	if err != nil {
		return err
	}
	facts, err := polyinst.Gather(cfg, req, names)
	if err != nil {
		return err
	}
	plan, err := polyinst.Build(cfg, req, facts)
	if err != nil {
		return err
	}
	for _, w := range plan.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "gons: warning: %s\n", w)
	}
	fmt.Fprint(cmd.OutOrStdout(), plan)
	return nil
}

// planRequest makes the request that PAM would make, from the name service.
func planRequest(f planFlags) (polyinst.Request, localNames, error) {
	u, err := user.Lookup(f.user)
	if err != nil {
		return polyinst.Request{}, localNames{}, err
	}
	uid, gid, err := ids(u)
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
		User: f.user, Service: f.service, UID: uid, GID: gid, Home: u.HomeDir, Umask: uint32(umask), Options: f.options,
	}, localNames{groups}, nil
}

func ids(u *user.User) (uid, gid uint32, err error) {
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	g, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(n), uint32(g), err
}

// localNames is polyinst.NameService from this process's own name service.
type localNames struct{ groups []string }

// LookupUser implements polyinst.NameService.
func (localNames) LookupUser(name string) (polyinst.Account, bool, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return polyinst.Account{}, false, nil
	}
	if err != nil {
		return polyinst.Account{}, false, err
	}
	uid, gid, err := ids(u)
	return polyinst.Account{UID: uid, GID: gid}, err == nil, err
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
