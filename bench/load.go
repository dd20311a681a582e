package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

var (
	row  = flag.Int("row", 10000, "sessions in a row")
	most = flag.Int("most", 1000, "sessions that are open while others are opened")
)

// loaded measures whether an open costs more when many sessions are open, or were.
func loaded(variants []*variant) error {
	if err := crowd(variants); err != nil {
		return err
	}
	fmt.Printf("\n%d sessions in a row, by one host with a PAM handle for each\n", *row)
	fmt.Printf("%-26s %12s %12s %12s\n", "", "first 10 %", "last 10 %", "ratio")
	for _, v := range variants {
		times, err := opensInARow(v, *row)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		tenth := max(len(times)/10, 1)
		first, last := median(times[:tenth]), median(times[len(times)-tenth:])
		fmt.Printf("%-26s %9.2f ms %9.2f ms %12.2f\n", v.name, first, last, last/first)
	}
	return nil
}

// opensInARow has one process open and close sessions, and returns how long each open but the first took, in nanoseconds.
func opensInARow(v *variant, count int) ([]int, error) {
	out, err := exec.Command("build/pamhost", "--fresh", "--brief", "--times", "--rounds", strconv.Itoa(count), v.service, "alice").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, out)
	}
	var times []int
	for _, line := range strings.Fields(string(out)) {
		if value, ok := strings.CutPrefix(line, "open_ns="); ok {
			ns, _ := strconv.Atoi(value)
			times = append(times, ns)
		}
	}
	return times[1:], nil // the first loads the module
}

// crowd measures opens while none, a tenth and all of the sessions are open, all of one user, and once more when they
// have closed.
func crowd(variants []*variant) error {
	const rounds = 40
	fmt.Printf("\npam_start + pam_open_session while sessions of the same user are open; median of %d, ratio to none\n", rounds)
	for _, v := range variants {
		var open []*session
		none := 0.0
		for _, count := range []int{0, *most / 10, *most, 0} {
			var err error
			if open, err = hold(v, open, count); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			times := make([]int, rounds)
			for i := range times {
				s, err := measure(v)
				if err != nil {
					return fmt.Errorf("%s: %w", v.name, err)
				}
				times[i] = s.ns
			}
			ms := median(times)
			if none == 0 {
				none = ms
			}
			fmt.Printf("%-26s %6d open %9.2f ms %12.2f\n", v.name, count, ms, ms/none)
		}
	}
	return nil
}

// session is a host that keeps its session open until its standard input ends.
type session struct {
	cmd *exec.Cmd
	in  io.Closer
}

// hold opens sessions, or closes them, until count of them are open.
func hold(v *variant, open []*session, count int) ([]*session, error) {
	for len(open) < count {
		s, err := openHeld(v)
		if err != nil {
			return open, err
		}
		open = append(open, s)
	}
	for _, s := range open[count:] {
		s.in.Close()
		if err := s.cmd.Wait(); err != nil {
			return open, err
		}
	}
	return open[:count], nil
}

func openHeld(v *variant) (*session, error) {
	s := &session{cmd: exec.Command("build/pamhost", "--brief", "--hold", v.service, "alice")}
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.in = in
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "held=") {
			go io.Copy(io.Discard, out)
			return s, nil
		}
	}
	return nil, fmt.Errorf("a session didn't open: %w", s.cmd.Wait())
}

// median returns the median in milliseconds.
func median(ns []int) float64 {
	sorted := slices.Sorted(slices.Values(ns))
	return float64(sorted[len(sorted)/2]) / 1e6
}
