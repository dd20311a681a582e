package differential_test

// Scripts, each of which writes to /d/log.
const (
	// tells what it is called with, and where
	telling = `#!/bin/sh
{
  echo "<$1> <$2> <$3> <$4>" # newer versions add two
  echo "environment: <$(tr '\0' ' ' </proc/$$/environ)> umask: $(umask) in $(pwd), $(id)"
  stat -c '%n %A %u' "$1"
  ls -A "$1"
} >>/d/log/told 2>&1
`
	// tells what it has inherited
	inheriting = "#!/bin/sh\ngrep -E '^(Sig(Blk|Ign)|Cap|NoNewPrivs|Seccomp:)' /proc/self/status >/d/log/told\n"
	// tells what it has of the host's
	surrounded = `#!/bin/sh
{
  for f in 0 2; do readlink /proc/$$/fd/$f | sed 's/:.*//'; done
  ulimit -a
} >/d/log/told
`
	filling = "#!/bin/sh\numask 027; echo \"for $4\" >\"$1/welcome\"; chown \"$4\" \"$1/welcome\"\n"
	naming  = "#!/bin/sh\necho \"$0 $1\" >>/d/log/told\n"
)

func script(text string) map[string]string { return map[string]string{"namespace.init": text} }

// The scripts that prepare an instance.
var scripts = []scenario{
	{name: "a new instance", conf: plain, files: script(telling)},
	{name: "an instance that is there", conf: plain, files: script(telling), setup: "mkdir -m 1777 /d/inst/alice; touch /d/inst/alice/file"},
	{name: "tmpfs", conf: "/d/t x tmpfs\n", files: script(telling)},
	{name: "tmpdir", conf: "/d/t /d/inst/tmp. tmpdir\n", files: script("#!/bin/sh\necho \"$1 ${2%??????} $3 $4\" >/d/log/told\n"), differs: keptTmpdir},
	{name: "a directory that is made", conf: "/d/new /d/inst/ user:create=0755\n", files: script(telling), look: made},
	{name: "for each line", conf: plain + "/tmp x tmpfs\n", files: script(telling)},
	{name: "for each line of one directory", conf: plain + "/d/t /d/inst/2- user\n", files: script(telling)},
	{name: "after the lines before, before those after", conf: plain + "/tmp /d/inst/tmp- user\n",
		files: script("#!/bin/sh\necho \"$1: $(ls -A /d/t) $(ls -A /tmp)\" >>/d/log/told; touch \"$1/$3\"\n"), setup: "touch /tmp/host"},
	{name: "none for exempt users", conf: "/d/t /d/inst/ user alice\n", files: script(telling), nothing: true},
	{name: "as another name of the user's", conf: plain, user: "twin", files: script(telling)},
	{name: "a prefix of names", conf: "/d/t /d/inst/pre. user\n", files: script(telling)},
	{name: "a hashed name", conf: plain, options: "gen_hash", files: script(telling)},
	{name: "a path with spaces", conf: "\"/d/a b\" \"/d/inst/x y\" user:create\n", files: script(telling), look: []string{"/d/a b"}},
	{name: "a slash at the end", conf: "/d/t/ /d/inst/ user\n", files: script(telling)},
	{name: "root's link", conf: "/d/link /d/inst/ user\n", setup: "ln -s t /d/link", files: script(telling)},
	{name: "in an unsafe directory", conf: "/home/alice/sub /home/alice/inst/ user:create\n", files: script(telling), look: []string{"/home/alice/sub"},
		differs: uncovered},
	{name: "umask", conf: plain, files: script(telling), umask: 0o077},
	{name: "working directory", conf: plain, files: script(telling), cwd: "/var", differs: rows{logged: "script-directory"}},
	{name: "working directory that is covered", conf: plain, files: script(telling), cwd: "/d/t",
		differs: rows{place: "working-directory", logged: "script-directory"}},
	{name: "real user id", conf: plain, files: script(telling), ruid: 2002},
	{name: "what it inherits", conf: plain, files: script(inheriting)},
	{name: "what surrounds it", conf: plain, files: script(surrounded), differs: rows{logged: "script-surroundings"}},
	{name: "what it prints", conf: plain, files: script("#!/bin/sh\necho out\necho err >&2\n"), differs: rows{commands: "script-output"}},
	{name: "what it makes", conf: plain, files: script(filling)},
	{name: "what it makes in tmpfs", conf: "/d/t x tmpfs:mntopts=mode=0700\n", files: script(filling)},
	{name: "what it mounts", conf: plain, files: script("#!/bin/sh\nmkdir \"$1/m\"; mount -t tmpfs made \"$1/m\"\n")},
	{name: "a mode it changes", conf: plain, files: script("#!/bin/sh\nchmod 0700 \"$1\"; chown \"$4\" \"$1\"\n")},
	{name: "noinit", conf: "/d/t /d/inst/ user:noinit\n", files: script(naming)},
	{name: "noinit for one line", conf: "/d/t /d/inst/ user:noinit\n/tmp x tmpfs\n", files: script(naming)},
	{name: "a script of the line's", conf: "/d/t /d/inst/ user:iscript=/d/own\n", files: script(naming),
		setup: "cp /etc/security/namespace.init /d/own"},
	{name: "a script of the line's below namespace.d", conf: "/d/t /d/inst/ user:iscript=own\n",
		files: map[string]string{"namespace.init": naming, "namespace.d/own": naming}},
	{name: "a script of the line's deeper below namespace.d", conf: "/d/t /d/inst/ user:iscript=a/own.sh\n",
		files: map[string]string{"namespace.d/a/own.sh": naming}},
	{name: "a script of the line's by way of dots", conf: "/d/t /d/inst/ user:iscript=../own\n",
		files: map[string]string{"own": "#!/bin/sh\necho own >/d/log/told\n", "namespace.d/other": naming}},
	{name: "a script of the line's and noinit", conf: "/d/t /d/inst/ user:iscript=own:noinit\n",
		files: map[string]string{"namespace.init": naming, "namespace.d/own": naming}},
	{name: "noinit and a script of the line's", conf: "/d/t /d/inst/ user:noinit:iscript=own\n",
		files: map[string]string{"namespace.init": naming, "namespace.d/own": naming}},
	{name: "two scripts of the line's", conf: "/d/t /d/inst/ user:iscript=one:iscript=own\n",
		files: map[string]string{"namespace.d/one": naming, "namespace.d/own": naming}},
	{name: "iscript without a value", conf: "/d/t /d/inst/ user:iscript\n", files: script(naming)},
	{name: "iscript with an empty value", conf: "/d/t /d/inst/ user:iscript=\n", files: script(naming)},
	{name: "a script of the line's for others", conf: "/d/t /d/inst/ user:iscript=nosuch alice\n", nothing: true},
	{name: "a missing script of the line's", conf: "/d/t /d/inst/ user:iscript=nosuch\n", files: script(naming),
		differs: rows{opening: "script-missing"}},
	{name: "a missing script of the line's, absolute", conf: "/d/t /d/inst/ user:iscript=/d/nosuch\n", differs: rows{opening: "script-missing"}},
	{name: "a script that can't be run", conf: plain, files: script(naming), setup: "chmod 644 /etc/security/namespace.init",
		fails: sessionErr, differs: halfMounted},
	{name: "a script of the line's that can't be run", conf: "/d/t /d/inst/ user:iscript=own\n", files: map[string]string{"namespace.d/own": naming},
		setup: "chmod 644 /etc/security/namespace.d/own", fails: sessionErr, differs: halfMounted},
	{name: "a script that is a link", conf: plain, setup: "printf '#!/bin/sh\necho linked >/d/log/told' >/d/own; chmod 755 /d/own; ln -s /d/own /etc/security/namespace.init"},
	{name: "a dangling link", conf: plain, setup: "ln -s nosuch /etc/security/namespace.init", differs: rows{opening: "unreadable-configuration"}},
	{name: "status 1", conf: plain, files: script("#!/bin/sh\nexit 1\n"), differs: rows{opening: "script-status"}},
	{name: "status 1, ignored", conf: "/d/t /d/inst/ user:ignore_init_error\n", files: script("#!/bin/sh\necho told >/d/log/told; exit 1\n")},
	{name: "status 1 for another line", conf: plain + "/tmp x tmpfs\n", files: script("#!/bin/sh\n[ $1 = /d/t ]\n"),
		differs: rows{opening: "script-status"}},
	{name: "a script of an unknown interpreter", conf: plain, files: script("#!/nosuch\n"), differs: rows{opening: "script-status"}},
	{name: "a script without an interpreter", conf: plain, files: script(naming[len("#!/bin/sh\n"):]), setup: "chmod 755 /etc/security/namespace.init",
		differs: rows{opening: "script-status"}},
	{name: "a script that is a directory", conf: plain, setup: "mkdir /etc/security/namespace.init", differs: rows{opening: "script-status"}},
	{name: "a script that is killed", conf: plain, files: script("#!/bin/sh\nkill -9 $$\n"), fails: sessionErr,
		differs: halfMounted},
	{name: "a script that leaves a process", conf: plain, files: script("#!/bin/sh\n(sleep 0.01; echo later >/d/log/told) >/dev/null 2>&1 &\n"),
		run: "for i in 1 2 3 4 5 6 7 8 9; do grep -qs later /d/log/told && break; sleep 0.02; done"},
	{name: "a program", conf: plain, setup: "cp /bin/true /etc/security/namespace.init"},
	{name: "a script that others can write", conf: plain, files: script(naming), setup: "chmod 777 /etc/security/namespace.init",
		differs: rows{opening: "trusted-configuration"}},
	{name: "a script of a user's", conf: plain, files: script(naming), setup: "chown alice /etc/security/namespace.init",
		differs: rows{opening: "trusted-configuration"}},

	{name: "the stock script", conf: plain, files: script(stock)},
	{name: "the stock script, an instance that is there", conf: plain, files: script(stock), setup: "mkdir -m 1777 /d/inst/alice"},
	{name: "the stock script, tmpfs", conf: "/d/t x tmpfs\n", files: script(stock)},
	{name: "the stock script, a home", conf: "$HOME /d/inst/ user\n", files: script(stock), look: home},
	{name: "the stock script, a home, two lines", conf: "$HOME /d/inst/ user\n" + plain, files: script(stock), look: home},
	{name: "the stock script, a home that is there", conf: "$HOME /d/inst/ user\n", files: script(stock), look: home,
		setup: "mkdir -m 0700 /d/inst/alice; chown alice:alice /d/inst/alice; echo old >/d/inst/alice/.bashrc"},
	{name: "the stock script, a home on tmpfs", conf: "$HOME x tmpfs\n", files: script(stock), look: home},
	{name: "the stock script, a home with a slash at its end", conf: "$HOME /d/inst/ user\n", user: "slashed", files: script(stock),
		look: []string{"/home/bob"}},
	{name: "the stock script, a home, umask 077", conf: "$HOME /d/inst/ user\n", umask: 0o077, files: script(stock), look: home},
	{name: "the stock script, a home, another umask for homes", conf: "$HOME /d/inst/ user\n", files: script(stock), look: home,
		setup: "cp /etc/login.defs /run/login.defs; echo 'UMASK 027' >/run/login.defs; mount --bind /run/login.defs /etc/login.defs"},
	{name: "the stock script, a home, no umask for homes", conf: "$HOME /d/inst/ user\n", old: true, files: script(stock), look: home,
		setup: ": >/run/login.defs; mount --bind /run/login.defs /etc/login.defs", differs: rows{commands: "script-output"}},
	{name: "the stock script, a home and a skeleton of all kinds", conf: "$HOME /d/inst/ user\n", files: script(stock), look: home,
		setup: `mount -t tmpfs skel /etc/skel; cd /etc/skel; mkdir -p a/b; chmod 2751 a; echo x >a/file; chmod 4755 a/file; ln -s a/file link
			ln -s /etc/passwd out; mkfifo pipe; ln a/file a/hard; touch -d @0 a/old; echo x >"a/a space"`},
	{name: "the stock script, a home and a device in the skeleton", conf: "$HOME /d/inst/ user\n", files: script(stock),
		setup: "mount -t tmpfs skel /etc/skel; mknod /etc/skel/null c 1 3", differs: rows{opening: "skeleton-device"}},
	{name: "the stock script, a home and a skeleton that others can write", conf: "$HOME /d/inst/ user\n", files: script(stock),
		setup: "mount -t tmpfs -o mode=0777 skel /etc/skel", differs: rows{opening: "trusted-configuration"}},
	{name: "the stock script, a home and no skeleton", conf: "$HOME /d/inst/ user\n", files: script(stock), look: home,
		setup: "mount -t tmpfs -o mode=0000 skel /etc/skel"},
	{name: "the stock script, changed", conf: plain, files: script(stock + "\n"), setup: "sed -i '2i echo changed >/d/log/told' /etc/security/namespace.init"},
	{name: "the stock script as the line's", conf: "$HOME /d/inst/ user:iscript=own\n", files: map[string]string{"namespace.d/own": stock}, look: home},
	{name: "the stock script, not to be run", conf: plain, files: script(stock), setup: "chmod 644 /etc/security/namespace.init",
		fails: sessionErr, differs: halfMounted},
}

var home = []string{"/home/alice"}

// stock stands for the distribution's own namespace.init.
const stock = "#!stock"
