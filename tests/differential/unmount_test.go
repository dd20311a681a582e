package differential_test

const remnant, only = "unmnt_remnt", "unmnt_only"

// Sessions in sessions, as of su(1): the options that take the requesting user's directories away first.
var unmounts = []scenario{
	{name: "no option", conf: plain, within: "bob", ruser: "bob"},
	{name: "no option, tmpfs", conf: "/d/t x tmpfs\n", within: "bob", ruser: "bob"},
	{name: "no option, to an exempt user", conf: "/d/t /d/inst/ user alice\n", within: "bob", ruser: "bob", nothing: true},
	{name: "no option, from an exempt user", conf: "/d/t /d/inst/ user bob\n", within: "bob", ruser: "bob"},
	{name: "no option, to the same user", conf: plain, within: "alice", ruser: "alice", nothing: true},
	{name: "no option, in the covered directory", conf: plain + "$HOME /d/inst/home- user\n", within: "bob", ruser: "bob"},

	{name: "remnant", conf: plain, options: remnant, within: "bob", ruser: "bob"},
	{name: "remnant, by real user id", conf: plain, options: remnant, within: "bob", ruid: 2002},
	{name: "remnant, PAM_RUSER before the real user id", conf: plain, options: remnant, within: "bob", ruser: "bob", ruid: 2001},
	{name: "remnant, to the same user", conf: plain, options: remnant, within: "alice", ruser: "alice", nothing: true},
	{name: "remnant, to an exempt user", conf: "/d/t /d/inst/ user alice\n", options: remnant, within: "bob", ruser: "bob"},
	{name: "remnant, to root, exempt", conf: "/d/t /d/inst/ user root\n", options: remnant, within: "bob", ruser: "bob", user: "root"},
	{name: "remnant, from an exempt user", conf: "/d/t /d/inst/ user bob\n", options: remnant, within: "bob", ruser: "bob"},
	{name: "remnant, both exempt", conf: "/d/t /d/inst/ user bob,alice\n", options: remnant, within: "bob", ruser: "bob", nothing: true},
	{name: "remnant, two lines", conf: plain + "/tmp x tmpfs\n", options: remnant, within: "bob", ruser: "bob"},
	{name: "remnant, one line twice", conf: plain + "/d/t /d/inst/2- user\n", options: remnant, within: "bob", ruser: "bob",
		differs: rows{mounting: "unmount-all", spreading: "unmount-all"}},
	{name: "remnant, a line for one of the two", conf: "/d/t /d/inst/ user alice\n/tmp x tmpfs bob\n", options: remnant, within: "bob", ruser: "bob"},
	{name: "remnant, tmpdir", conf: "/d/t /d/inst/tmp. tmpdir\n", options: remnant, within: "bob", ruser: "bob", nothing: true, differs: keptTmpdir},
	{name: "remnant, homes", conf: "$HOME /d/inst/ user\n", options: remnant, within: "bob", ruser: "bob", look: []string{"/home/alice", "/home/bob"}},
	{name: "remnant, $USER", conf: "/d/$USER /d/inst/ user:create\n", options: remnant, within: "bob", ruser: "bob", look: []string{"/d/alice", "/d/bob"}},
	{name: "remnant, of nobody", conf: plain, options: remnant},
	{name: "remnant, of nobody, by another user", conf: plain, options: remnant, ruser: "bob"},
	{name: "remnant, of nobody, a mount of the host's", conf: plain, options: remnant, ruser: "bob", setup: realMount,
		differs: rows{mounting: "unmount-own", spreading: "unmount-own"}},
	{name: "remnant, of nobody, a mount of the host's, to an exempt user", conf: "/d/t /d/inst/ user alice\n", options: remnant, ruser: "bob",
		setup: realMount, differs: covering("unmount-own")},
	{name: "remnant, the working directory in the covered one", conf: plain, options: remnant, within: "bob", ruser: "bob", cwd: "/d/t",
		differs: rows{place: "working-directory"}},
	{name: "remnant, a mount of the user's on the instance", conf: plain, options: remnant, within: "bob", ruser: "bob",
		setup: "mkdir -m 1777 /d/inst/bob"},
	{name: "remnant, a missing directory", conf: "/d/nosuch /d/inst/ user\n", options: remnant, ruser: "bob", fails: sessionErr, differs: halfMade},

	{name: "remnant, of pam_namespace's", conf: plain, options: remnant, within: "bob", ruser: "bob", upgrade: true},
	{name: "remnant, of pam_namespace's, to an exempt user", conf: "/d/t /d/inst/ user alice\n", options: remnant, within: "bob", ruser: "bob", upgrade: true},
	{name: "remnant, of pam_namespace's, tmpfs", conf: "/d/t x tmpfs\n", options: remnant, within: "bob", ruser: "bob", upgrade: true, nothing: true,
		differs: rows{mounting: "unmount-own", spreading: "unmount-own"}},
	{name: "only, of pam_namespace's", conf: plain, options: only, within: "bob", ruser: "bob", upgrade: true},
	{name: "no option, in one of pam_namespace's", conf: plain, within: "bob", ruser: "bob", upgrade: true},

	{name: "only", conf: plain, options: only, within: "bob", ruser: "bob"},
	{name: "only, by real user id", conf: plain, options: only, within: "bob", ruid: 2002},
	{name: "only, to an exempt user", conf: "/d/t /d/inst/ user alice\n", options: only, within: "bob", ruser: "bob"},
	{name: "only, to root, exempt", conf: "/d/t /d/inst/ user root\n", options: only, within: "bob", ruser: "bob", user: "root"},
	{name: "only, from an exempt user", conf: "/d/t /d/inst/ user bob\n", options: only, within: "bob", ruser: "bob",
		differs: covering("unmount-only")},
	{name: "only, from root, exempt", conf: "/d/t /d/inst/ user root\n", options: only, differs: covering("unmount-only")},
	{name: "only, both exempt", conf: "/d/t /d/inst/ user bob,alice\n", options: only, within: "bob", ruser: "bob", nothing: true},
	{name: "only, two lines", conf: plain + "/tmp x tmpfs\n", options: only, within: "bob", ruser: "bob"},
	{name: "only, of nobody", conf: plain, options: only, ruser: "bob", nothing: true, differs: rows{place: "no-namespace"}},
	{name: "only, of nobody, a mount of the host's", conf: plain, options: only, ruser: "bob", setup: realMount,
		differs: covering("unmount-own")},
	{name: "remnant and only", conf: plain, options: remnant + " " + only, within: "bob", ruser: "bob"},
	{name: "only and remnant", conf: plain, options: only + " " + remnant, within: "bob", ruser: "bob"},
	{name: "only, scripts", conf: plain, options: only, within: "bob", ruser: "bob", files: script(naming)},
	{name: "remnant, scripts", conf: plain, options: remnant, within: "bob", ruser: "bob", files: script(naming)},
	{name: "remnant, closing", conf: plain, options: remnant + " unmount_on_close", within: "bob", ruser: "bob", differs: rows{ended: "close-uncovers"}},
}

// A file system of the host's at /d/t.
const realMount = "mount -t tmpfs -o mode=1777 real /d/t; echo x >/d/t/real"
