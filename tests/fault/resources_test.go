package fault_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// elsewhere has its instances on a file system of their own, which can be full.
var elsewhere = scene{name: "a file system of their own", yaml: "directories:\n" +
	"  - {path: $HOME, method: user, instances: {A}/fs/i, init: builtin}\n" +
	"  - {path: {A}/var, method: tmpdir, instances: {A}/fs/j}\n"}

// enough is what a tmpfs of the tests has of everything, as mount(8) shows it.
const enough = "size=4000k,nr_inodes=1000"

// shortage is a lack of something.
type shortage struct {
	// of are the amounts that there are, the last one enough.
	of []int
	// give leaves that much; lift takes the limit away.
	give func(n int) (by, args []string)
	lift func()
	// blind says that the limit is the session's, too, and alice can't look around.
	blind bool
}

// to are the numbers up to the last.
func to(last int) (out []int) {
	for n := range last {
		out = append(out, n+1)
	}
	return out
}

// scarce runs sessions with ever more of something: there is none, or all of one, and the log says why not; and once there
// is enough the next one finds all as it should be. With the most there must be one, and with the least none, but that root
// stands above some limits.
func (s *site) scarce(t *testing.T, short shortage) {
	t.Helper()
	for i, n := range short.of {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s.clear(t)
			undisturbed(t, func() {
				by, args := short.give(n)
				log := sandbox.NewLog(t)
				r := runThrough(t, by, append(args, s.look()...)...)
				if short.lift != nil {
					short.lift()
				}
				if len(r["pamhost.error"]) == 0 { // else the host can't live with so little
					s.survived(t, r, log, short.blind)
				}
				if opened := r.get("open") == "0"; opened && i == 0 && !short.blind || !opened && i == len(short.of)-1 {
					t.Errorf("open %q", r["open"])
				}
				s.gone(t)
				s.repaired(t)
			})
		})
	}
}

// limited is a shortage on a tmpfs.
func limited(t *testing.T, dir, parameters string, of []int) shortage {
	return shortage{of: of, lift: func() { remount(t, dir, 0, enough) }, give: func(n int) (by, args []string) {
		remount(t, dir, 0, fmt.Sprintf(parameters, n))
		return nil, nil
	}}
}

// A disk that has room for ever more files, and for ever more of what is in them (ENOSPC).
func TestAFullDisk(t *testing.T) {
	for i := range 8 {
		sandbox.Write(t, fmt.Sprintf("/etc/skel/file%d", i), strings.Repeat("x", 5000), 0o644)
	}
	s := newSite(t, elsewhere)
	t.Run("files", func(t *testing.T) { s.scarce(t, limited(t, s.dir+"/fs", "nr_inodes=%d", to(30)[1:])) })
	t.Run("KiB", func(t *testing.T) {
		s.scarce(t, limited(t, s.dir+"/fs", "size=%dk", []int{4, 8, 12, 20, 40, 60, 64, 68, 2000}))
	})
}

// A /run that is full.
func TestAFullRun(t *testing.T) {
	s := newSite(t, directories)
	mount(t, "/run/gons")
	must(t, os.Mkdir("/run/gons/sessions", 0o700))
	t.Run("files", func(t *testing.T) { s.scarce(t, limited(t, "/run/gons", "nr_inodes=%d", to(6)[1:])) })
	must(t, os.WriteFile("/run/gons/filler", make([]byte, 4096), 0o600))
	t.Run("KiB", func(t *testing.T) { s.scarce(t, limited(t, "/run/gons", "size=%dk", []int{8, 12, 16, 20, 40})) })
}

// File systems that can't be written to (EROFS): that of the instances, and /run.
func TestReadOnlyFileSystems(t *testing.T) {
	for _, dir := range []string{"{A}/fs", "/run/gons"} {
		t.Run(dir, func(t *testing.T) {
			s := newSite(t, elsewhere)
			if dir == "/run/gons" {
				mount(t, dir)
			}
			dir := strings.ReplaceAll(dir, "{A}", s.dir)
			undisturbed(t, func() {
				remount(t, dir, unix.MS_RDONLY, "")
				log := sandbox.NewLog(t)
				r := run(t, s.look()...)
				s.survived(t, r, log, false)
				if r.get("open") == "0" {
					t.Error("a session opens")
				}
				log.Expect(dir, "read-only file system")
				remount(t, dir, 0, enough)
				s.repaired(t)
			})
		})
	}
}

// Limits that pam_limits or the host's caller set, ever less strict. A root that may lifts them; without that privilege
// there is a session or there is none.
func TestLimits(t *testing.T) {
	s := newSite(t, directories)
	weak := []string{"setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource"}
	for limit, of := range map[string][]int{
		"NOFILE": to(40)[4:], "NPROC": to(4), "FSIZE": {0, 100, 500, 5000, 9 << 20}, "STACK": {100 << 10, 1 << 20, 8 << 20},
		"AS": {40 << 20, 100 << 20, 200 << 20, 400 << 20, 800 << 20, 2 << 30}, "DATA": {10 << 20, 20 << 20, 40 << 20, 80 << 20, 1 << 30},
	} {
		t.Run(limit, func(t *testing.T) {
			s.scarce(t, shortage{of: of, blind: true, give: func(n int) (by, args []string) {
				return weak, []string{"--hard-limit", fmt.Sprintf("%s=%d", limit, n)}
			}})
		})
	}
}

// A control group that may have ever more processes and threads (pids.max).
func TestAFullControlGroup(t *testing.T) {
	s := newSite(t, directories)
	group := pidsGroup(t)
	enter := []string{"sh", "-c", "echo $$ >" + group + "/cgroup.procs && exec \"$@\"", "sh"}
	s.scarce(t, shortage{of: append(to(8), 30), give: func(n int) (by, args []string) {
		must(t, os.WriteFile(group+"/pids.max", []byte(fmt.Sprint(n)), 0))
		return enter, nil
	}})
}

// pidsGroup makes a control group for processes, of either version.
func pidsGroup(t testing.TB) string {
	t.Helper()
	top, err := os.MkdirTemp("/srv", "cgroup-")
	must(t, err)
	t.Cleanup(func() { os.Remove(top) })
	if err = unix.Mount("cgroup", top, "cgroup", 0, "pids"); err != nil {
		must(t, unix.Mount("cgroup", top, "cgroup2", 0, ""))
		must(t, os.WriteFile(top+"/cgroup.subtree_control", []byte("+pids"), 0))
	}
	t.Cleanup(func() { unix.Unmount(top, unix.MNT_DETACH) })
	group := filepath.Join(top, fmt.Sprintf("gons-fault-%d", os.Getpid()))
	must(t, os.Mkdir(group, 0o755))
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	return group
}
