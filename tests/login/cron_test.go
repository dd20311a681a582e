package login_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gons/tests/sandbox"
)

// jobs are where the jobs of a user call back to, one listener for each job.
var jobs map[string][]*net.TCPListener

// startCron starts cron with a job for each user, run at once. A job is a shell that is spoken to through a socket.
func startCron(t testing.TB, users ...string) {
	t.Helper()
	jobs = map[string][]*net.TCPListener{}
	table := "SHELL=/bin/bash\nMAILTO=\"\"\n"
	for _, user := range users {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		jobs[user] = append(jobs[user], l)
		table += fmt.Sprintf("@reboot %s exec sh <>/dev/tcp/127.0.0.1/%d >&0 2>&1\n", user, l.Addr().(*net.TCPAddr).Port)
	}
	runCron(t, table)
}

// runCron starts cron with a table, as after a boot, until the test ends.
func runCron(t testing.TB, table string) {
	t.Helper()
	tables, _ := filepath.Glob("/etc/cron.d/*")
	for _, path := range append(tables, "/etc/crontab", "/run/crond.reboot", "/run/crond.pid") {
		os.Remove(path)
	}
	sandbox.Write(t, "/etc/cron.d/gons-test", table, 0o644)
	cmd := exec.Command("/usr/sbin/cron", "-f")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// openJob takes the next job of a user.
func openJob(t testing.TB, user string) *shell {
	t.Helper()
	l := jobs[user][0]
	jobs[user] = jobs[user][1:]
	l.SetDeadline(time.Now().Add(patience))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return &shell{begin(t, nil, conn, conn)}
}

// attemptJob runs a job. What it prints goes to a file, which isn't there where cron didn't come to run it.
func attemptJob(t testing.TB, user, command string) string {
	t.Helper()
	seen := "/home/" + user + "/seen"
	defer os.Remove(seen)
	log := sandbox.NewLog(t)
	runCron(t, fmt.Sprintf("MAILTO=\"\"\n@reboot %s (%s) > ~/seen\n", user, command))
	poll(t, "cron runs the job, or the module says why not", func() bool {
		data, _ := os.ReadFile(seen)
		return len(data) > 0 || len(log.Lines()) > 0
	})
	data, _ := os.ReadFile(seen)
	return string(data)
}

var cron = host{service: "cron", start: startCron, login: openJob, attempt: attemptJob, silent: true}

func TestCron(t *testing.T) { checkSessions(t, cron) }

func TestCronRefused(t *testing.T) {
	each := cron
	each.start = nil // attempts bring their own
	checkRefusal(t, each)
}

func TestCronKilled(t *testing.T) { checkKilled(t, cron) }
