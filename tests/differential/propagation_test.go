package differential_test

// mount(8) on the host while the session is open.
const late = "mkdir /d/late /d/t/late; mount -t tmpfs late /d/late; mount -t tmpfs late /d/t/late"

// Where mounts of the session and of the host appear.
var propagation = []scenario{
	{name: "private", conf: plain, after: late},
	{name: "private, mount_private", conf: plain, options: "mount_private", after: late},
	{name: "shared", conf: plain, host: "--make-rshared /", after: late},
	{name: "shared, mount_private", conf: plain, options: "mount_private", host: "--make-rshared /", after: late},
	{name: "shared, tmpfs", conf: "/d/t x tmpfs\n", host: "--make-rshared /", after: late},
	{name: "shared, nobody", conf: "/d/t /d/inst/ user alice\n", host: "--make-rshared /", after: late, nothing: true},
	{name: "shared, a failure", conf: plain + "/d/nosuch /d/inst/ user\n", host: "--make-rshared /", fails: sessionErr, differs: halfMounted},
	{name: "shared, in the home", conf: "$HOME/t /d/inst/ user:create\n", host: "--make-rshared /", look: []string{"/home/alice/t"}, differs: uncovered},
	{name: "slave", conf: plain, host: "--make-rshared /;--make-rslave /", after: late},
	{name: "slave of another", conf: plain, host: "--make-rshared /;--make-slave /d", after: late},
	{name: "unbindable", conf: plain, host: "--make-unbindable /d"},
	{name: "unbindable elsewhere", conf: plain, host: "--make-unbindable /var/tmp", after: late},
	{name: "shared below private", conf: plain, host: "--make-shared /d", after: late,
		differs: rows{hosting: "host-leak", spreading: "host-leak", disk: "host-leak", ended: "host-leak"}},
	{name: "shared below private, mount_private", conf: plain, options: "mount_private", host: "--make-shared /d", after: late},
	{name: "shared below private, tmpfs", conf: "/d/t x tmpfs\n", host: "--make-shared /d",
		differs: rows{hosting: "host-leak", spreading: "host-leak", disk: "host-leak"}},
	{name: "private below shared", conf: plain, host: "--make-rshared /;--make-private /d", after: late},
	{name: "a shared mount below", conf: plain, setup: "mkdir /d/t/sub; mount -t tmpfs sub /d/t/sub", host: "--make-rshared /"},
	{name: "a session in a session", conf: plain, host: "--make-rshared /", within: "bob", ruser: "bob", after: late},
}
