// Package sandbox runs a package's tests, as root, in a throw-away copy of the machine: mount and pid namespaces of
// their own, whose / is an overlay over the real one. Tests may make users, write /etc/pam.d, mount, and log in for
// real; when they end, whatever way, every process of theirs is dead and nothing they did is left.
//
// A package opts in with
//
//	func TestMain(m *testing.M) { sandbox.Main(m) }
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const insideVar = "GONS_TEST_SANDBOX"

// The main goroutine keeps the first thread for itself. A test that gives its thread to a session must not be given
// that one: it never ends, and /proc/self would show the session's mounts from then on.
func init() { runtime.LockOSThread() }

// Main runs the tests of m inside a sandbox and exits.
func Main(m *testing.M) { Exec(m.Run) }

// Exec starts this program again inside a sandbox, runs f there, and exits with its status. It builds the module and
// the command first, so that nothing runs against old ones. Not being root is a failure and no skip: there is nothing
// left to test then.
func Exec(f func() int) {
	repo, err := repository()
	if err == nil && os.Getenv(insideVar) != "" {
		err = enter(repo)
		if err == nil {
			os.Exit(f())
		}
	} else if err == nil {
		err = spawn(repo)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// repository returns the directory that holds go.mod.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the tests must run from inside the repository")
}

// ignoreNothing gives the signals that this process was started to ignore their default action: nohup ignores SIGHUP, a
// Python program SIGPIPE, and what the tests start would inherit that.
func ignoreNothing() {
	data, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(data), "\nSigIgn:\t")
	word, _, _ := strings.Cut(rest, "\n")
	ignored, _ := strconv.ParseUint(word, 16, 64)
	for sig := 1; sig <= 64; sig++ {
		if ignored&(1<<(sig-1)) != 0 {
			var byDefault [4]uint64 // rt_sigaction(2); nothing but zeros
			unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
		}
	}
}

// spawn runs this test binary again in new namespaces.
func spawn(repo string) error {
	if os.Geteuid() != 0 {
		return errors.New("these tests log in for real and need root")
	}
	if err := build(repo); err != nil {
		return err
	}
	ignoreNothing()
	cmd := exec.Command("/proc/self/exe", withoutLogFile(os.Args[1:])...)
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd.Run()
}

// build makes what the tests run; one at a time, for packages may be tested side by side.
func build(repo string) error {
	if err := os.MkdirAll(filepath.Join(repo, "build"), 0o755); err != nil {
		return err
	}
	lock, err := os.Open(filepath.Join(repo, "build"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot lock %s: %w", lock.Name(), err)
	}
	for _, args := range [][]string{{"-s", "all"}, {"-s", "-C", "tests/pamhost"}} {
		cmd := exec.Command("make", args...)
		cmd.Dir, cmd.Stderr = repo, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("make %s: %w", strings.Join(args, " "), err)
		}
	}
	return nil
}

// withoutLogFile drops the flags that name files below the real /tmp, which the sandbox doesn't have.
func withoutLogFile(args []string) []string {
	var out []string
	for _, a := range args {
		if !strings.HasPrefix(a, "-test.testlogfile=") {
			out = append(out, a)
		}
	}
	return out
}

const newRoot = "/mnt"

// enter makes the copy of the machine and moves into it.
func enter(repo string) error {
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { return mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		overlays,
		devices,
		func() error { return keepRepository(repo) },
		pivot,
		func() error { return os.Chdir(cwd) },
		func() error { return openWay(repo) },
		users,
		listenLog,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	os.Unsetenv(insideVar)
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

// overlays puts a tmpfs over the real / and over each of its top directories that is a mount of its own.
func overlays() error {
	if err := mount("gons-test", newRoot, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	const upper = newRoot + "/.upper"
	if err := mount("", newRoot, "", unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, dir := range []string{"", "usr", "var", "home", "opt", "root", "srv"} {
		if dir != "" && !isMount("/"+dir) {
			continue
		}
		base := upper + "/" + strings.ReplaceAll("root-"+dir, "/", "-")
		for _, d := range []string{base + "/up", base + "/work", newRoot + "/root"} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		options := fmt.Sprintf("lowerdir=/%s,upperdir=%s/up,workdir=%s/work", dir, base, base)
		if err := mount("gons-test", newRoot+"/root/"+dir, "overlay", 0, options); err != nil {
			return err
		}
	}
	for dir, mode := range map[string]os.FileMode{"tmp": 0o777 | os.ModeSticky, "var/tmp": 0o777 | os.ModeSticky, "run": 0o755, "mnt": 0o755} {
		if err := freshTmpfs(newRoot+"/root/"+dir, mode); err != nil {
			return err
		}
	}
	return mount("proc", newRoot+"/root/proc", "proc", 0, "")
}

func freshTmpfs(path string, mode os.FileMode) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if err := mount("gons-test", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func isMount(path string) bool {
	var st, up unix.Stat_t
	return unix.Stat(path, &st) == nil && unix.Stat(path+"/..", &up) == nil && st.Dev != up.Dev
}

// devices makes a /dev of the sandbox's own, so that /dev/log and terminals in it are the tests'.
func devices() error {
	dev := newRoot + "/root/dev"
	if err := mount("gons-test", dev, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindFile("/dev/"+name, dev+"/"+name); err != nil {
			return err
		}
	}
	if err := fuse(dev + "/fuse"); err != nil {
		return err
	}
	for _, dir := range []string{"pts", "shm"} {
		if err := os.Mkdir(dev+"/"+dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("pts/ptmx", dev+"/ptmx"); err != nil {
		return err
	}
	if err := os.Symlink("/proc/self/fd", dev+"/fd"); err != nil {
		return err
	}
	if err := freshTmpfs(dev+"/shm", 0o777|os.ModeSticky); err != nil {
		return err
	}
	return mount("devpts", dev+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
}

// fuse makes the device as udev does, open to everybody; a machine without udev has it for root alone.
func fuse(path string) error {
	if err := unix.Mknod(path, unix.S_IFCHR, int(unix.Mkdev(10, 229))); err != nil {
		return &os.PathError{Op: "mknod", Path: path, Err: err}
	}
	return os.Chmod(path, 0o666)
}

func bindFile(from, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	f.Close()
	return mount(from, to, "", unix.MS_BIND, "")
}

// keepRepository makes the repository visible where it was even when it lies on a mount of its own, below /tmp, say.
func keepRepository(repo string) error {
	target := newRoot + "/root" + repo
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	return mount(repo, target, "", unix.MS_BIND, "")
}

// pivot makes the copy / and forgets the machine's own. /sys stays out: nothing here needs it.
func pivot() error {
	if err := os.Chdir(newRoot + "/root"); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("umount of the old root: %w", err)
	}
	return os.Chdir("/")
}

// openWay lets the sandbox's users get at what was built, also where the repository lies below /root.
func openWay(repo string) error {
	for dir := filepath.Dir(repo); dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil {
			err = os.Chmod(dir, info.Mode()|0o111)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// User is one of the sandbox's users.
type User struct {
	Name string
	UID  int
	Home string
}

// The users that every sandbox has. Alice is in the group "team", bob isn't. Neither has a password.
var (
	Alice = User{"alice", 2001, "/home/alice"}
	Bob   = User{"bob", 2002, "/home/bob"}
)

func users() error {
	for _, path := range []string{"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"} {
		if err := dropNames(path, Alice.Name, Bob.Name, "team"); err != nil {
			return err
		}
	}
	for _, u := range []User{Alice, Bob} {
		lines := map[string]string{
			"/etc/passwd": fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", u.Name, u.UID, u.UID, u.Home),
			"/etc/shadow": fmt.Sprintf("%s:*:19000:0:99999:7:::\n", u.Name),
			"/etc/group":  fmt.Sprintf("%s:x:%d:\n", u.Name, u.UID),
		}
		for path, line := range lines {
			if err := appendLine(path, line); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(u.Home); err != nil {
			return err
		}
		if err := os.MkdirAll(u.Home, 0o700); err != nil {
			return err
		}
		if err := os.Chown(u.Home, u.UID, u.UID); err != nil {
			return err
		}
	}
	return appendLine("/etc/group", "team:x:2100:alice\n")
}

// dropNames removes the machine's own users and groups of the sandbox's names.
func dropNames(path string, names ...string) error {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var keep []string
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if name, _, _ := strings.Cut(line, ":"); !slices.Contains(names, name) {
			keep = append(keep, line)
		}
	}
	return os.WriteFile(path, []byte(strings.Join(keep, "")), 0)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(line)
	return err
}
