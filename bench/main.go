// Command bench measures what a login pays: pam_start and pam_open_session with no module, with the distribution's
// pam_namespace.so and with gons, side by side in one run, since only ratios mean something on a busy machine. Each
// measurement is a process of its own (build/pamhost --measure), in a throw-away copy of the machine, and the variants
// take turns. It prints a table: median and 95th percentile of the time, and the private memory that the host gained; and
// whether an open costs more when many sessions are open, or were (load.go). Before that, how fast newns starts a command
// (start.go).
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gons/tests/sandbox"
)

var (
	rounds     = flag.Int("n", 200, "measurements of each variant")
	startsOnly = flag.Bool("starts", false, "only how fast commands start in namespaces")
)

func main() {
	flag.Parse()
	sandbox.Exec(func() int {
		err := starts()
		if err == nil && !*startsOnly {
			err = bench()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
		return 0
	})
}

// variant is one PAM service to be measured.
type variant struct {
	name    string
	service string
	script  bool // namespace.init is in place
	samples []sample
}

type sample struct{ ns, privateKB int }

const initScript = "/etc/security/namespace.init"

func bench() error {
	if err := os.Rename(initScript, initScript+".off"); err != nil {
		return fmt.Errorf("libpam-modules should have installed it: %w", err)
	}
	for _, dir := range []string{"/srv/scratch", "/tmp-inst", "/var-inst", "/srv-inst"} {
		mode := os.FileMode(0)
		if dir == "/srv/scratch" {
			mode = 0o777 | os.ModeSticky
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil {
			return err
		}
	}
	var compared []*variant
	for _, count := range []int{1, 3} {
		if err := configure(count); err != nil {
			return err
		}
		variants, err := services()
		if err != nil {
			return err
		}
		if err := measureAll(variants); err != nil {
			return err
		}
		report(count, variants)
		if count == 1 {
			compared = []*variant{variants[1], variants[3]}
		}
	}
	if err := configure(1); err != nil {
		return err
	}
	if err := loaded(compared); err != nil {
		return err
	}
	return scopes(compared[1])
}

// configure writes the same directories for both modules.
func configure(count int) error {
	legacy, yaml := "", "version: 1\ndirectories:\n"
	for _, d := range [][2]string{{"/tmp", "/tmp-inst"}, {"/var/tmp", "/var-inst"}, {"/srv/scratch", "/srv-inst"}}[:count] {
		legacy += fmt.Sprintf("%s %s/ user root\n", d[0], d[1])
		yaml += fmt.Sprintf("  - {path: %s, method: user, instances: %s, except: {users: [root]}}\n", d[0], d[1])
	}
	if err := os.WriteFile("/etc/security/namespace.conf", []byte(legacy), 0o644); err != nil {
		return err
	}
	return os.WriteFile("/etc/security/gons.yaml", []byte(yaml), 0o644)
}

func services() ([]*variant, error) {
	module, err := filepath.Abs("build/pam_gons.so")
	if err != nil {
		return nil, err
	}
	lines := []struct {
		variant
		session string
	}{
		{variant{name: "no module"}, "pam_permit.so"},
		{variant{name: "pam_namespace, no script"}, "pam_namespace.so"},
		{variant{name: "pam_namespace, script", script: true}, "pam_namespace.so"},
		{variant{name: "gons"}, module},
	}
	var out []*variant
	for i, l := range lines {
		v := l.variant
		v.service = fmt.Sprintf("gons-bench-%d", i)
		stack := "auth required pam_permit.so\naccount required pam_permit.so\nsession required " + l.session + "\n"
		if err := os.WriteFile("/etc/pam.d/"+v.service, []byte(stack), 0o644); err != nil {
			return nil, err
		}
		out = append(out, &v)
	}
	return out, nil
}

func measureAll(variants []*variant) error {
	for i := -3; i < *rounds; i++ { // the first few make instances and fill caches
		for _, v := range variants {
			s, err := measure(v)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			if i >= 0 {
				v.samples = append(v.samples, s)
			}
		}
	}
	return nil
}

func measure(v *variant) (sample, error) {
	if v.script {
		if err := os.Rename(initScript+".off", initScript); err != nil {
			return sample{}, err
		}
		defer os.Rename(initScript, initScript+".off")
	}
	var stderr bytes.Buffer
	cmd := exec.Command("build/pamhost", "--measure", v.service, "alice")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("%w: %s%s", err, out, stderr.Bytes())
	}
	values := map[string]int{}
	for _, line := range strings.Fields(string(out)) {
		if key, value, ok := strings.Cut(line, "="); ok {
			values[key], _ = strconv.Atoi(value)
		}
	}
	return sample{values["start_open_ns"], values["private_after"] - values["private_before"]}, nil
}

func report(count int, variants []*variant) {
	fmt.Printf("\npam_start + pam_open_session, %d of /tmp, /var/tmp, /srv/scratch by user, existing instance; %d processes each\n", count, *rounds)
	fmt.Printf("%-26s %12s %12s %10s %24s\n", "", "median ms", "p95 ms", "ratio", "private memory added, kB")
	base := 0.0
	for _, v := range variants {
		median, p95 := percentile(v.samples, 50), percentile(v.samples, 95)
		if base == 0 {
			base = median
		}
		fmt.Printf("%-26s %12.2f %12.2f %10.1f %24d\n", v.name, median, p95, median/base, memory(v.samples))
	}
}

// percentile returns the p-th percentile of the times, in milliseconds.
func percentile(samples []sample, p int) float64 {
	times := make([]int, len(samples))
	for i, s := range samples {
		times[i] = s.ns
	}
	slices.Sort(times)
	return float64(times[min(len(times)-1, len(times)*p/100)]) / 1e6
}

// memory returns the median of what the host gained.
func memory(samples []sample) int {
	sizes := make([]int, len(samples))
	for i, s := range samples {
		sizes[i] = s.privateKB
	}
	slices.Sort(sizes)
	return sizes[len(sizes)/2]
}
