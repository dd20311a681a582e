package differential_test

// Options of the PAM line.
var options = []scenario{
	{name: "debug", conf: plain, options: "debug"},
	{name: "debug, nobody", conf: "/d/t /d/inst/ user alice\n", options: "debug", nothing: true},
	{name: "an unknown option", conf: plain, options: "frobnicate=1"},
	{name: "an option of pam_namespace's past", conf: plain, options: "no_unmount_on_close"},
	{name: "an option in capitals", conf: plain, options: "GEN_HASH"},
	{name: "the beginning of an option", conf: plain, options: "gen_has"},
	{name: "an option with a value", conf: plain, options: "gen_hash=1"},
	{name: "all harmless options", conf: plain, options: "debug mount_private no_unmount_on_close gen_hash ignore_instance_parent_mode"},
	{name: "enable_groups", conf: "/d/t /d/inst/ user @team\n", options: "enable_groups", differs: covering("enable-groups")},
	{name: "enable_groups, no groups", conf: "/d/t /d/inst/ user bob\n", options: "enable_groups"},
	{name: "require_selinux", conf: plain, options: "require_selinux", fails: sessionErr},
	{name: "require_selinux, exempt", conf: "/d/t /d/inst/ user alice\n", options: "require_selinux", fails: sessionErr},
	{name: "require_selinux, no file", options: "require_selinux", setup: "rm /etc/security/namespace.conf", fails: sessionErr},
	{name: "require_selinux, an unknown user", conf: plain, options: "require_selinux", user: "nosuch", fails: sessionErr,
		differs: rows{opening: "which-error"}},
	{name: "use_current_context", conf: plain, options: "use_current_context"},
	{name: "use_default_context", conf: plain, options: "use_default_context"},
	{name: "use_current_context, level", conf: "/d/t /d/inst/ level\n", options: "use_current_context",
		differs: rows{mounting: "null-context", disk: "null-context"}},
	{name: "both contexts, context", conf: "/d/t /d/inst/ context\n", options: "use_default_context use_current_context",
		differs: rows{mounting: "null-context", disk: "null-context"}},
	{name: "mount_private", conf: plain, options: "mount_private"},
	{name: "mount_private, nobody", conf: "/d/t /d/inst/ user alice\n", options: "mount_private", nothing: true},

	ignoring("a line of two words", "/tmp /d/inst/\n"),
	ignoring("an unknown method", "/tmp /d/inst/ users\n"),
	ignoring("a relative directory", "tmp /d/inst/ user\n"),
	ignoring("a relative prefix", "/tmp inst user\n"),
	ignoring("an empty directory", "\"\" /d/inst/ user\n"),
	ignoring("dots", "/d/../tmp /d/inst/ user\n"),
	ignoring("dots in the prefix", "/tmp /d/inst/../inst/ user\n"),
	ignoring("an unknown owner", "/tmp /d/inst/ user:create=0755,nosuch\n"),
	ignoring("an unknown group", "/tmp /d/inst/ user:create=0755,root,nosuch\n"),
	{name: "ignore_config_error, the root directory", conf: plain + "/ /d/inst/ user\n/var/tmp x tmpfs\n", options: "ignore_config_error", old: true},
	{name: "ignore_config_error, no bad line", conf: plain, options: "ignore_config_error"},
	{name: "ignore_config_error, no good line", conf: "/tmp /d/inst/ users\n", options: "ignore_config_error", nothing: true},
	{name: "ignore_config_error, no file", options: "ignore_config_error", setup: "rm /etc/security/namespace.conf", fails: sessionErr},
	{name: "ignore_config_error, drop-ins alone", options: "ignore_config_error", files: dropIn("a.conf"),
		setup: "rm /etc/security/namespace.conf", fails: sessionErr},
	{name: "ignore_config_error, a file that others can write", conf: plain, options: "ignore_config_error",
		setup: "chmod 666 /etc/security/namespace.conf", differs: rows{opening: "trusted-configuration"}},
	{name: "ignore_config_error, a missing directory", conf: "/d/nosuch /d/inst/ user\n", options: "ignore_config_error", fails: sessionErr,
		differs: halfMade},
	{name: "ignore_config_error, a bad line in a drop-in", conf: plain, options: "ignore_config_error",
		files: map[string]string{"namespace.d/a.conf": "/tmp x tmpf\n/var/tmp x tmpfs\n"}},
	{name: "ignore_config_error, a home that isn't a path", conf: "$HOME/sub /d/inst/ user\n" + plain, options: "ignore_config_error", user: "relative"},
}

// ignoring has a bad line between good ones and the option to ignore it.
func ignoring(name, line string) scenario {
	return scenario{name: "ignore_config_error, " + name, conf: plain + line + "/var/tmp x tmpfs\n", options: "ignore_config_error"}
}
