package live

import (
	"fmt"
	"strings"
	"testing"

	"gons/internal/config"
	"gons/internal/mountinfo"
	"gons/internal/polyinst"
	"gons/internal/session"
)

func TestDiff(t *testing.T) {
	const device = 254 << 8 // 254:0 (statx(2), makedev(3))
	plan := polyinst.Plan{Namespace: true, Steps: []polyinst.Step{
		polyinst.Propagate{Propagation: config.PropagationSlave},
		polyinst.PrepareDirectory{Slot: 0, Path: "/tmp", Parent: "/i", Name: "alice", Options: config.MountOptions{NoSuid: true}},
		polyinst.PrepareTmpfs{Slot: 1, Path: "/link", Options: config.MountOptions{Data: []string{"size=1G", "nr_inodes=10k", "mode=700"}}},
		polyinst.Attach{Slot: 0, Path: "/tmp"}, polyinst.Attach{Slot: 1, Path: "/link"},
	}}
	whole := func() Observed {
		return Observed{
			Record: session.Record{Covered: []session.Path{"/tmp", "/var/tmp"}, Instances: []session.Instance{{Dev: device, Ino: 5}, {Dev: 30, Ino: 1}}},
			Table: mountinfo.Table{{ID: 1, Parent: 1, Point: "/", Root: "/", Device: "254:0", Master: 1},
				{ID: 2, Parent: 1, Point: "/tmp", Root: "/i/alice", Source: "/dev/vda", Device: "254:0", FileSystem: "ext4", Options: "rw,nosuid"},
				{ID: 3, Parent: 1, Point: "/var/tmp", Root: "/", Device: "0:30", FileSystem: "tmpfs", Super: "rw,size=1048576k,nr_inodes=10240"}},
			Resolved: map[string]string{"/tmp": "/tmp", "/link": "/var/tmp"},
			OnDisk:   map[string]session.Instance{"/i/alice": {Dev: device, Ino: 5}},
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Observed, *polyinst.Plan)
		want   string
	}{
		{"the same", func(*Observed, *polyinst.Plan) {}, ""},
		{"exempt", func(_ *Observed, p *polyinst.Plan) { p.Namespace, p.Reason = false, "no namespace: exempt" },
			"/: the session has a namespace, a login would get none: exempt"},
		{"shared", func(o *Observed, _ *polyinst.Plan) { o.Table[0].Peers = 4 }, "/: it is slave,shared, and would be made slave"},
		{"unmounted", func(o *Observed, _ *polyinst.Plan) { o.Table = append(o.Table[:1], o.Table[2]) }, "/tmp: what covered it was unmounted"},
		{"covered again", func(o *Observed, _ *polyinst.Plan) {
			o.Table = append(o.Table, mountinfo.Mount{ID: 9, Parent: 2, Point: "/tmp", Root: "/", Device: "0:9"})
		}, "/tmp: something else is mounted on top of the instance"},
		{"another instance", func(o *Observed, _ *polyinst.Plan) { o.OnDisk["/i/alice"] = session.Instance{Dev: 1, Ino: 1} },
			"/tmp: it is covered by /dev/vda[/i/alice], and would be by /i/alice"},
		{"no instance", func(o *Observed, _ *polyinst.Plan) { o.OnDisk = nil },
			"/tmp: it is covered by /dev/vda[/i/alice], and would be by /i/alice, which isn't there"},
		{"options", func(o *Observed, _ *polyinst.Plan) { o.Table[1].Options = "rw" }, "/tmp: it is mounted without nosuid"},
		{"size", func(o *Observed, _ *polyinst.Plan) { o.Table[2].Super = "rw,size=4k,nr_inodes=10240" }, "/link: its size is 4k, and would be 1G"},
		{"no longer covered", func(_ *Observed, p *polyinst.Plan) { p.Steps = p.Steps[:4] }, "/var/tmp: it is covered, and wouldn't be at a login"},
		{"covered since", func(o *Observed, _ *polyinst.Plan) { o.Record.Covered = o.Record.Covered[:1] }, "/link: it isn't covered"},
		{"another kind", func(_ *Observed, p *polyinst.Plan) {
			p.Steps = append([]polyinst.Step(nil), p.Steps...)
			p.Steps[1], p.Steps[2] = polyinst.PrepareTmpfs{Slot: 0, Path: "/tmp"}, polyinst.PrepareDirectory{Slot: 1, Path: "/link"}
		}, "/tmp: it is covered by a directory, and would be by a tmpfs; /link: it is covered by a tmpfs, and would be by a directory"},
	} {
		o, p := whole(), plan
		c.change(&o, &p)
		var got []string
		for _, d := range Diff(&p, o) {
			got = append(got, fmt.Sprintf("%s: %s", d.Path, d.Text))
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

func TestMatchAndShort(t *testing.T) {
	all := []Session{{Record: session.Record{ID: "2001-aaaaaaaa1", User: "alice"}}, {Record: session.Record{ID: "2001-aaaaaaaa2", User: "alice"}},
		{Record: session.Record{ID: "2002-bbbbbbbb1", User: "2001"}}}
	for what, want := range map[string]int{"alice": 2, "2001": 1, "2001-": 2, "2001-aaaaaaaa2": 1, "bob": 0, "": 0} {
		if got := len(Match(all, what)); got != want {
			t.Errorf("%q matches %d, want %d", what, got, want)
		}
	}
	if a, b := Short(all[0].ID, all), Short(all[2].ID, all); a != "2001-aaaaaaaa1" || b != "2002-bbbbbbbb" {
		t.Errorf("short are %s and %s", a, b)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 1<<64 - 1: "16.0 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	if got := (Size{Bytes: 1, Limit: 2, AtLeast: true}).String(); got != "more than 1 B of 2 B" {
		t.Error(got)
	}
}
