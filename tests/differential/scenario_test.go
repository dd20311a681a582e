package differential_test

// A scenario is a session that both modules open and close. Its disk has, besides alice's and bob's homes,
//
//	/d/t     a directory like /tmp, root's with mode 1777, that holds the file "host"
//	/d/inst  an instance parent, root's with mode 0
//	/d/log   for scripts to write to
//
// Names of tmpdir instances are recognised below /d/rnd, and where they begin with "tmp.".
type scenario struct {
	name    string
	conf    string            // namespace.conf
	files   map[string]string // more files below /etc/security; one that begins with "#!" can be run
	options string            // on the PAM line
	user    string            // alice where empty
	ruser   string            // PAM_RUSER
	ruid    int               // the host's real user id
	umask   int               // the host's; 022 where 0
	cwd     string            // the host's working directory; / where empty
	setup   string            // a shell script of root's that changes the disk before
	host    string            // what mount(8) has to make of / and /d before, such as "--make-rshared /"
	flags   string            // more flags of tests/pamhost, for hosts that fork
	within  string            // the user of a session, opened before, in which this one is opened
	upgrade bool              // that session is pam_namespace's, also where gons opens this one
	look    []string          // directories that are compared as the session sees them; /d/t where empty
	run     string            // a command that the user runs in the session; makes a file in each of look where empty
	after   string            // a shell script of root's on the host, run while the session is open

	old     bool // only with Debian 12's pam_namespace; later ones do otherwise
	fails   int  // what pam_namespace's open returns; 0 where it opens
	nothing bool // pam_namespace opens, and the mount table is as before
	differs rows // the rows of the manual that explain a difference, by aspect
}

// rows are names of rows of the manual, separated by spaces, by the aspect that they explain.
type rows map[aspect]string

// PAM's return codes.
const sessionErr, userUnknown = 14, 10

// A line of namespace.conf that covers /d/t for everybody.
const plain = "/d/t /d/inst/ user\n"

// What the manual explains in many scenarios.
var (
	// pam_namespace leaves a host whose session failed in a namespace of its own,
	halfMade = rows{place: "failure"}
	// and with what it had covered before.
	halfMounted = covering("failure")
	// It leaves tmpdir instances on disk, where gons removes them under processes that go on.
	keptTmpdir = rows{ended: "tmpdir-kept", left: "tmpdir-kept"}
	// It binds the way to the directory on itself, and unmounts that, and the instance with it, at close.
	uncovered = rows{binding: "self-binds", ended: "close-uncovers"}
)

// covering has a row explain that pam_namespace covers or uncovers /d/t where gons doesn't.
func covering(row string) rows {
	return rows{place: row, mounting: row, spreading: row, seeing: row, disk: row}
}
