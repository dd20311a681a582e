package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/live"
	"gons/internal/mountinfo"
	"gons/internal/safepath"
	"gons/internal/session"
)

// listBounds limit what list --size looks at in one session.
var listBounds = live.Bounds{Entries: 200_000, Time: 2 * time.Second}

type listFlags struct{ mounts, size, json bool }

func newList() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [SESSION|USER...]",
		Short: "Show open sessions: whose, since when, and what is mounted where",
		Long: `Lists the sessions that pam_gons has opened, or those of the users and with the ids that are named; a beginning of an
id will do. Sessions whose processes are all gone are marked dead: "gons clean" removes what they left. Needs root.`,
		RunE: func(cmd *cobra.Command, args []string) error { return list(cmd, args, f) },
	}
	cmd.Flags().BoolVarP(&f.mounts, "mounts", "m", false, "print each session's whole mount table, as a tree")
	cmd.Flags().BoolVarP(&f.size, "size", "s", false, "find out what each instance takes; stops after 200,000 files or 2 seconds a session")
	jsonFlag(cmd, &f.json)
	cmd.ValidArgsFunction = completeSessions
	return cmd
}

func list(cmd *cobra.Command, wanted []string, f listFlags) error {
	all, failed := sessions()
	shown := all
	if len(wanted) > 0 {
		shown = nil
		for _, what := range wanted {
			found := live.Match(all, what)
			if len(found) == 0 {
				failed = append(failed, noSession(what))
			}
			shown = append(shown, found...)
		}
	}
	listed := []listedSession{}
	for _, s := range shown {
		one, err := describe(s, all, f)
		if err != nil {
			warn(cmd, err.Error())
		}
		listed = append(listed, one)
	}
	if f.json {
		return errors.Join(printJSON(cmd, listed), errors.Join(failed...))
	}
	printSessions(cmd.OutOrStdout(), listed)
	return errors.Join(failed...)
}

// sessions are all that have a record; none where no session was ever opened.
func sessions() ([]live.Session, []error) {
	root, err := safepath.OpenRoot()
	if err != nil {
		return nil, []error{err}
	}
	defer root.Close()
	store, err := session.OpenExisting(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []error{fmt.Errorf("cannot read session records: %w", err)}
	}
	defer store.Close()
	return live.All(store, session.Proc{})
}

// noSessionError says that nothing is what was asked for.
type noSessionError struct{ what string }

// Error names it.
func (e *noSessionError) Error() string {
	return fmt.Sprintf("no session is open of a user %q, and none has an id that begins so", e.what)
}

func noSession(what string) error { return &noSessionError{what} }

// listedSession is a session as list shows it; its JSON is documented in gons(8).
type listedSession struct {
	ID         string           `json:"id"`
	short      string           // as much of it as tells it from others
	User       string           `json:"user"`
	UID        uint32           `json:"uid"`
	Service    string           `json:"service"`
	Terminal   string           `json:"terminal,omitempty"`
	RemoteHost string           `json:"remote_host,omitempty"`
	Since      time.Time        `json:"since"`
	Scope      string           `json:"scope"`
	Outdated   bool             `json:"outdated,omitempty"`
	State      live.State       `json:"state"`
	Leader     *listedProcess   `json:"leader,omitempty"`
	Namespace  uint64           `json:"namespace,omitempty"`
	Instances  []listedInstance `json:"instances"`
	Grafts     []listedGraft    `json:"grafts,omitempty"`
	Mounts     *listedMount     `json:"mounts,omitempty"`
}

type listedProcess struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

type listedInstance struct {
	Path    string     `json:"path"`
	Kind    live.Kind  `json:"kind,omitempty"`
	Shows   string     `json:"shows,omitempty"`
	Options string     `json:"options,omitempty"`
	Hidden  bool       `json:"hidden,omitempty"`
	Size    *live.Size `json:"size,omitempty"`
}

// listedGraft is what gons mount has put into a session.
type listedGraft struct {
	Path   string `json:"path"`
	Source string `json:"source"`
}

type listedMount struct {
	Path        string        `json:"path"`
	FileSystem  string        `json:"file_system"`
	Shows       string        `json:"shows"`
	Options     string        `json:"options"`
	Propagation string        `json:"propagation"`
	Mounts      []listedMount `json:"mounts,omitempty"`
}

// describe looks at one session. What can't be found out is left out, and the error is a warning.
func describe(s live.Session, all []live.Session, f listFlags) (listedSession, error) {
	out := listedSession{
		ID: s.ID, short: live.Short(s.ID, all), User: s.User, UID: s.UID, Service: s.Service, Terminal: s.TTY, RemoteHost: s.RHost,
		Since: s.Opened, Scope: string(scope(s)), State: s.State, Namespace: s.Namespace.Inode, Instances: []listedInstance{},
	}
	out.Outdated = outdated(s)
	for _, g := range s.Grafts {
		out.Grafts = append(out.Grafts, listedGraft{string(g.Target), string(g.Source)})
	}
	if s.Process.PID != 0 {
		out.Leader = &listedProcess{s.Process.PID, s.Command}
	}
	if s.State != live.Open && s.State != live.Kept {
		for _, path := range s.Covered {
			out.Instances = append(out.Instances, listedInstance{Path: string(path)})
		}
		return out, nil
	}
	place, err := live.Find(s, session.Proc{})
	if err != nil {
		return out, err
	}
	defer place.Close()
	return out, out.lookInside(s, place, f)
}

func scope(s live.Session) config.Scope {
	if s.Shared != nil {
		return config.ScopeUser
	}
	return config.ScopeSession
}

// outdated reports whether a namespace that sessions share was made by another configuration than a new one would be.
func outdated(s live.Session) bool {
	if s.Shared == nil {
		return false
	}
	root, err := safepath.OpenRoot()
	if err != nil {
		return false
	}
	defer root.Close()
	plan, err := planOf(root, s, planFlags{})
	return err == nil && plan.Fingerprint != s.Shared.Fingerprint
}

func (out *listedSession) lookInside(s live.Session, place *live.Place, f listFlags) error {
	table, err := place.Mounts()
	if err != nil {
		return err
	}
	instances := live.Instances(s.Record, table)
	sizes := make([]*live.Size, len(instances))
	if f.size {
		sizes, err = live.Measure(place, instances, listBounds)
	}
	for i, in := range instances {
		one := listedInstance{in.Path, in.Kind, in.Shows, in.Options, in.Hidden, nil}
		if i < len(sizes) {
			one.Size = sizes[i]
		}
		out.Instances = append(out.Instances, one)
	}
	if tree, ok := table.Tree(); ok && f.mounts {
		mounts := listMount(tree)
		out.Mounts = &mounts
	}
	if err != nil {
		return fmt.Errorf("cannot measure session %s: %w", s.ID, err)
	}
	return nil
}

func listMount(n mountinfo.Node) listedMount {
	out := listedMount{Path: n.Point, FileSystem: n.FileSystem, Shows: n.Shows(), Options: n.Options, Propagation: n.Propagation()}
	for _, c := range n.Mounts {
		out.Mounts = append(out.Mounts, listMount(c))
	}
	return out
}
