package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestNumbersAreReadAsTheOriginalReadsThem puts what files in use have, and what C's atoi makes of
// it, into every number that the original has.
func TestNumbersAreReadAsTheOriginalReadsThem(t *testing.T) {
	numbers := 0
	for _, k := range keysOf(&Config{}) {
		if !k.atoi() {
			continue
		}
		numbers++
		for text, want := range map[string]string{
			"17": "17", "17;": "17", "17 // cores": "17", "17.9": "17", "17,000": "17", "17px": "17", "17 18": "17",
			"017": "17", "+17": "17", "+17;": "17", "\v17;": "17", "17\u00a0": "17", "17；": "17",
			";": "", "one": "", "-17": "", "-17;": "", "+-17;": "", "+": "", "１７": "", "99999999999999999999;": "",
			"4294967313;": "", `"17"`: "",
		} {
			for from, given := range map[string]struct {
				text string
				env  []string
			}{
				"the file":        {k.name + "=" + text + "\n" + original, nil},
				"the environment": {original, []string{k.env() + "=" + text}},
			} {
				c, warnings, err := load("x.conf", []byte(given.text), given.env)
				if got := valueOf(c, k.name); got != want {
					t.Errorf("%s %q in %s is %q, want %q", k.name, text, from, got, want)
				}
				mistaken := err != nil && strings.Contains(err.Error(), k.name+" is "+shown(text)+"; it must be a whole number")
				if mistaken != (want == "") {
					t.Errorf("%s %q in %s: %v", k.name, text, from, err)
				}
				told := strings.Contains(fmt.Sprint(warnings), "; write "+k.name+"=17")
				if clean := strings.Trim(text, "+0") == want; told != (want != "" && !clean) {
					t.Errorf("%s %q in %s: %v", k.name, text, from, warnings)
				}
			}
		}
	}
	if numbers != 21 { // ListenPort, ThreadNum, 2 of each of 2 databases, 3 of each of 5 caches
		t.Errorf("the original has 21 numbers, and %d are read so", numbers)
	}
}

// valueOf is what holds for a key; empty without a configuration.
func valueOf(c *Config, name string) string {
	if c == nil {
		return ""
	}
	for _, s := range c.Settings() {
		if s.Key == name {
			return s.Value
		}
	}
	return ""
}

// TestNumbersOfOurOwnAreStrict: no file in use has them otherwise, and 5 would not be meant by 5GB.
func TestNumbersOfOurOwnAreStrict(t *testing.T) {
	for _, line := range []string{
		"MaxConnections=2000;", "MaxInFlight=64 // few", "ConnectionShare=12%", "teamtalk_master_maxidlecnt=4;",
		"MaxFrame=16MB", "MaxFrame=16MiB;", "MaxPending=1GiB // all", "MinSendRate=16KiB/s",
		"RequestTimeout=5", "RequestTimeout=5s;", "DrainTimeout=4 s", "teamtalk_master_connect_timeout=2s // quick",
	} {
		_, _, err := load("x.conf", []byte(original+line+"\n"), nil)
		key, value, _ := strings.Cut(line, "=")
		want := fmt.Sprintf("x.conf:%d: %s is %q; it must be a ", strings.Count(original, "\n")+1, key, value)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
