package main

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // for what scripts do to a database

	engines "github.com/teamtalk-go/dbproxy/test/rig/servers"
)

var update = flag.Bool("update", false,
	"write the texts that the commands print into the scripts that expect them")

func TestMain(m *testing.M) {
	testscript.Main(engines.Around(m), map[string]func(){"dbproxy": main})
}

// TestCommands runs the scripts in testdata/script, each in an empty directory, against the real
// commands. In them "proxy ARGS" starts "dbproxy serve ARGS" on a free port, sets $ADDR to it and
// $ADMIN to its admin address, and stops it when the script ends, or at "stopproxy", after which
// proxy.out has what it printed.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"proxy":     startProxy,
			"stopproxy": stopProxy,
			"ask":       ask,
			"fetch":     fetch,
			"metrics":   metrics,
			"login":     login,
			"failed":    failed,
			"sql":       runSQL,
		},
	})
}

// runSQL is "sql DATABASE FILE": it executes statements in the database of a data directory.
func runSQL(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(ts.ReadFile(args[1]))
	ts.Check(errors.Join(err, db.Close()))
}

// running has the function that stops the proxy of a script, by its directory: scripts run side by
// side.
var running sync.Map

func stopProxy(ts *testscript.TestScript, _ bool, _ []string) {
	stop, ok := running.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no proxy was started")
	}
	stop.(func())()
}

func startProxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("proxy always starts")
	}
	var bin string
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "dbproxy")); err == nil {
			bin = filepath.Join(dir, "dbproxy")
			break
		}
	}
	cmd := exec.Command(bin, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir = ts.Getenv("WORK")
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	out, err := os.Create(filepath.Join(cmd.Dir, "proxy.out"))
	ts.Check(err)
	cmd.Stdout = out
	ts.Check(cmd.Start())
	stop := sync.OnceFunc(func() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		ts.Check(cmd.Wait())
		ts.Check(out.Close())
	})
	running.Store(ts.Getenv("WORK"), stop)
	ts.Defer(stop)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var line struct{ Msg, Addr, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			ts.Setenv("ADDR", line.Addr)
			ts.Setenv("ADMIN", line.Admin)
			go func() { // what else it logs is of no interest, but must not fill the pipe
				for lines.Scan() {
				}
			}()
			return
		}
		ts.Logf("%s", lines.Text())
	}
	ts.Fatalf("the proxy did not start")
}
