// Package rig is what the tests of the whole binary share: the binary itself, stores and servers
// for it, requests and their answers, and measures of both. Its subfolders have the rest: see
// test/README.md. A package of tests calls Main in its TestMain.
package rig

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/wait"
)

// Patience is how long a test waits for what must come. It is no measure of speed: a busy machine
// needs it.
const Patience = wait.Patience

// Binary is the binary under test. Main makes it; users other than ours can run it, too.
var Binary string

// seeded is a directory with a store that has the tables and the people of seed.sql. Main makes it.
var seeded string

// Main is the TestMain of all packages that test the binary: it builds the binary, runs the tests,
// ends the servers that they have started, and exits.
func Main(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dbproxy-test")
	if err == nil {
		defer os.RemoveAll(dir)
		err = prepare(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return servers.Around(m).Run()
}

// prepare makes in dir what all tests of this process use.
func prepare(dir string) (err error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	ctx := context.Background()
	if Binary, err = build(ctx, dir); err != nil {
		return err
	}
	seed, err := os.ReadFile(Seed())
	if err != nil {
		return err
	}
	seeded = filepath.Join(dir, "seeded")
	return harness.Migrate(ctx, Binary, seeded, string(seed))
}

// Root is the directory of the module.
var Root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic("the tests do not run within the module")
		}
		dir = filepath.Dir(dir)
	}
})

// Recordings is the directory of what an original was asked and answered.
func Recordings() string { return filepath.Join(Root(), "test", "testdata", "conformance") }

// Seed is the file with the people that all tests find in the store.
func Seed() string { return filepath.Join(Recordings(), "seed.sql") }

// NoteSources reads the names of what the binary is made of. The go command sees that, and so it
// does not give a cached result for tests when the binary has changed, which they do not import.
var NoteSources = sync.OnceFunc(func() {
	for _, name := range []string{"cmd", "internal", "go.mod"} {
		// What cannot be read here has kept the binary from being built.
		_ = filepath.WalkDir(filepath.Join(Root(), name),
			func(string, fs.DirEntry, error) error { return nil })
	}
})

// Await waits for what must come to be so.
func Await(t *testing.T, what string, done func() bool) {
	t.Helper()
	wait.Until(t, what, done)
}
