package linux

import "golang.org/x/sys/unix"

// Capabilities returns the calling thread's effective and permitted capabilities; capability n is bit n (capget(2)).
func Capabilities() (effective, permitted uint64, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err = call("capget", func() error { return unix.Capget(&header, &data[0]) })
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32, uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, err
}

// CapSysAdmin is the capability to mount and to make namespaces (capabilities(7)).
const CapSysAdmin = unix.CAP_SYS_ADMIN

// EffectiveGID returns the effective group id.
func EffectiveGID() int { return unix.Getegid() }

// EffectiveUID returns the effective user id.
func EffectiveUID() int { return unix.Geteuid() }

// UID returns the real user id.
func UID() int { return unix.Getuid() }
