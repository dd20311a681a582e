// Package initscript is what pam_namespace's namespace.init and iscript= are to a session: a program of root's that
// runs for each directory, in the session's namespace, once the instance is in place.
//
// Run runs one. The one that distributions ship fills a new home from /etc/skel and does nothing else but label files:
// IsDistribution knows it, and FillHome and HomeMode do the same by descriptors, in a directory that the user can't
// reach yet, and start no process.
package initscript

import "gons/internal/md5"

// distributions are the MD5 sums of namespace.init as linux-pam has released it. It is installed as it is in the source.
// Its first two versions, of 0.99.5 to 0.99.9, do nothing and aren't among them.
var distributions = map[string]string{
	"c8d87e9bcc05ef2725cbf7c69f40ef97": "0.99.10 to 1.1.0",
	"114e73ed5f40956527286e6213d305bc": "1.1.1 to 1.1.5",
	"b46b23d64860d1557d2a8f44b231fd54": "1.1.6 to 1.1.8",
	"d9e6a7c85e966427ef23a04ec6c7000f": "1.2.0 to 1.5.2, Debian 12",
	"41a1c821683ba173cc47d5c482b0f5e4": "1.5.3 and 1.6.0",
	"645f1fe69e90ad4681ba2abd5f33a62f": "1.6.1 and 1.7.0",
	"260eb0c3368ffaaf861e003e27618476": "1.7.1 and 1.7.2, Debian 13",
}

// IsDistribution reports whether content is a namespace.init as linux-pam has released it and distributions ship it, for
// which FillHome and HomeMode can stand. They do what the newest does, which does nothing where $5 isn't 1: 1.7.0 and
// older filled a home that others than root could exchange meanwhile. MD5 will do: whoever can write the file is root.
func IsDistribution(content []byte) bool {
	return distributions[md5.Hex(string(content))] != ""
}
