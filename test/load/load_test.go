package main

import (
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// TestLoad has a proxy store all that it is sent.
func TestLoad(t *testing.T) {
	p := rig.Start(t, rig.NewStore(t))
	err := run(rig.Within(t), []string{"--addr", p.Addr, "--seconds", "1", "--groups", "2"})
	if err != nil {
		t.Error(err)
	}
}

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
