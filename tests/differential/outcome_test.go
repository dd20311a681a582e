package differential_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// aspect is one part of what can be seen of a session.
type aspect string

const (
	opening   aspect = "open"        // the PAM code
	closing   aspect = "close"       // the PAM code; empty where it wasn't opened
	place     aspect = "place"       // the host's namespace, working directory and umask after the open
	mounting  aspect = "mounts"      // what is new in the session's mount table, without propagation
	binding   aspect = "self-binds"  // which directories are bound on themselves, apart from mounts
	spreading aspect = "propagation" // of each mount that the session shares with the host, and of its own
	seeing    aspect = "seen"        // what the session sees in its directories
	commands  aspect = "run"         // what the user's command printed
	disk      aspect = "disk"        // the host's files while the session is open
	hosting   aspect = "host"        // what changes in the host's mount table
	logged    aspect = "script"      // what scripts wrote to /d/log
	ended     aspect = "closed"      // what the close changes for processes in the session: mounts, files, place
	left      aspect = "left"        // what changes in the host's files after that
)

var aspects = []aspect{opening, closing, place, mounting, binding, spreading, seeing, commands, disk, hosting, logged, ended, left}

// outcome is what was seen of one session.
type outcome struct {
	of      map[aspect]string
	moved   bool   // the host is in another namespace
	made    string // what the open changed in the host's files
	log     string
	session state // while it was open
}

// stage is how far the session came.
func (o *outcome) stage() string {
	switch {
	case o.of[opening] == "0":
		return "opened"
	case o.of[opening] == "signal: killed": // by the deadline
		return "hung"
	case strings.HasPrefix(o.of[opening], "signal"):
		return "crashed"
	}
	return "failed"
}

// String shows everything but what tells little without its other half, the propagation of each mount.
func (o *outcome) String() string {
	var b strings.Builder
	for _, a := range aspects {
		if text := strings.TrimSpace(o.of[a]); text != "" && a != spreading {
			fmt.Fprintf(&b, "  %s: %s\n", a, strings.ReplaceAll(text, "\n", "\n    "))
		}
	}
	return b.String() + "  log: " + strings.ReplaceAll(strings.TrimSpace(o.log), "\n", "\n    ")
}

// state is what a process sees.
type state struct {
	mounts    table
	files     string
	namespace string
	place     string
}

// hostState is what the host's namespace looks like, from the calling thread.
func hostState() state {
	files := trees("", "/d", "/home", "/tmp", "/etc/security")
	return state{mounts: mountTable("thread-self"), files: files, namespace: namespaceOf("thread-self")}
}

// innerHostState is what there is for a host that is a process in another session: that one's mounts.
func innerHostState(pid string) state {
	return state{mounts: mountTable(pid), files: hostState().files, namespace: namespaceOf(pid)}
}

func namespaceOf(process string) string {
	name, _ := os.Readlink("/proc/" + process + "/ns/mnt")
	return name
}

// sessionState is what a process in the session sees.
func sessionState(pid string, look []string) state {
	root := "/proc/" + pid + "/root"
	return state{mountTable(pid), trees(root, look...), namespaceOf(pid), placeOf(pid)}
}

// placeOf tells where in its namespace a process is.
func placeOf(pid string) string {
	cwd, _ := os.Readlink("/proc/" + pid + "/cwd")
	status, _ := os.ReadFile("/proc/" + pid + "/status")
	_, umask, _ := strings.Cut(string(status), "Umask:\t")
	umask, _, _ = strings.Cut(umask, "\n")
	var names []string
	entries, _ := os.ReadDir("/proc/" + pid + "/cwd/")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return fmt.Sprintf("working directory: %s, which holds %q\numask: %s", normal(cwd), names, umask)
}

// open notes what there is while the session of the process is open.
func (o *outcome) open(s scenario, before state, pid string) {
	now := sessionState(pid, s.looks())
	o.session = now
	o.of[place] = now.place
	o.moved = now.namespace != before.namespace
	if o.moved {
		o.of[place] += "\nin a namespace of its own"
	}
	o.of[mounting] = changed(before.mounts.String(), now.mounts.String())
	o.of[binding] = now.mounts.selfBinds
	o.of[spreading] = now.mounts.propagation(before.mounts)
	o.of[seeing] = now.files
	o.of[disk] = hostState().files
	o.made = changed(before.files, o.of[disk])
}

// closed notes what has changed for the process.
func (o *outcome) closed(s scenario, pid string) {
	now := sessionState(pid, s.looks())
	o.of[ended] = changed(o.session.mounts.String(), now.mounts.String()) + changed(o.session.files, now.files) +
		changed(o.session.place, now.place)
}

// over notes what has changed on the host, and what scripts said.
func (o *outcome) over(before, during state) {
	now := hostState()
	o.of[hosting] = changed(before.mounts.whole(), during.mounts.whole()) + changed(during.mounts.whole(), now.mounts.whole())
	o.of[left] = changed(during.files, now.files)
	o.of[logged] = trees("", "/d/log")
}

// changed are the lines that have gone and have come.
func changed(from, to string) string {
	out := strings.Join(append(without("gone: ", from, to), without("new: ", to, from)...), "\n")
	if out == "" {
		return ""
	}
	return out + "\n"
}

// ---- files ----

// trees describes directories and all below them as they are beneath root: path, type and mode, owner, and the target of
// a link or the content of a short file. /d/log is left out of others.
func trees(root string, dirs ...string) string {
	var out []string
	for _, dir := range dirs {
		filepath.WalkDir(root+dir, func(path string, _ os.DirEntry, err error) error {
			name := strings.TrimPrefix(path, root)
			if strings.HasPrefix(name, "/d/log") && dir != "/d/log" {
				return nil
			}
			if err != nil {
				out = append(out, name+" "+strings.ReplaceAll(err.Error(), root, ""))
				return nil
			}
			out = append(out, describe(path, name))
			return nil
		})
	}
	return normal(strings.Join(out, "\n"))
}

func describe(path, name string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return name + " " + err.Error()
	}
	st := info.Sys().(*syscall.Stat_t)
	line := fmt.Sprintf("%s %s %d:%d", name, info.Mode(), st.Uid, st.Gid)
	if target, err := os.Readlink(path); err == nil {
		return line + " -> " + target
	}
	if info.Mode().IsRegular() && info.Size() < 4096 {
		content, _ := os.ReadFile(path)
		return fmt.Sprintf("%s %q", line, content)
	}
	return line
}

var fresh = regexp.MustCompile(`(/rnd/|tmp\.)[A-Za-z0-9]{6}\b`)

// normal replaces what is chosen at random: the names of tmpdir instances.
func normal(text string) string { return fresh.ReplaceAllString(text, "${1}XXXXXX") }
