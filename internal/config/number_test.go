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
			"17": "17", "17;": "17", "17 // cores": "17", "17.9": "17", "17,000": "17",
			"17px": "17", "17 18": "17",
			"017": "17", "+17": "17", "+17;": "17", "\v17;": "17", "17\u00a0": "17", "17；": "17",
			";": "", "one": "", "-17": "", "-17;": "", "+-17;": "", "+": "", "１７": "",
			"99999999999999999999;": "",
			"4294967313;":           "", `"17"`: "",
		} {
			checkNumber(t, k.name, text, want, k.name+"="+text+"\n"+original)
			if k.name == "ListenPort" {
				checkNumber(t, k.name, text, want, original, k.env()+"="+text)
			}
		}
	}
	if numbers != 21 { // ListenPort, ThreadNum, 2 of each of 2 databases, 3 of each of 5 caches
		t.Errorf("the original has 21 numbers, and %d are read so", numbers)
	}
}

// checkNumber loads a number; an empty want is none, and a mistake.
func checkNumber(t *testing.T, key, number, want, text string, env ...string) {
	t.Helper()
	c, warnings, err := load("x.conf", []byte(text), env)
	if got := valueOf(c, key); got != want {
		t.Errorf("%s %q %v is %q, want %q", key, number, env, got, want)
	}
	mistake := key + " is " + shown(number) + "; it must be a whole number"
	if mistaken := err != nil && strings.Contains(err.Error(), mistake); mistaken != (want == "") {
		t.Errorf("%s %q %v: %v", key, number, env, err)
	}
	told := strings.Contains(fmt.Sprint(warnings), "; write "+key+"=17")
	if clean := strings.Trim(number, "+0") == want; told != (want != "" && !clean) {
		t.Errorf("%s %q %v: %v", key, number, env, warnings)
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
		"MaxConnections=2000;", "MaxInFlight=64 // few", "ConnectionShare=12%",
		"teamtalk_master_maxidlecnt=4;",
		"MaxFrame=16MB", "MaxFrame=16MiB;", "MaxPending=1GiB // all", "MinSendRate=16KiB/s",
		"RequestTimeout=5", "RequestTimeout=5s;", "DrainTimeout=4 s",
		"teamtalk_master_connect_timeout=2s // quick",
	} {
		_, _, err := load("x.conf", []byte(original+line+"\n"), nil)
		key, value, _ := strings.Cut(line, "=")
		want := fmt.Sprintf("x.conf:%d: %s is %q; it must be a ", strings.Count(original, "\n")+1,
			key, value)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
