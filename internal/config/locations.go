package config

import "path"

// Locations are where a host's configuration lies.
type Locations struct {
	// Main is gons.yaml and DropIns the directory of the *.yaml that follow it.
	Main, DropIns string
	// Legacy is namespace.conf and LegacyDropIns the directory of the *.conf that follow it.
	Legacy, LegacyDropIns string
	// LegacyInit is the script that pam_namespace runs for each instance.
	LegacyInit string
	// Vendor is where a distribution keeps the files that the host's may hide: namespace.conf, namespace.d and
	// namespace.init; "" where there is no such place.
	Vendor string
}

// ScriptDir is what a relative iscript= of namespace.conf is below, in a vendor's files too.
const ScriptDir = "/etc/security/namespace.d"

// The vendor's files, by their names below Locations.Vendor (linux-pam's --enable-vendordir).
const (
	legacyName        = "namespace.conf"
	legacyDropInsName = "namespace.d"
	legacyInitName    = "namespace.init"
)

// vendorDir is set by the Makefile.
var vendorDir = "/usr/share/pam/security"

// Default is where an installed gons looks.
var Default = Locations{
	Main:          "/etc/security/gons.yaml",
	DropIns:       "/etc/security/gons.d",
	Legacy:        "/etc/security/namespace.conf",
	LegacyDropIns: ScriptDir,
	LegacyInit:    "/etc/security/namespace.init",
	Vendor:        vendorDir,
}

// StandardInit returns where the script for InitStandard may be: the first that exists is the one.
func (at Locations) StandardInit() []string {
	if at.Vendor == "" {
		return []string{at.LegacyInit}
	}
	return []string{at.LegacyInit, path.Join(at.Vendor, legacyInitName)}
}
