package newns

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line string
		want func(*Options)
	}{
		{"", func(o *Options) {}},
		{"ls -l", func(o *Options) { o.Command = []string{"ls", "-l"} }},
		{"-- --pid", func(o *Options) { o.Command = []string{"--pid"} }},
		{"--pid -- ls --uts", func(o *Options) { o.PID = true; o.Command = []string{"ls", "--uts"} }},
		{"--propagation=private", func(o *Options) { o.Propagation = Private }},
		{"--cleanup", func(o *Options) { o.Cleanup, o.PID = true, true }},
		{"--map-root", func(o *Options) { o.MapRoot, o.User = true, true }},
		{"--boottime -5", func(o *Options) { o.Boottime, o.Time = -5, true }},
		{"--hostname job", func(o *Options) { o.Hostname, o.UTS = "job", true }},
		{"--setenv A=b=c --setenv B=", func(o *Options) { o.SetEnv = []string{"A=b=c", "B="} }},
		{"--proc ls", func(o *Options) {
			o.Operations, o.Command = []Operation{{Kind: Proc, Target: "/proc"}}, []string{"ls"}
		}},
		{"--proc=/x/proc", func(o *Options) { o.Operations = []Operation{{Kind: Proc, Target: "/x/proc"}} }},
		{"--config", func(o *Options) { o.ConfigFile = StandardConfig }},
		{"--tmpfs /x:size=1G,ro --ro-bind-try /a:/b --slave /c --overlay a:b:c:d", func(o *Options) {
			o.Operations = []Operation{
				{Kind: Tmpfs, Target: "/x", Parameters: []string{"size=1G", "ro"}},
				{Kind: ReadOnlyBind, Source: "/a", Target: "/b", Try: true},
				{Kind: Propagate, Target: "/c", Type: Slave},
				{Kind: Overlay, Lower: "a", Upper: "b", Work: "c", Target: "d"},
			}
		}},
		{`--bind /a\:b:/c\\d`, func(o *Options) {
			o.Operations = []Operation{{Kind: Bind, Source: "/a:b", Target: `/c\d`}}
		}},
	} {
		want := &Options{Propagation: Slave}
		c.want(want)
		got, err := Parse(strings.Fields(c.line))
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if len(got.Command) == 0 {
			got.Command = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.line, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"--nope":                                "there is no option --nope",
		"-p":                                    "there is no option -p",
		"--bind":                                "--bind needs a value: SRC:DST",
		"--bind /a":                             `--bind wants SRC:DST, not "/a"`,
		"--bind /a:/b:/c":                       `--bind wants SRC:DST`,
		"--bind :/b":                            `--bind wants SRC:DST`,
		"--overlay a:b:c":                       "--overlay wants LOWER:UPPER:WORK:DST",
		"--pid=1":                               "--pid takes no value",
		"--propagation unbindable":              "--propagation is slave, private, shared or unchanged",
		"--hostname " + strings.Repeat("x", 65): "at most 64 characters",
		"--setenv NAME":                         "--setenv wants NAME=VALUE",
		"--monotonic soon":                      `"soon" is no number of seconds`,
		"--map-root --map-auto":                 "--map-auto maps root too",
		"--root /x --propagation shared":        "--root can't be had",
		"--root= ls":                            "--root needs a value that isn't empty: DIR",
		"--cleanup --persist /x":                "--persist keeps what --cleanup is to end",
	} {
		if _, err := Parse(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// FuzzParse: no command line brings the parser down, and what it takes it can plan or refuse.
func FuzzParse(f *testing.F) {
	f.Add("--bind /a:/b --tmpfs /x:size=1 -- ls")
	f.Add("--root=/x --hide /y --proc --devpts=/z")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := Parse(strings.Split(line, " "))
		if err != nil {
			return
		}
		if p, err := Build(o, Facts{Privileged: true}); err == nil && p.String() == "" {
			t.Error("an empty plan")
		}
	})
}
