package differential_test

// A file of users that the disk has for itself, and how alice gets out of it.
const (
	ownPasswd = "cp /etc/passwd /run/passwd; mount --bind /run/passwd /etc/passwd"
	loseAlice = "grep -v ^alice: /run/passwd >/run/others; cat /run/others >/run/passwd"
)

// What a close does.
var closes = []scenario{
	{name: "user", conf: plain},
	{name: "user, unmount_on_close", conf: plain, options: "unmount_on_close", differs: rows{ended: "close-uncovers"}},
	{name: "tmpfs, unmount_on_close", conf: "/d/t x tmpfs\n", options: "unmount_on_close", differs: rows{ended: "close-uncovers"}},
	{name: "two lines, unmount_on_close", conf: plain + "/tmp x tmpfs\n", options: "unmount_on_close", differs: rows{ended: "close-uncovers"}},
	{name: "nobody, unmount_on_close", conf: "/d/t /d/inst/ user alice\n", options: "unmount_on_close", nothing: true},
	{name: "tmpdir", conf: "/d/t /d/inst/tmp. tmpdir\n", differs: keptTmpdir},
	{name: "tmpdir, unmount_on_close", conf: "/d/t /d/inst/tmp. tmpdir\n", options: "unmount_on_close", differs: rows{ended: "close-uncovers"}},
	{name: "tmpdir of files of all kinds, unmount_on_close", conf: "/d/t /d/inst/tmp. tmpdir\n", options: "unmount_on_close",
		run: `cd /d/t; mkdir -p a/b/c; ln -s /d/inst a/link; mkfifo a/fifo; : >"-rf"; mkdir -m 0 locked; : >a/b/c/file`, differs: rows{ended: "close-uncovers"}},
	{name: "two tmpdirs", conf: "/d/t /d/inst/tmp. tmpdir\n/tmp /d/inst/tmp. tmpdir\n", differs: keptTmpdir},
	{name: "tmpdir beside user", conf: plain + "/tmp /d/inst/tmp. tmpdir\n", options: "unmount_on_close", differs: rows{ended: "close-uncovers"}},
	{name: "in the home", conf: "$HOME/t /d/inst/ user:create\n", look: []string{"/home/alice/t"}, differs: uncovered},
	{name: "in the home, tmpfs", conf: "$HOME/t x tmpfs:create\n", look: []string{"/home/alice/t"}, differs: uncovered},
	{name: "in the home, unmount_on_close", conf: "$HOME/t /d/inst/ user:create\n", options: "unmount_on_close", look: []string{"/home/alice/t"},
		differs: uncovered},
	{name: "the configuration gone", conf: plain, after: "rm /etc/security/namespace.conf"},
	{name: "the configuration changed, unmount_on_close", conf: plain, options: "unmount_on_close", after: "echo bad >/etc/security/namespace.conf",
		differs: rows{ended: "close-uncovers"}},
	{name: "the user gone", conf: plain, setup: ownPasswd, after: loseAlice},
	{name: "the user gone, unmount_on_close", conf: plain, options: "unmount_on_close", setup: ownPasswd, after: loseAlice,
		differs: rows{closing: "close-status"}},
	{name: "the instance parent gone", conf: "/d/t /d/inst/tmp. tmpdir\n", options: "unmount_on_close", after: "mv /d/inst /d/moved",
		differs: rows{closing: "close-status", ended: "close-uncovers"}},
	{name: "the directory removed from outside", conf: "$HOME/t /d/inst/ user:create\n", look: []string{"/home/alice/t"},
		after: "rmdir /home/alice/t", differs: rows{binding: "self-binds"}},
	{name: "in a forked child", conf: plain, flags: "--fork-close"},
	{name: "in a forked child of the user's", conf: plain, flags: "--fork-close --drop"},
	{name: "in a forked child of the user's, tmpdir", conf: "/d/t /d/inst/tmp. tmpdir\n", flags: "--fork-close --drop"},
	{name: "in a forked child of the user's, unmount_on_close", conf: plain, options: "unmount_on_close", flags: "--fork-close --drop"},
	{name: "in a forked child of the user's, in the home", conf: "$HOME/t /d/inst/ user:create\n", look: []string{"/home/alice/t"},
		flags: "--fork-close --drop", differs: rows{binding: "self-binds"}},
	{name: "the end of a forked child", conf: plain, flags: "--fork-end"},
	{name: "the end of a forked child, in the home", conf: "$HOME/t /d/inst/ user:create\n", look: []string{"/home/alice/t"}, flags: "--fork-end", nothing: true,
		differs: rows{mounting: "close-uncovers", binding: "self-binds", spreading: "close-uncovers", disk: "close-uncovers"}},
	{name: "no close", conf: plain, flags: "--no-close"},
	{name: "no close, in the home", conf: "$HOME/t /d/inst/ user:create\n", look: []string{"/home/alice/t"}, flags: "--no-close",
		differs: rows{binding: "self-binds"}},
	{name: "silently", conf: plain, flags: "--silent"},
	{name: "gen_hash", conf: plain, options: "gen_hash"},
	{name: "an unknown option", conf: plain, options: "frob"},
	{name: "debug", conf: plain, options: "debug"},
}
