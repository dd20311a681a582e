package module

import (
	"time"

	"gons/internal/polyinst"
	"gons/internal/safepath"
	"gons/internal/selinux"
	"gons/internal/session"
)

// Apply executes a plan in the namespace that the calling thread is in and whose root is root, each thing on record before
// it is made. The calling thread must be locked.
func Apply(plan *polyinst.Plan, root *safepath.Root, record *session.Record, store *session.Store, locker polyinst.Locker, deadline time.Time) (*polyinst.Applied, error) {
	policy, err := selinux.Open(root)
	if err != nil {
		return nil, err
	}
	defer policy.Close()
	env := polyinst.Env{Root: root, SessionID: record.ID, Locker: locker, Deadline: deadline, Intend: store.Intend(record)}
	if policy != nil { // an interface that holds nil would be one
		env.Labels = policy
	}
	return polyinst.Apply(plan, env)
}
