package main

import (
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the texts that the commands print into the scripts that expect them")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dbproxy": main})
}

// TestCommands runs the scripts in testdata/script, each in an empty directory, against the real commands.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: *update})
}
