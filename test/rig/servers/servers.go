// Package servers starts real engines for tests: MariaDB, Galera, Redis, a Redis Cluster, Redis
// under Sentinel. They are private: made from the installed binaries, on free ports of 127.0.0.1,
// in one temporary directory per test process. All of it goes when the process ends: a package's
// TestMain says
//
//	func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }
//
// or goleak.VerifyTestMain(servers.Around(m)). When the process is killed, or has no such TestMain,
// the kernel ends the engines (on Linux) and a shell that waits for our end removes the directory.
//
// A server that is shared by a test process (MariaDB, SharedGalera) must stay up. A test that
// kills, freezes or replicates starts one of its own (StartMariaDB, StartRedis, …). Functions that
// take a testing.TB end the test when something fails.
package servers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long anything may take, on a machine that has much else to do.
const patience = 3 * time.Minute

// sandbox is what this process has made: it must be one per process, as the shared server is.
type sandbox struct {
	mu       sync.Mutex // held while anything here is made or removed
	root     string     // the temporary directory; empty: none yet
	made     int        // directories made in root
	sweeper  *exec.Cmd  // removes root when our end of lifeline closes
	lifeline io.Closer
	running  map[*process]bool
	template string          // an initialised data directory to copy; empty: none yet
	shared   *DatabaseServer // nil: none yet
	galera   *Galera         // the shared one; nil: none yet
}

var ours = &sandbox{running: map[*process]bool{}}

// Runner is what goleak.VerifyTestMain and TestMain need of a testing.M.
type Runner interface{ Run() int }

type around struct{ m Runner }

func (a around) Run() int {
	code := a.m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// Around returns m with a Stop after its Run; a failing Stop makes the code at least 1.
func Around(m Runner) Runner { return around{m} }

// Stop kills all engines that this process has started, and removes what they stored. The next
// start begins anew.
func Stop() error { return ours.stop() }

// IgnoreGoroutines is for goleak checks that run while a server is up: each has one goroutine,
// which waits for its end.
func IgnoreGoroutines() goleak.Option {
	return goleak.IgnoreAnyFunction(
		"github.com/teamtalk-go/dbproxy/test/rig/servers.(*process).run")
}

// sweep waits until its input ends, which is when our process does, and removes the directory $0.
// The servers end at the same time and may still write: so it tries for a while.
const sweep = `trap '' HUP INT TERM; read -r _
for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$0" && exit; sleep 1; done`

// dir makes a new directory.
func (s *sandbox) dir(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirLocked(name)
}

func (s *sandbox) dirLocked(name string) (string, error) {
	if s.root == "" {
		root, err := os.MkdirTemp(scratch(), "dbproxy-servers-")
		if err != nil {
			return "", err
		}
		sweeper := exec.Command("/bin/sh", "-c", sweep, root)
		sweeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // no Ctrl-C for it
		sweeper.Dir = "/"
		lifeline, err := sweeper.StdinPipe()
		if err == nil {
			err = sweeper.Start()
		}
		if err != nil {
			return "", errors.Join(fmt.Errorf("starting what removes %s: %w", root, err),
				os.RemoveAll(root))
		}
		s.root, s.sweeper, s.lifeline = root, sweeper, lifeline
	}
	s.made++
	dir := filepath.Join(s.root, fmt.Sprintf("%s-%d", name, s.made))
	return dir, os.Mkdir(dir, 0o700)
}

// add notes a process that has been started, remove one that is gone.
func (s *sandbox) add(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[p] = true
}

func (s *sandbox) remove(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, p)
}

func (s *sandbox) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.running {
		p.kill()
	}
	clear(s.running)
	if s.shared != nil {
		s.shared.port.release()
	}
	if s.galera != nil {
		s.galera.release()
	}
	if s.root == "" {
		return nil
	}
	err := os.RemoveAll(s.root)
	s.lifeline.Close()
	if gone := s.sweeper.Wait(); gone != nil {
		err = errors.Join(err, fmt.Errorf("what removes %s: %w", s.root, gone))
	}
	s.root, s.template, s.shared, s.galera = "", "", nil, nil
	return err
}

// find returns the path of an installed binary. Those of servers are often where only root's PATH
// looks.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/libexec",
		"/opt/homebrew/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "",
		fmt.Errorf(
			"%s is not installed, which these tests need: run \"make test\" or "+
				"test/install-servers, "+
				"which install it by apt-get; elsewhere install MariaDB, Galera and Redis yourself",
			name)
}

// await calls done until it returns nil; the error is its last one, when patience is over.
func await(what string, done func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := done()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not come in %v: %w", what, patience, err)
		}
	}
}

// must ends the test if there is an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
