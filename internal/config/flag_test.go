package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func limitFlags(t *testing.T, given ...string) *Flags {
	t.Helper()
	flags, err := LimitFlags()
	if err != nil {
		t.Fatal(err)
	}
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

// TestEveryLimitIsAFlag, but for what is of no use there, with the bounds and the default of its key.
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
		if f.Usage == "" || strings.HasSuffix(f.Usage, ".") || strings.ContainsAny(f.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") {
			t.Errorf("flag %q: %q", f.Name, f.Usage)
		}
		if got := f.String(); got != f.key.tag.Get("default") {
			t.Errorf("--%s is %s, its default %s", f.Name, got, f.key.tag.Get("default"))
		}
		for _, bad := range []string{"", "x", "-1", "0", "1000000h", "99999999999999999999"} {
			if bad == f.key.tag.Get("min") {
				continue
			}
			if err := f.Set(bad); err == nil || !strings.Contains(err.Error(), f.key.tag.Get("max")) {
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
	if l.RequestTimeout != 7*time.Second || l.DrainTimeout != 2*time.Second || l.MaxFrame != 1<<30 || l.MaxPending != 2<<30 {
		t.Errorf("got %+v", l)
	}
	if !c.Given("RequestTimeout") || c.Given("MaxConnections") {
		t.Error("what is given and what is not")
	}

	flags = limitFlags(t, "max-frame", "1GiB")
	_, _, err = loadAll("dbproxyserver.conf", []byte(text), env, flags)
	var mistakes *Error
	if !errors.As(err, &mistakes) || len(mistakes.Mistakes) != 1 || mistakes.Mistakes[0].Where != "--max-frame" {
		t.Errorf("got %v", err)
	}
	if _, err := flags.Limits(); err == nil || !strings.Contains(err.Error(), "--max-frame (1GiB) is above --max-pending") {
		t.Errorf("got %v", err)
	}
}
