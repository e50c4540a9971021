package main

import (
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		"":                        "",
		"--addr 127.0.0.1:1":      "",
		"--addr [::1]:1":          "",
		"--addr 192.0.2.1:10600":  "no loopback address",
		"--addr :10600":           "no loopback address",
		"--addr 0.0.0.0:10600":    "no loopback address",
		"--seconds 601":           "from 1 to 600",
		"--conns 0":               "from 1 to 1000",
		"--size 4097 --seconds 1": "from 1 to 4096",
		"more":                    "what is",
	} {
		_, _, err := parse(strings.Fields(args))
		if got := err == nil; got != (want == "") ||
			err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
