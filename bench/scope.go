package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// scopes measures what the number of a user's sessions costs, each with a namespace of its own and all in one: the first,
// the second and the hundredth open, and a mount and its end on the host, which are passed on to every namespace.
func scopes(v *variant) error {
	const rounds = 40
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return err
	}
	fmt.Printf("\npam_open_session by one host, and one mount(2) with its umount(2) on the host, with sessions of one user open; median of %d\n", rounds)
	fmt.Printf("%-26s %12s %12s %12s %12s\n", "", "open", "ratio", "mount", "ratio")
	for _, scope := range []string{"session", "user"} {
		yaml := "version: 1\nnamespace: {scope: " + scope + "}\ndirectories:\n  - {path: /tmp, method: tmpfs}\n"
		if err := os.WriteFile("/etc/security/gons.yaml", []byte(yaml), 0o644); err != nil {
			return err
		}
		if err := scoped(v, "scope: "+scope, rounds); err != nil {
			return err
		}
	}
	return nil
}

func scoped(v *variant, name string, rounds int) (err error) {
	var open []*session
	var none [2]float64
	for _, count := range []int{0, 1, 99, *most} {
		if open, err = hold(v, open, count); err != nil {
			return err
		}
		opens, err := opensInARow(v, rounds+1)
		if err != nil {
			return err
		}
		mounts, err := mountOften(rounds)
		if err != nil {
			return err
		}
		have := [2]float64{median(opens), median(mounts)}
		if none[0] == 0 {
			none = have
		}
		fmt.Printf("%-15s %5d open %9.2f ms %12.2f %9.3f ms %12.2f\n", name, count, have[0], have[0]/none[0], have[1], have[1]/none[1])
	}
	_, err = hold(v, open, 0)
	return err
}

// mountOften mounts and unmounts on the host, and returns how long each pair took, in nanoseconds.
func mountOften(rounds int) ([]int, error) {
	const at = "/mnt/bench"
	if err := os.MkdirAll(at, 0o755); err != nil {
		return nil, err
	}
	var times []int
	for range rounds {
		began := time.Now()
		if err := unix.Mount("bench", at, "tmpfs", 0, ""); err != nil {
			return nil, err
		}
		if err := unix.Unmount(at, 0); err != nil {
			return nil, err
		}
		times = append(times, int(time.Since(began)))
	}
	slices.Sort(times)
	return times, nil
}
