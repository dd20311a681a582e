package differential_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gons/tests/sandbox"
)

// What the machine has besides the sandbox's own users, as lines of passwd(5).
var people = []string{
	"rootless:x:2010:2010::/:/bin/sh",
	"relative:x:2011:2011::home/relative:/bin/sh",
	"homeless:x:2012:2012:::/bin/sh",
	"nowhere:x:2013:2013::/home/nowhere:/bin/sh",
	"dotted:x:2014:2014::/home/../home/alice:/bin/sh",
	"slashed:x:2015:2015::/home/bob//:/bin/sh",
	"twin:x:2001:2001::/home/alice:/bin/sh",
	"dot.ted:x:2016:2016::/home/alice:/bin/sh",
	"a..b:x:2017:2017::/home/alice:/bin/sh",
	"..:x:2020:2020::/home/alice:/bin/sh",
	"sla/sh:x:2021:2021::/home/alice:/bin/sh",
	longName + ":x:2018:2018::/home/alice:/bin/sh",
	eightyName + ":x:2019:2019::/home/alice:/bin/sh",
}

// Names of 80 and of more bytes: pam_namespace shortens the second.
var (
	eightyName = strings.Repeat("e", 80)
	longName   = strings.Repeat("long-", 20)
)

// The distribution's own namespace.init, which the fresh disks don't have.
var stockScript string

func prepareMachine() error {
	data, err := os.ReadFile("/etc/security/namespace.init")
	if err != nil {
		return err
	}
	stockScript = string(data)
	passwd, err := os.OpenFile("/etc/passwd", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer passwd.Close()
	if _, err := passwd.WriteString(strings.Join(people, "\n") + "\n"); err != nil {
		return err
	}
	// Debian 13 has no UMASK there; what that means to a new home is a matter of the script's version.
	if err := os.WriteFile("/etc/login.defs", []byte("UMASK\t\t022\n"), 0o644); err != nil {
		return err
	}
	return os.Mkdir("/d", 0o755)
}

// isOld reports whether the peer is Debian 12's.
func isOld(t testing.TB) bool {
	t.Helper()
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(release), "\nVERSION_ID=\"12\"\n")
}

// freshDisk gives the thread a mount namespace in which the directories that matter are empty.
func freshDisk() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, dir := range []string{"/d", "/home", "/etc/security", "/etc/pam.d", "/run", "/tmp", "/var/tmp"} {
		if err := unix.Mount("disk:"+dir, dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount on %s: %w", dir, err)
		}
	}
	return nil
}

// listenLog collects what is said to syslog on this disk.
func listenLog() (stop func() string, err error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/run/log", Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err := unix.Mount("/run/log", "/dev/log", "", unix.MS_BIND, ""); err != nil {
		return nil, err
	}
	lines := make(chan string)
	go func() {
		var all strings.Builder
		buf := make([]byte, 16<<10)
		for n, err := conn.Read(buf); err == nil; n, err = conn.Read(buf) {
			if line := string(buf[:n]); !strings.Contains(line, "warms up") {
				all.WriteString(line + "\n")
			}
		}
		lines <- all.String()
	}()
	return func() string {
		time.Sleep(time.Millisecond) // what was sent is there, but may not be read yet
		conn.Close()
		return <-lines
	}, nil
}

// furnish puts on the disk what the scenario says.
func (s scenario) furnish(module, outer string) error {
	unix.Umask(0)
	err := errors.Join(
		makeDir("/d/t", 0o1777, 0), makeDir("/d/inst", 0, 0), makeDir("/d/log", 0o1777, 0),
		makeDir("/home/alice", 0o700, sandbox.Alice.UID), makeDir("/home/bob", 0o700, sandbox.Bob.UID),
		os.WriteFile("/d/t/host", []byte("of the host"), 0o644),
		os.WriteFile("/etc/pam.d/other", nil, 0o644),
		os.WriteFile("/etc/pam.d/differ", []byte("session required "+module+" "+s.options+"\n"), 0o644),
		os.WriteFile("/etc/pam.d/outer", []byte("session required "+outer+"\n"), 0o644),
		os.WriteFile("/etc/security/namespace.conf", []byte(s.conf), 0o644),
	)
	for name, text := range s.files {
		err = errors.Join(err, writeFile(filepath.Join("/etc/security", name), text))
	}
	unix.Umask(0o022)
	if err == nil && s.setup != "" {
		err = shell("set -e\n" + s.setup)
	}
	if err == nil && s.host != "" {
		err = shell("mount " + strings.ReplaceAll(s.host, ";", "; mount "))
	}
	return err
}

func writeFile(path, text string) error {
	mode := os.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	text = strings.Replace(text, stock, stockScript, 1)
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode))
}

func makeDir(path string, mode uint32, uid int) error {
	return errors.Join(unix.Mkdir(path, mode), os.Chown(path, uid, uid), unix.Chmod(path, mode))
}

func shell(script string) error {
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return nil
}
