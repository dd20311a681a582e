package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// entry is the head of a file with one directory; what a test adds stands on line 5 and after, in column 5.
const entry = "version: 1\n# a comment\ndirectories:\n  - path: /tmp\n"

// parserTest is a text, and every message that it gets, a line for each.
type parserTest struct{ name, text, want string }

var yamlErrors = []parserTest{
	{"empty", "", `f:1:1: version: 1 expected, not an empty file`},
	{"comments only", "# gons\n\n", `f:1:1: version: 1 expected, not an empty file`},
	{"empty document", "---\n", `f:1:1: version: 1 expected, not an empty file`},
	{"not UTF-8", "version: \xff", `f: not UTF-8`},
	{"UTF-16", "\xff\xfev\x00e\x00r\x00", `f: not UTF-8`},
	{"NUL", "version: 1\n# \x00\n", `f:2: not YAML: control characters are not allowed`},
	{"tab", "# c\nversion: 1\nexempt:\n\t- a\n", `f:4: not YAML: found character that cannot start any token`},
	{"indentation", "# c\nversion: 1\ndirectories:\n  - path: /tmp\n    method: user\n   create: {}\n",
		`f:6: not YAML: did not find expected '-' indicator`},
	{"open brace", "# c\nversion: 1\nexempt: {users: [a]\ndirectories: []\n",
		`f:3: not YAML: did not find expected ',' or '}'`},
	{"open quote", "# c\nversion: 1\nexempt: {users: [\"a]}\n\n", `f:3: not YAML: found unexpected end of stream`},
	{"two colons", "a: b: c\n", `f:1: not YAML: mapping values are not allowed in this context`},
	{"two documents", "version: 1\n---\nversion: 1\n", `f:3:1: a second document; one expected`},
	{"broken second document", "version: 1\n---\na: b: c\n",
		`f:3: not YAML: mapping values are not allowed in this context`},
	{"root list", "- a\n", `f:1:1: a mapping expected, not a list`},
	{"root string", "hello\n", `f:1:1: a mapping expected, not the string "hello"`},

	{"anchor and alias", "version: 1\nexempt: &e {}\ndirectories: *e\n",
		"f:2:9: an anchor (&e); anchors are not supported\nf:3:14: an alias (*e); aliases are not supported"},
	{"unknown alias", "version: 1\nexempt: *e\n", `f:2: not YAML: unknown anchor 'e' referenced`},
	{"merge key", "version: 1\nexempt: {<<: {users: [a]}}\n", `f:2:10: a merge key (<<); merge keys are not supported`},
	{"tag", "version: !!int 1\n", `f:1:10: a tag (!!int); tags are not supported`},

	{"no version", "directories: []\n", `f:1:1: version: 1 expected`},
	{"other version", "version: 2\nfuture: true\n",
		"f:1:10: version: \"2\" is not supported; this gons reads version 1\nf:2:1: unknown key \"future\""},
	{"version as text", "version: \"1\"\n", `f:1:10: version: the number 1 expected, not the string "1"`},
	{"version as hex", "version: 0x1\n", `f:1:10: version: "0x1" is not supported; this gons reads version 1`},
	{"version as list", "version: [1]\n", `f:1:10: version: the number 1 expected, not a list`},

	{"unknown key", "version: 1\nexemptions: {}\nnamespace: {homes: slave, x: 1}\n", "" +
		"f:2:1: unknown key \"exemptions\"\n" +
		"f:3:13: unknown key \"homes\" in namespace (did you mean \"home\"?)\n" +
		"f:3:27: unknown key \"x\" in namespace"},
	{"unknown key in an entry", entry + "    methd: user\n    method: tmpfs\n",
		`f:5:5: unknown key "methd" in directories[0] (did you mean "method"?)`},
	{"duplicate key", "version: 1\nexempt: {}\nexempt: {}\n", `f:3:1: duplicate key "exempt"; the first is on line 2`},
	{"duplicate key in an entry", entry + "    path: /var/tmp\n    method: tmpfs\n",
		`f:5:5: duplicate key "path" in directories[0]; the first is on line 4`},
	{"list as key", "version: 1\n? [a]\n: b\n", `f:2:3: a word expected as a key, not a list`},

	{"scope", "version: 1\nnamespace: {scope: sesion}\n",
		`f:2:20: namespace.scope: "sesion" is not one of session, user (did you mean "session"?)`},
	{"linger without a unit", "version: 1\nnamespace: {scope: user, linger: 10}\n",
		`f:2:34: namespace.linger: "10" is not a time with its unit, as 90s, 10m or 2h`},
	{"linger too long", "version: 1\nnamespace: {scope: user, linger: 721h}\n",
		`f:2:34: namespace.linger: a time of at most 720h expected`},
	{"linger of a session", "version: 1\nnamespace: {linger: 10m}\n",
		`f: namespace.linger, namespace.chrooted: they are for scope: user only`},
	{"chrooted", "version: 1\nnamespace: {scope: user, chrooted: allow}\n",
		`f:2:36: namespace.chrooted: "allow" is not one of refuse, session`},
	{"scope user and unmount-only", "version: 1\nnamespace: {scope: user, inherited: unmount-only}\n",
		`f: namespace.inherited: unmount-only contradicts scope: user, in whose namespaces nothing is inherited`},
	{"scope user and services", "version: 1\nnamespace: {scope: user}\ndirectories: [{path: /tmp, method: tmpfs, only: {services: [su]}}]\n",
		`f:3:15: a directory for some services contradicts namespace.scope: user, by which all services of a user share one namespace`},
	{"scope user and level", "version: 1\nnamespace: {scope: user}\ndirectories: [{path: /tmp, method: level, instances: /i}]\n",
		`f:3:15: method level contradicts namespace.scope: user: the sessions that share a namespace may have different contexts`},
	{"propagation", "version: 1\nnamespace: {propagation: slve}\n",
		`f:2:26: namespace.propagation: "slve" is not one of slave, private, shared, unchanged (did you mean "slave"?)`},
	{"home", "version: 1\nnamespace: {home: private}\n",
		`f:2:19: namespace.home: "private" is not one of inherit, slave`},
	{"home as boolean", "version: 1\nnamespace: {home: true}\n",
		`f:2:19: namespace.home: a string expected, not "true"; write it in quotes`},
	{"always", "version: 1\nnamespace: {always: yes}\n", `f:2:21: namespace.always: true or false expected, not "yes"`},
	{"always in capitals", "version: 1\nnamespace: {always: True}\n",
		`f:2:21: namespace.always: true or false expected, not "True"`},
	{"always as text", "version: 1\nnamespace: {always: \"true\"}\n",
		`f:2:21: namespace.always: true or false expected, not "true"`},
	{"always empty", "version: 1\nnamespace:\n  always:\n",
		`f:3:10: namespace.always: true or false expected, not nothing`},
	{"inherited", "version: 1\nnamespace: {inherited: unmounted}\n",
		`f:2:24: namespace.inherited: "unmounted" is not one of keep, unmount, unmount-only (did you mean "unmount"?)`},
	{"names", "version: 1\nnamespace: {names: md4}\n",
		`f:2:20: namespace.names: "md4" is not one of plain, md5 (did you mean "md5"?)`},
	{"config_errors", "version: 1\nnamespace: {config_errors: true}\n",
		`f:2:28: namespace.config_errors: a string expected, not "true"; write it in quotes`},
	{"selinux", "version: 1\nselinux: {require: true, context: execs}\n", "" +
		"f:2:11: unknown key \"require\" in selinux (did you mean \"required\"?)\n" +
		"f:2:35: selinux.context: \"execs\" is not one of exec, current, default (did you mean \"exec\"?)"},
	{"selinux required", "version: 1\nselinux: {required: yes}\n", `f:2:21: selinux.required: true or false expected, not "yes"`},
	{"selinux empty", "version: 1\nselinux:\n", `f:2:9: selinux: a mapping expected, not nothing`},
	{"namespace empty", "version: 1\nnamespace:\n", `f:2:11: namespace: a mapping expected, not nothing`},

	{"exempt action", "version: 1\nexempt: {action: hots}\n",
		`f:2:18: exempt.action: "hots" is not one of stay, host (did you mean "host"?)`},
	{"host services of who stays", "version: 1\nexempt: {host_services: [su-l]}\n",
		`f: exempt.host_services: it is for action: host only`},
	{"scalar for list", "version: 1\nexempt: {users: root}\n",
		`f:2:17: exempt.users: a list expected, not the string "root"`},
	{"empty list", "version: 1\nexempt:\n  users:\n", `f:3:9: exempt.users: a list expected, not nothing`},
	{"number as name", "version: 1\nexempt: {users: [root, 0755]}\n",
		`f:2:24: exempt.users[1]: a string expected, not "0755"; write it in quotes`},
	{"bad names", "version: 1\nexempt: {groups: [\"\", \"a,b\", a b, \"a\\0\"]}\n", "" +
		"f:2:19: exempt.groups[0]: an empty name\n" +
		"f:2:23: exempt.groups[1]: \"a,b\" is not a name: " + notAName + "\n" +
		"f:2:30: exempt.groups[2]: \"a b\" is not a name: " + notAName + "\n" +
		"f:2:35: exempt.groups[3]: \"a\\x00\" is not a name: " + notAName},

	{"directories as mapping", "version: 1\ndirectories: {}\n", `f:2:14: directories: a list expected, not a mapping`},
	{"entry as text", "version: 1\ndirectories: [/tmp]\n",
		`f:2:15: directories[0]: a mapping expected, not the string "/tmp"`},
	{"empty entry", "version: 1\ndirectories: [{}]\n",
		"f:2:15: directories[0]: a path expected\nf:2:15: directories[0]: a method expected"},
	{"method", entry + "    method: tmpf\n",
		`f:5:13: directories[0].method: "tmpf" is not one of user, tmpfs, tmpdir, level, context, env (did you mean "tmpfs"?)`},
	{"env as list", "version: 1\nenv: [TMPDIR]\n", `f:2:6: env: a mapping expected, not a list`},
	{"env", "version: 1\nenv:\n  1A: x\n  A-B: x\n  Ä: x\n  A: 1\n  B: $SHELL\n  C: \"a\\nb\"\n  C: x\n  '': x\n  D: [x]\n", "" +
		"f:3:3: env: \"1A\" is not the name of a variable: letters, digits and _ expected\n" +
		"f:4:3: env: \"A-B\" is not the name of a variable: letters, digits and _ expected\n" +
		"f:5:3: env: \"Ä\" is not the name of a variable: letters, digits and _ expected\n" +
		"f:6:6: env.A: a string expected, not \"1\"; write it in quotes\n" +
		"f:7:6: env.B: unknown variable \"$SHELL\"; only $HOME, $USER, $UID and $GID are known\n" +
		"f:8:6: env.C: \"a\\nb\" contains a control character\n" +
		"f:9:3: duplicate key \"C\" in env; the first is on line 8\n" +
		"f:10:3: env: an empty name of a variable\n" +
		"f:11:6: env.D: a string expected, not a list"},
	{"long value", "version: 1\nenv: {A: " + strings.Repeat("x", 4097) + "}\n", `f:2:10: env.A: longer than 4096 bytes`},
	{"much env", "version: 1\nenv:\n" + manyVariables(101), `f:3:3: env: more than 100 variables in all files`},
	{"method env", entry + "    method: env\n    instances: /i\n    options: [nosuid]\n    tmpfs: {}\n    keep: [x]\n    init: none\n    create: {}\n    shared: true\n", "" +
		"f:7:14: directories[0].options: not expected: method env covers nothing\n" +
		"f:8:12: directories[0].tmpfs: not expected: it is for method tmpfs only\n" +
		"f:9:11: directories[0].keep: not expected: method env covers nothing\n" +
		"f:10:11: directories[0].init: not expected: method env covers nothing\n" +
		"f:11:13: directories[0].create: not expected: method env covers nothing\n" +
		"f:12:13: directories[0].shared: not expected: with method env every user has their own"},
	{"method env's parent", entry + "    method: env\n    instances: /i\n    parent_mode: any\n",
		`f:7:18: directories[0].parent_mode: any is too much for method env: users reach their directories through it`},
	{"method env's parent's mode", entry + "    method: env\n    instances: /i\n    parent_mode: \"0750\"\n",
		`f:7:18: directories[0].parent_mode: 0750 lets no user through to their directory`},
	{"method env's variables", entry + "    method: env\n    instances: /i\n    variables: [a b]\n",
		`f:7:17: directories[0].variables[0]: "a b" is not the name of a variable: letters, digits and _ expected`},
	{"no variables", entry + "    method: env\n    instances: /i\n    variables: []\n",
		`f:7:16: directories[0].variables: 1 to 100 names expected`},
	{"variables of another", entry + "    method: tmpfs\n    variables: [A]\n",
		`f:6:16: directories[0].variables: not expected: only method env has variables`},
	{"keep", entry + "    method: tmpfs\n    keep: [a/b, .., '', '[x]', $USER, \"a\\tb\", 1]\n", "" +
		"f:6:12: directories[0].keep[0]: \"a/b\" contains \"/\"; the name of an entry of path expected\n" +
		"f:6:17: directories[0].keep[1]: \"..\" is not a name\n" +
		"f:6:21: directories[0].keep[2]: an empty name\n" +
		"f:6:25: directories[0].keep[3]: \"[x]\": of patterns only \"*\" and \"?\" are known\n" +
		"f:6:32: directories[0].keep[4]: \"$USER\": there are no variables in the names to keep\n" +
		"f:6:39: directories[0].keep[5]: \"a\\tb\" contains a control character\n" +
		"f:6:47: directories[0].keep[6]: a string expected, not \"1\"; write it in quotes"},
	{"long keep", entry + "    method: tmpfs\n    keep: [" + strings.Repeat("k", 256) + "]\n",
		`f:6:12: directories[0].keep[0]: longer than the 255 bytes of a name`},
	{"much to keep", entry + "    method: tmpfs\n    keep: [" + strings.Repeat("k,", maxKeep+1) + "]\n",
		`f:6:11: directories[0].keep: 33 entries; at most 32 expected`},
	{"no instances", entry + "    method: user\n",
		`f:4:5: directories[0]: instances expected: method user keeps them in a directory`},
	{"no instances for level", entry + "    method: level\n  - {path: /a, method: context}\n", "" +
		"f:4:5: directories[0]: instances expected: method level keeps them in a directory\n" +
		"f:6:5: directories[1]: instances expected: method context keeps them in a directory"},
	{"shared", entry + "    method: user\n    instances: /i\n    shared: true\n",
		`f:7:13: directories[0].shared: a prefix expected, the name of the directory that all users share`},
	{"shared with a dot", entry + "    method: user\n    instances: /i\n    prefix: .\n    shared: true\n",
		`f:8:13: directories[0].shared: a prefix expected, the name of the directory that all users share`},
	{"shared elsewhere", entry + "    method: tmpfs\n    shared: true\n  - {path: /a, method: tmpdir, instances: /i, shared: true}\n", "" +
		"f:6:13: directories[0].shared: not expected: with method tmpfs every session has its own\n" +
		"f:7:55: directories[1].shared: not expected: with method tmpdir every session has its own"},
	{"parent_mode", entry + "    method: user\n    instances: /i\n    parent_mode: 0775\n",
		`f:7:18: directories[0].parent_mode: 0775 is more than 0755: who can write there can make the instances of others`},
	{"parent_mode sticky", entry + "    method: user\n    instances: /i\n    parent_mode: 1755\n",
		`f:7:18: directories[0].parent_mode: 1755 is more than 0755: who can write there can make the instances of others`},
	{"parent_mode word", entry + "    method: user\n    instances: /i\n    parent_mode: any!\n",
		`f:7:18: directories[0].parent_mode: "any" or an octal mode such as "0755" expected, not "any!" (did you mean "any"?)`},
	{"parent_mode list", entry + "    method: user\n    instances: /i\n    parent_mode: []\n",
		`f:7:18: directories[0].parent_mode: a string or a number expected, not a list`},
	{"retention", entry + "    method: user\n    instances: /i\n    retention: 30\n",
		`f:7:16: directories[0].retention: a time such as "12h", "30d" or "8w" expected, not "30"`},
	{"retention for ever", entry + "    method: user\n    instances: /i\n    retention: 99999w\n",
		`f:7:16: directories[0].retention: a time such as "12h", "30d" or "8w" expected, not "99999w"`},
	{"retention for tmpfs", entry + "    method: tmpfs\n    retention: 30d\n",
		`f:6:16: directories[0].retention: not expected: method tmpfs has no instances on disk`},
	{"retention for levels", entry + "    method: level\n    instances: /i\n    retention: 30d\n",
		`f:7:16: directories[0].retention: not expected: only instances of one user or session are removed`},
	{"parent_mode for tmpfs", entry + "    method: tmpfs\n    parent_mode: any\n",
		`f:6:18: directories[0].parent_mode: not expected: method tmpfs has no instances on disk`},
	{"init", entry + "    method: tmpfs\n    init: standart\n",
		`f:6:11: directories[0].init: "standart" is not one of none, standard, builtin or an absolute path (did you mean "standard"?)`},
	{"init relative", entry + "    method: tmpfs\n    init: {script: x.sh}\n",
		`f:6:20: directories[0].init.script: "x.sh" is not one of none, standard, builtin or an absolute path`},
	{"init with dots", entry + "    method: tmpfs\n    init: /a/../b\n",
		`f:6:11: directories[0].init: "/a/../b" contains the component ".."`},
	{"init with a variable", entry + "    method: tmpfs\n    init: /a/$USER\n",
		`f:6:11: directories[0].init: "/a/$USER": there are no variables in the path of a script`},
	{"init list", entry + "    method: tmpfs\n    init: [/a]\n", `f:6:11: directories[0].init: a string expected, not a list`},
	{"init empty", entry + "    method: tmpfs\n    init: {}\n", `f:6:11: directories[0].init: a script expected`},
	{"init keys", entry + "    method: tmpfs\n    init: {script: /a, on_failur: fail}\n",
		`f:6:24: unknown key "on_failur" in directories[0].init (did you mean "on_failure"?)`},
	{"init on_failure", entry + "    method: tmpfs\n    init: {script: /a, on_failure: ignored}\n",
		`f:6:36: directories[0].init.on_failure: "ignored" is not one of fail, ignore (did you mean "ignore"?)`},
	{"init of nothing", entry + "    method: tmpfs\n    init: {script: none, on_failure: ignore}\n",
		`f:6:38: directories[0].init.on_failure: not expected: nothing is done that could fail`},
	{"instances for tmpfs", entry + "    method: tmpfs\n    instances: /x\n    prefix: \"\"\n", "" +
		"f:6:16: directories[0].instances: not expected: method tmpfs has no instances on disk\n" +
		"f:7:13: directories[0].prefix: not expected: method tmpfs has no instances on disk"},
	{"instances relative", entry + "    method: user\n    instances: inst\n",
		`f:6:16: directories[0].instances: "inst" does not begin with "/" or "$HOME"`},
	{"prefix with a slash", entry + "    method: user\n    instances: /i\n    prefix: a/b\n",
		`f:7:13: directories[0].prefix: "a/b" contains "/"; directories belong in instances`},
	{"create", entry + "    method: tmpfs\n    create: {mode: 999, owner: 0, group: \"\"}\n", "" +
		"f:6:20: directories[0].create.mode: an octal mode such as \"0755\" or \"1777\" expected, not \"999\"\n" +
		"f:6:32: directories[0].create.owner: a string expected, not \"0\"; write it in quotes\n" +
		"f:6:42: directories[0].create.group: an empty name"},
	{"create empty", entry + "    method: tmpfs\n    create:\n",
		`f:6:12: directories[0].create: a mapping expected, not nothing`},
	{"create as boolean", entry + "    method: tmpfs\n    create: true\n",
		`f:6:13: directories[0].create: a mapping expected, not "true"`},
	{"mode missing", entry + "    method: tmpfs\n    create: {mode: }\n",
		`f:6:20: directories[0].create.mode: a string or a number expected, not nothing`},
	{"only", entry + "    method: tmpfs\n    only: [alice]\n    except: {user: [bob]}\n", "" +
		"f:6:11: directories[0].only: a mapping expected, not a list\n" +
		"f:7:14: unknown key \"user\" in directories[0].except (did you mean \"users\"?)"},

	{"tmpfs elsewhere", entry + "    method: user\n    instances: /i\n    tmpfs: {}\n",
		`f:7:12: directories[0].tmpfs: not expected: it is for method tmpfs only`},
	{"tmpfs values", entry + "    method: tmpfs\n    tmpfs: {size: 1.5G, inodes: 10%, mode: rwx}\n", "" +
		"f:6:19: directories[0].tmpfs.size: a size such as 1G, 512M or 50% expected, not \"1.5G\"\n" +
		"f:6:33: directories[0].tmpfs.inodes: a number such as 100k or 1m expected, not \"10%\"\n" +
		"f:6:44: directories[0].tmpfs.mode: an octal mode such as \"0755\" or \"1777\" expected, not \"rwx\""},
	{"tmpfs owners", entry + "    method: tmpfs\n    tmpfs: {uid: root, gid: $USER}\n    options: [uid=$HOME, \"a=${UID\"]\n", "" +
		"f:6:18: directories[0].tmpfs.uid: a number, $UID or $GID expected, not \"root\"\n" +
		"f:6:29: directories[0].tmpfs.gid: a number, $UID or $GID expected, not \"$USER\"\n" +
		"f:7:15: directories[0].options[0]: unknown variable \"$HOME\"; only $USER, $UID and $GID are known\n" +
		"f:7:26: directories[0].options[1]: unknown variable \"${UID\"; only $USER, $UID and $GID are known"},
	{"tmpfs as list", entry + "    method: tmpfs\n    tmpfs: [size=1G]\n",
		`f:6:12: directories[0].tmpfs: a mapping expected, not a list`},
	{"size twice", entry + "    method: tmpfs\n    tmpfs: {size: 1G, inodes: 1k}\n    options: [size=2G, nr_inodes=2k, mode=0, mode=1]\n", "" +
		"f:7:15: directories[0].options[0]: size is already given by directories[0].tmpfs.size\n" +
		"f:7:24: directories[0].options[1]: nr_inodes is already given by directories[0].tmpfs.inodes\n" +
		"f:7:46: directories[0].options[3]: mode is already given by directories[0].options[2]"},
	{"options", entry + "    method: user\n    instances: /i\n    options: [exec, noexc, uid=0, [], nodev, nodev]\n",
		"" +
			"f:7:15: directories[0].options[0]: \"exec\" is not supported; leave out \"noexec\" instead\n" +
			"f:7:21: directories[0].options[1]: \"noexc\" is not one of nosuid, nodev, noexec, which are all that method user has" +
			" (did you mean \"noexec\"?)\n" +
			"f:7:28: directories[0].options[2]: \"uid=0\" is not one of nosuid, nodev, noexec, which are all that method user has\n" +
			"f:7:35: directories[0].options[3]: a string expected, not a list\n" +
			"f:7:46: directories[0].options[5]: nodev is already given by directories[0].options[4]"},
	{"options as text", entry + "    method: tmpfs\n    options: nosuid,nodev\n",
		`f:6:14: directories[0].options: a list expected, not the string "nosuid,nodev"`},
	{"options of tmpfs", entry + "    method: tmpfs\n    options: [\"nosuid,nodev\", \"a b\", \"=1\", suid, \"size=1,mode=0\"]\n", "" +
		"f:6:15: directories[0].options[0]: one option expected, \"key\" or \"key=value\", not \"nosuid,nodev\"\n" +
		"f:6:31: directories[0].options[1]: one option expected, \"key\" or \"key=value\", not \"a b\"\n" +
		"f:6:38: directories[0].options[2]: one option expected, \"key\" or \"key=value\", not \"=1\"\n" +
		"f:6:44: directories[0].options[3]: \"suid\" is not supported; leave out \"nosuid\" instead\n" +
		"f:6:50: directories[0].options[4]: one option expected, \"key\" or \"key=value\", not \"size=1,mode=0\""},
	{"long option", entry + "    method: tmpfs\n    options: [huge=" + strings.Repeat("a", 256) + "]\n",
		`f:6:15: directories[0].options[0]: an option longer than the kernel takes`},
	{"long joined path", entry + "    method: user\n    instances: /" + strings.Repeat("i", 4000) + "\n    prefix: " +
		strings.Repeat("p", 100) + "\n",
		`f:6:16: directories[0].instances: longer than 4095 bytes with its prefix`},
	{"too many entries", "version: 1\ndirectories: [" + strings.Repeat("{},", MaxDirectories+1) + "]\n",
		`f:2:14: directories: 1001 entries; at most 1000 expected`},
	{"out of order", "version: 1\ndirectories: [{}]\nexempt: 1\nnamespace: 1\n", "" +
		"f:2:15: directories[0]: a path expected\nf:2:15: directories[0]: a method expected\n" +
		"f:3:9: exempt: a mapping expected, not \"1\"\nf:4:12: namespace: a mapping expected, not \"1\""},
}

func manyVariables(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  V%d: x\n", i)
	}
	return b.String()
}

// notAName ends the message for a bad name.
const notAName = "it has a comma, a colon, a slash, white space or a control character in it"

func TestYAMLErrors(t *testing.T) {
	for _, c := range yamlErrors {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := ParseYAML("f", []byte(c.text))
			if err == nil || cfg != nil {
				t.Fatalf("got %v, %v", cfg, err)
			}
			if got := allErrors(err); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			checkErrors(t, err)
		})
	}
}

// Every bad path is refused both as path and as instances.
func TestYAMLPathErrors(t *testing.T) {
	cases := []struct{ yaml, want string }{
		{`""`, `an absolute path expected, not an empty one`},
		{`tmp`, `"tmp" does not begin with "/" or "$HOME"`},
		{`$USER/x`, `"$USER/x" does not begin with "/" or "$HOME"`},
		{`/`, `"/" is not a directory that can be private`},
		{`///`, `"/" is not a directory that can be private`},
		{`/a/../b`, `"/a/../b" contains the component ".."`},
		{`/a/.`, `"/a/." contains the component "."`},
		{`$HOME/..`, `"$HOME/.." contains the component ".."`},
		{`"/a\0b"`, `"/a\x00b" contains a control character`},
		{`"/a\nb"`, `"/a\nb" contains a control character`},
		{`/a/$UID`, `unknown variable "$UID"; only $HOME and $USER are known`},
		{`/a/${UID}`, `unknown variable "${UID}"; only $HOME and $USER are known`},
		{`/a/${USER`, `unknown variable "${USER"; only $HOME and $USER are known`},
		{`/a/$`, `unknown variable "$"; only $HOME and $USER are known`},
		{`/a/$$USER`, `unknown variable "$"; only $HOME and $USER are known`},
		{`/a/$USERNAME`, `"$USERNAME" is ambiguous: write ${USER} where a letter, a digit or _ follows`},
		{`$HOME_x`, `"$HOME_x" is ambiguous: write ${HOME} where a letter, a digit or _ follows`},
		{"/" + strings.Repeat("a", maxPath), `longer than 4095 bytes`},
	}
	for _, c := range cases {
		text := "version: 1\ndirectories:\n- method: user\n  path: " + c.yaml + "\n  instances: " + c.yaml + "\n"
		_, err := ParseYAML("f", []byte(text))
		want := "f:4:9: directories[0].path: " + c.want + "\nf:5:14: directories[0].instances: " + c.want
		if got := allErrors(err); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.yaml, got, want)
		}
	}
}

func TestYAMLPrefixErrors(t *testing.T) {
	cases := []struct{ yaml, want string }{
		{`..`, `".." contains ".."`},
		{`"a\tb"`, `"a\tb" contains a control character`},
		{`$HOME`, `"$HOME" contains $HOME, which has slashes in it`},
		{`${X}`, `unknown variable "${X}"; only $HOME and $USER are known`},
		{`1.5`, `a string expected, not "1.5"; write it in quotes`},
	}
	for _, c := range cases {
		text := "version: 1\ndirectories:\n- path: /a\n  method: user\n  instances: /b\n  prefix: " + c.yaml + "\n"
		_, err := ParseYAML("f", []byte(text))
		if got, want := allErrors(err), "f:6:11: directories[0].prefix: "+c.want; got != want {
			t.Errorf("%s: got %s, want %s", c.yaml, got, want)
		}
	}
}

// What the keys of an entry, written behind its path, make of it.
func TestYAMLEntry(t *testing.T) {
	user := Directory{Path: "/tmp", Method: MethodUser, InstancePrefix: "/i/"}
	with := func(change func(*Directory)) Directory {
		d := user
		change(&d)
		return d
	}
	cases := []struct {
		yaml string
		want Directory
	}{
		{"method: level, shared: true", with(func(d *Directory) { d.Method, d.Shared = MethodLevel, true })},
		{"method: context, shared: false", with(func(d *Directory) { d.Method = MethodContext })},
		{"method: user, prefix: all, shared: true", with(func(d *Directory) { d.InstancePrefix, d.Shared = "/i/all", true })},
		{"method: user, parent_mode: any", with(func(d *Directory) { d.AnyParent = true })},
		{`method: user, parent_mode: "000"`, user},
		{"method: user, parent_mode: 711", with(func(d *Directory) { d.ParentMode = 0o711 })},
		{"method: user, init: none", user},
		{"method: user, init: {script: none}", user},
		{"method: user, init: standard", with(func(d *Directory) { d.Init.Kind = InitStandard })},
		{"method: user, init: {script: builtin, on_failure: fail}", with(func(d *Directory) { d.Init.Kind = InitBuiltin })},
		{"method: user, init: {script: standard, on_failure: ignore}",
			with(func(d *Directory) { d.Init = Init{Kind: InitStandard, IgnoreFailure: true} })},
		{"method: user, init: /a//b/", with(func(d *Directory) { d.Init = Init{Kind: InitScript, Script: "/a/b"} })},
	}
	for _, c := range cases {
		cfg, err := ParseYAML("f", []byte("version: 1\ndirectories: [{path: /tmp, instances: /i, "+c.yaml+"}]\n"))
		if err != nil {
			t.Errorf("%s: %s", c.yaml, allErrors(err))
			continue
		}
		validate(t, cfg)
		if got := plainConfig(cfg).Directories[0]; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.yaml, got, c.want)
		}
	}
}

func TestYAMLOptions(t *testing.T) {
	for yaml, want := range map[string]Options{
		"namespace: {}": {},
		"namespace: {inherited: keep, names: plain, config_errors: refuse}": {Inherited: InheritedKeep},
		"namespace: {inherited: unmount-only, names: md5}":                  {Inherited: InheritedUnmountOnly, GenHash: true},
		"selinux: {}": {},
		"selinux: {required: true, context: current}":  {RequireSELinux: true, Context: ContextCurrent},
		"selinux: {required: false, context: default}": {Context: ContextDefault},
	} {
		cfg, err := ParseYAML("f", []byte("version: 1\n"+yaml))
		if err != nil || cfg.Options != want {
			t.Errorf("%s: got %+v, %v, want %+v", yaml, cfg, err, want)
		}
	}
}

// With config_errors: skip, an entry that is wrong is left out, whole, and told of; all else stays an error.
func TestYAMLSkipsBadEntries(t *testing.T) {
	const skip = "version: 1\nnamespace: {config_errors: skip}\n"
	cfg, err := ParseYAML("f", []byte(skip+"directories:\n- {path: /a, method: usr, options: [nosiud]}\n- {path: /b, method: tmpfs}\n- 1\n"))
	if err != nil {
		t.Fatal(allErrors(err))
	}
	want := "f:4:22: directories[0].method: \"usr\" is not one of user, tmpfs, tmpdir, level, context, env (did you mean \"user\"?); " +
		"this entry is left out\n" +
		"f:6:3: directories[2]: a mapping expected, not \"1\"; this entry is left out"
	if got := allWarnings(cfg); got != want || len(cfg.Directories) != 1 || !cfg.Options.SkipBad {
		t.Errorf("got %d directories and\n%s\nwant\n%s", len(cfg.Directories), got, want)
	}
	for _, text := range []string{"exempt: {users: [a b]}\n", "x: 1\n", "directories: {}\n", "directories: [\n", "namespace: {}\n"} {
		if cfg, err := ParseYAML("f", []byte(skip+text)); err == nil {
			t.Errorf("%s: got %+v, want an error", text, cfg)
		}
	}
}

// Two entries of one path are told of unless no session can have both.
func TestYAMLWarnsOfSamePath(t *testing.T) {
	cases := []struct {
		first, second string
		both          bool
	}{
		{"", "", true},
		{"only: {users: [x]}", "", true},
		{"only: {users: [x]}", "except: {users: [x, y]}", false},
		{"except: {groups: [g]}", "only: {groups: [g]}", false},
		{"only: {users: [x], groups: [g]}", "except: {users: [x]}", true},
		{"only: {users: [x]}", "only: {users: [y]}", false},
		{"only: {users: [x, y]}", "only: {users: [y]}", true},
		{"only: {users: [x]}", "only: {groups: [y]}", true},
		{"only: {services: [su]}", "only: {services: [sshd]}", false},
		{"only: {services: [su]}", "except: {services: [su, cron]}", false},
		{"only: {users: [x], services: [su]}", "except: {users: [z], services: [su]}", false},
		{"except: {users: [x]}", "except: {users: [x]}", true},
	}
	for _, c := range cases {
		cfg, err := ParseYAML("f", []byte("version: 1\ndirectories:\n- {path: /a, method: tmpfs, "+c.first+
			"}\n- {path: /a, method: tmpfs, "+c.second+"}\n"))
		if err != nil {
			t.Fatal(allErrors(err))
		}
		want := ""
		if c.both {
			want = `f:4:3: "/a" is also at f:3:3; where both apply, the instance of this one hides the other's`
		}
		if got := allWarnings(cfg); got != want {
			t.Errorf("%s, %s: got %q, want %q", c.first, c.second, got, want)
		}
	}
}

func TestYAMLWarnsOfNearFlag(t *testing.T) {
	cfg, err := ParseYAML("f", []byte(entry+"    method: tmpfs\n    options: [nosiud, noswap]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `f:6:15: option "nosiud" is passed to tmpfs (did you mean "nosuid"?)`
	if got := allWarnings(cfg); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestYAMLWarnsOfInstancesInside(t *testing.T) {
	cfg, err := ParseYAML("f", []byte(entry+"    method: user\n    instances: /tmp/inst\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := "f:6:16: directories[0].instances: \"/tmp/inst\" lies below \"/tmp\": where users can write there, one of them " +
		"can be first to make it, and nobody can log in; `gons boot` makes it in time"
	if got := allWarnings(cfg); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// However many problems there are, only so many are kept, and the log line names the first.
func TestErrorsAreBounded(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "key%d: 1\n", i)
	}
	_, err := ParseYAML("f", []byte(text.String()))
	if list := err.(Errors); len(list) != maxReports {
		t.Errorf("%d problems", len(list))
	}
	if want := `f:1:1: unknown key "key0" (and 19 more)`; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
}

// A bad name in a long list doesn't make the rest of it worth reading, nor does a long text fill the log.
func TestReportsAreShort(t *testing.T) {
	long := strings.Repeat("x", 500)
	cases := []struct{ text, want string }{
		{"version: 1\nexempt: {users: [" + strings.Repeat("'',", 50) + "]}\n",
			"f:2:18: exempt.users[0]: an empty name (and 19 more)"},
		{"[" + strings.Repeat("&a b,", 50) + "]", "f:1:2: an anchor (&a); anchors are not supported (and 19 more)"},
		{"version: 1\n" + long + ": 1\n", "f:2:1: unknown key \"" + long[:maxQuoted] + "\"..."},
	}
	for _, c := range cases {
		_, err := ParseYAML("f", []byte(c.text))
		if fmt.Sprint(err) != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	_, err := ParseNamespaceConf("f", []byte(strings.Repeat("/tmp\n", 50)))
	if len(err.(Errors)) != maxReports {
		t.Errorf("got %v", err)
	}
}

// Looking for the line of an error in a large file would take too long; package yaml's own number must do.
func TestYAMLLargeSyntaxError(t *testing.T) {
	_, err := ParseYAML("f", []byte(strings.Repeat("# c\n", maxLocated)+"version: [\n}\n"))
	if want := "f:65537: not YAML: did not find expected node content"; fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// As many names as a file of the largest size has room for are no problem.
func TestYAMLManyNames(t *testing.T) {
	n := (MaxFileSize - 100) / 2
	cfg, err := ParseYAML("f", []byte("version: 1\nexempt: {users: ["+strings.Repeat("a,", n)+"b]}\n"))
	if err != nil || len(cfg.Exempt.Users) != 2 {
		t.Errorf("got %v, want the users a and b", err)
	}
}

func TestParsersBoundSize(t *testing.T) {
	data := []byte(strings.Repeat("#", MaxFileSize+1))
	for _, parse := range []func(string, []byte) (*Config, error){ParseYAML, ParseNamespaceConf} {
		_, err := parse("f", data)
		if want := "f: longer than 1048576 bytes"; fmt.Sprint(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRetention(t *testing.T) {
	for text, want := range map[string]time.Duration{"1h": time.Hour, "30d": 30 * 24 * time.Hour, "8w": 56 * 24 * time.Hour, "36500d": 36500 * 24 * time.Hour,
		"": 0, "d": 0, "0d": 0, "-1d": 0, "1": 0, "1m": 0, "1.5d": 0, "36501d": 0, "5215w": 0, "99999999999h": 0} {
		if got, err := Retention(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
}
