package differential_test

// What a failed open leaves.
var failures = []scenario{
	{name: "of the first line", conf: "/d/nosuch /d/inst/ user\n" + plain, fails: sessionErr, differs: halfMade},
	{name: "of the second line", conf: plain + "/d/nosuch /d/inst/ user\n", fails: sessionErr, differs: halfMounted},
	{name: "of the second line, an instance that was there", conf: plain + "/d/nosuch /d/inst/ user\n", setup: "mkdir -m 1777 /d/inst/alice",
		fails: sessionErr, differs: rows{place: "failure", mounting: "failure", spreading: "failure", seeing: "failure"}},
	{name: "of the second line, tmpfs before", conf: "/d/t x tmpfs\n/d/nosuch /d/inst/ user\n", fails: sessionErr,
		differs: rows{place: "failure", mounting: "failure", spreading: "failure", seeing: "failure"}},
	{name: "of the second line, tmpdir before", conf: "/d/t /d/inst/tmp. tmpdir\n/d/nosuch /d/inst/ user\n", fails: sessionErr,
		differs: rows{place: "failure", mounting: "failure", spreading: "failure", seeing: "failure"}},
	{name: "of the second line, a directory made before", conf: "/d/new /d/inst/ user:create\n/d/nosuch /d/inst/ user\n", fails: sessionErr,
		differs: halfMounted, look: made},
	{name: "of the second line, an instance parent made before", conf: "/d/t /d/new/ user\n/d/nosuch /d/inst/ user\n", fails: sessionErr,
		differs: halfMounted},
	{name: "of the instance parent of the second line", conf: plain + "/tmp /d/nosuch/inst/ user\n", fails: sessionErr, differs: halfMounted},
	{name: "of the file system of the second line", conf: plain + "/tmp x tmpfs:mntopts=frob\n", fails: sessionErr, differs: halfMounted},
	{name: "of the second line, the working directory covered before", conf: plain + "/d/nosuch /d/inst/ user\n", cwd: "/d/t", fails: sessionErr,
		differs: halfMounted},
	{name: "of the configuration", conf: plain + "bad line\n", fails: sessionErr},
	{name: "of the configuration, exempt", conf: "/d/t /d/inst/ user alice\n/tmp /d/inst/\n", fails: sessionErr},
	{name: "in a forked child", conf: plain + "/d/nosuch /d/inst/ user\n", flags: "--fork-open", fails: sessionErr, differs: halfMounted},
	{name: "of a full file system", conf: plain, setup: "mount -o remount,size=4k,nr_inodes=9 /d; touch /d/1 /d/2 /d/3 /d/4 2>/dev/null || true",
		fails: sessionErr, differs: halfMade},
}
