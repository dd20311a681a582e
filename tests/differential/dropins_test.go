package differential_test

func dropIn(names ...string) map[string]string {
	files := map[string]string{}
	for i, name := range names {
		files["namespace.d/"+name] = "/d/t /d/inst/" + string(rune('a'+i)) + "- user\n"
	}
	return files
}

// Files in namespace.d, which add lines.
var dropIns = []scenario{
	{name: "one", files: dropIn("a.conf")},
	{name: "after namespace.conf", conf: plain, files: dropIn("a.conf")},
	{name: "in order of names", files: dropIn("2.conf", "10.conf", "1.conf")},
	{name: "in C's order", files: dropIn("b.conf", "B.conf", "a.conf", "_.conf", "é.conf")},
	{name: "a name that is a beginning of another", files: dropIn("a.conf", "a-b.conf", "a.b.conf", "a b.conf")},
	{name: "names that don't count", files: dropIn("a", "a.conf~", "a.CONF", "a.conf.dpkg-old", ".a.conf", ".conf"), nothing: true},
	{name: "no namespace.conf", files: dropIn("a.conf"), setup: "rm /etc/security/namespace.conf", fails: sessionErr},
	{name: "a bad line", conf: plain, files: map[string]string{"namespace.d/a.conf": "/tmp /d/inst/\n"}, fails: sessionErr},
	{name: "a bad line in a file that doesn't count", conf: plain, files: map[string]string{"namespace.d/a": "bad\n"}},
	{name: "an empty file", conf: plain, files: map[string]string{"namespace.d/a.conf": ""}},
	{name: "no line end before the next", conf: "/d/t /d/inst/ user", files: map[string]string{"namespace.d/a.conf": "/tmp x tmpfs"}},
	{name: "an open quote before the next", conf: "/d/t /d/inst/ \"user", files: dropIn("a.conf")},
	{name: "an empty directory", conf: plain, setup: "mkdir /etc/security/namespace.d"},
	{name: "a file for a directory", conf: plain, setup: "touch /etc/security/namespace.d", differs: rows{opening: "unreadable-configuration"}},
	{name: "a link to a file", conf: plain, files: dropIn("real"), setup: "ln -s real /etc/security/namespace.d/a.conf"},
	{name: "a link to the directory", conf: plain, files: dropIn("a.conf"), setup: "cd /etc/security; mv namespace.d real; ln -s real namespace.d"},
	{name: "a dangling link", conf: plain, setup: "mkdir /etc/security/namespace.d; ln -s nosuch /etc/security/namespace.d/a.conf", fails: sessionErr},
	{name: "a directory of a file's name", conf: plain, setup: "mkdir -p /etc/security/namespace.d/a.conf",
		differs: rows{opening: "unreadable-configuration"}},
	{name: "a directory below", conf: plain, files: map[string]string{"namespace.d/sub/a.conf": "bad\n"}},
	{name: "a file that others can write", conf: plain, files: dropIn("a.conf"), setup: "chmod 666 /etc/security/namespace.d/a.conf",
		differs: rows{opening: "trusted-configuration"}},
	{name: "a directory that others can write", conf: plain, files: dropIn("a.conf"), setup: "chmod 777 /etc/security/namespace.d",
		differs: rows{opening: "trusted-configuration"}},
}
