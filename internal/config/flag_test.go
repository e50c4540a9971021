package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// load is a file and an environment, without flags.
func load(path string, text []byte, env []string) (*Config, []Warning, error) {
	return loadAll(path, text, env, nil)
}

func limitFlags(t *testing.T, given ...string) *Flags {
	t.Helper()
	flags := LimitFlags()
	for i := 0; i < len(given); i += 2 {
		if err := flagOf(t, flags, given[i]).Set(given[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return flags
}

func flagOf(t *testing.T, flags *Flags, name string) *Flag {
	t.Helper()
	for _, f := range flags.Each {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("there is no flag %s", name)
	return nil
}

// TestEveryLimitIsAFlag, but for what is of no use there, with the bounds and the default of its
// key.
func TestEveryLimitIsAFlag(t *testing.T) {
	flags := limitFlags(t)
	want := reflect.TypeFor[Limits]().NumField() - 1 // MsfsTimeout
	if len(flags.Each) != want {
		t.Errorf("there are %d flags, want %d", len(flags.Each), want)
	}
	limits, err := flags.Limits()
	if err != nil {
		t.Fatal(err)
	}
	plain, _, err := load("", []byte(original), nil)
	if err != nil {
		t.Fatal(err)
	}
	if limits != plain.Limits {
		t.Errorf("the defaults are %+v, of the keys %+v", limits, plain.Limits)
	}
	for _, f := range flags.Each {
		if f.Usage == "" || strings.HasSuffix(f.Usage, ".") || strings.ToLower(f.Name) != f.Name {
			t.Errorf("flag %q: %q", f.Name, f.Usage)
		}
		for _, other := range flags.Each {
			if strings.Contains(f.Usage, other.key.name) {
				t.Errorf("--%s speaks of a key, not of its flag: %q", f.Name, f.Usage)
			}
		}
		if got := f.String(); got != f.key.tag.Get("default") {
			t.Errorf("--%s is %s, its default %s", f.Name, got, f.key.tag.Get("default"))
		}
		for _, bad := range []string{"", "x", "-1", "0", "1000000h", "99999999999999999999"} {
			if bad == f.key.tag.Get("min") {
				continue
			}
			if err := f.Set(bad); err == nil ||
				!strings.Contains(err.Error(), f.key.tag.Get("max")) {
				t.Errorf("--%s=%q: %v", f.Name, bad, err)
			}
		}
	}
}

// TestFlagsOverride the environment and the file, and only those that are given.
func TestFlagsOverride(t *testing.T) {
	text := original + "\nRequestTimeout=1s\nDrainTimeout=2s\nMaxPending=32MiB\n"
	env := []string{"DBPROXY_REQUESTTIMEOUT=3s"}
	flags := limitFlags(t, "request-timeout", "7s", "max-frame", "1GiB", "max-pending", "2GiB")
	c, _, err := loadAll("dbproxyserver.conf", []byte(text), env, flags)
	if err != nil {
		t.Fatal(err)
	}
	l := c.Limits
	if l.RequestTimeout != 7*time.Second || l.DrainTimeout != 2*time.Second ||
		l.MaxFrame != 1<<30 || l.MaxPending != 2<<30 {
		t.Errorf("got %+v", l)
	}
	if !c.Given("RequestTimeout") || c.Given("MaxConnections") {
		t.Error("what is given and what is not")
	}
}

// TestMistakeOfSeveralSources tells which of two limits that do not fit together overrides what was
// right without it, and where the other one comes from.
func TestMistakeOfSeveralSources(t *testing.T) {
	const tooLong = ", so such a frame would never fit; raise "
	for name, c := range map[string]struct{ file, env, flag, value, want string }{
		"flag above the default": {flag: "max-frame", value: "1GiB",
			want: "the command line has a mistake:\n" +
				"  --max-frame: --max-frame (1GiB) is above MaxPending (256MiB, the default)" +
				tooLong + "MaxPending"},
		"flag above the file": {file: "MaxPending=32MiB", flag: "max-frame", value: "1GiB",
			want: "the command line has a mistake:\n" +
				"  --max-frame: --max-frame (1GiB) is above MaxPending (32MiB, x.conf:50)" +
				tooLong + "MaxPending"},
		"flag below the default": {flag: "max-pending", value: "8MiB",
			want: "the command line has a mistake:\n" +
				"  --max-pending: MaxFrame (16MiB, the default) is above --max-pending (8MiB)" +
				tooLong + "--max-pending"},
		"flag below the environment": {env: "DBPROXY_MAXFRAME=32MiB", flag: "max-pending",
			value: "8MiB",
			want: "the command line has a mistake:\n" +
				"  --max-pending: MaxFrame (32MiB, DBPROXY_MAXFRAME) is above --max-pending " +
				"(8MiB)" + tooLong + "--max-pending"},
		"environment below the file": {file: "MaxFrame=32MiB", env: "DBPROXY_MAXPENDING=8MiB",
			want: "the environment has a mistake:\n" +
				"  DBPROXY_MAXPENDING: MaxFrame (32MiB, x.conf:50) is above MaxPending (8MiB)" +
				tooLong + "MaxPending"},
		"file below the default": {file: "MaxPending=8MiB", want: "x.conf has a mistake:\n" +
			"  x.conf:50: MaxFrame (16MiB, the default) is above MaxPending (8MiB)" + tooLong +
			"MaxPending"},
		"connections": {file: "teamtalk_slave_maxidlecnt=6",
			env: "DBPROXY_TEAMTALK_SLAVE_MAXCONNCNT=4",
			want: "the environment has a mistake:\n  DBPROXY_TEAMTALK_SLAVE_MAXCONNCNT: " +
				"teamtalk_slave_maxidlecnt " +
				"(6, x.conf:50) is above teamtalk_slave_maxconncnt (4); lower " +
				"teamtalk_slave_maxidlecnt"},
		"all three": {file: "ListenPortt=1\nRateWindow=1", env: "DBPROXY_LOGLEVEL=loud",
			flag: "max-frame", value: "1GiB",
			want: "x.conf and the environment and the command line have 3 mistakes:\n" +
				"  x.conf:51: RateWindow is \"1\"; it must be a time from 1s to 1h, such as 10s\n" +
				"  DBPROXY_LOGLEVEL: LogLevel is \"loud\"; it must be debug, info, warn or " +
				"error\n" +
				"  --max-frame: --max-frame (1GiB) is above MaxPending (256MiB, the default)" +
				tooLong + "MaxPending"},
	} {
		flags := limitFlags(t)
		if c.flag != "" {
			flags = limitFlags(t, c.flag, c.value)
		}
		_, _, err := loadAll("x.conf", []byte(original+c.file+"\n"), []string{c.env}, flags)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v\nwant %s", name, err, c.want)
		}
	}

	_, err := limitFlags(t, "max-frame", "1GiB").Limits()
	if err == nil || !strings.Contains(err.Error(),
		"--max-frame (1GiB) is above --max-pending (256MiB)") {
		t.Errorf("got %v", err)
	}
}
