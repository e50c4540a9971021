package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// host is where all engines listen.
const host = "127.0.0.1"

// Engine is what servers of all kinds have. Its methods are safe for concurrent use.
type Engine struct {
	name   string // as messages call it
	dir    string
	port   *port
	shared bool
	argv   func(*Engine) ([]string, error) // what to start
	ready  func(*Engine) error             // nil: it serves
	// joined returns what keeps it, when it is back, from taking part in what it is a member of. A
	// server that is alone has none.
	joined func() error

	mu   sync.Mutex // held while it is started and ended
	proc *process
}

// Port is the engine's port on 127.0.0.1; a Restart keeps it.
func (e *Engine) Port() int { return e.port.number }

// Host is 127.0.0.1.
func (e *Engine) Host() string { return host }

// Addr is the engine's address, host:port.
func (e *Engine) Addr() string { return net.JoinHostPort(host, strconv.Itoa(e.port.number)) }

// Pid is the id of its process, the last one's when it has ended.
func (e *Engine) Pid() int { return e.current().cmd.Process.Pid }

func (e *Engine) current() *process {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.proc
}

// begin gives the engine a directory and a port and starts it; another port, if that was taken
// meanwhile. fill puts into the directory what must be there before; it may be nil. What belongs to
// a test ends with it.
func (e *Engine) begin(t testing.TB, bus bool, fill func(dir string) error) {
	t.Helper()
	t.Cleanup(func() { e.end(t) })
	must(t, e.setUp(bus, fill))
}

// setUp is begin for what may belong to no test.
func (e *Engine) setUp(bus bool, fill func(dir string) error) error {
	dir, err := ours.dir(e.name)
	if err != nil {
		return err
	}
	e.dir = dir
	if fill != nil {
		if err := fill(dir); err != nil {
			return err
		}
	}
	return e.first(bus)
}

// first starts the engine on a port of its own.
func (e *Engine) first(bus bool) error {
	for tries := 0; ; tries++ {
		p, err := freePort(bus)
		if err != nil {
			return err
		}
		e.port = p
		if err = e.start(); err == nil {
			return nil
		}
		p.release()
		if !errors.Is(err, errPortTaken) || tries == 20 {
			return err
		}
	}
}

// end is for the end of the test: it leaves nothing, and shows a failed test what the engine said.
func (e *Engine) end(t testing.TB) {
	if p := e.current(); p != nil {
		p.kill()
		ours.remove(p)
		if t.Failed() {
			t.Logf("%s, process %d, said at last:\n%s", e.name, p.cmd.Process.Pid, p.says())
		}
	}
	if e.port != nil {
		e.port.release()
	}
	if err := os.RemoveAll(e.dir); err != nil {
		t.Error(err)
	}
}

var errPortTaken = errors.New("somebody else listens on its port")

// start starts a process and waits until it serves.
func (e *Engine) start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	argv, err := e.argv(e)
	if err != nil {
		return err
	}
	p, err := launch(e.dir, e.name+".log", argv)
	if err != nil {
		return err
	}
	ours.add(p)
	e.proc = p
	var failed error
	err = await(e.name, func() error {
		if !p.ended() {
			return e.ready(e)
		}
		failed = fmt.Errorf("%s ended at its start; it said:\n%s", e.name, p.says())
		if p.portTaken() {
			failed = fmt.Errorf("%w: %w", errPortTaken, failed)
		}
		return nil
	})
	if err != nil {
		failed = fmt.Errorf("%w; it said:\n%s", err, p.says())
	}
	if failed != nil {
		p.kill()
		ours.remove(p)
	}
	return failed
}

// own ends a test that would disturb others.
func (e *Engine) own(t testing.TB) {
	t.Helper()
	if e.shared {
		t.Fatal(
			"this server is shared by all tests of the process: start one of your own to do that " +
				"to it")
	}
}

// Kill ends the engine as kill -9 does, and waits until it is gone.
func (e *Engine) Kill(t testing.TB) {
	t.Helper()
	e.own(t)
	p := e.current()
	p.kill()
	ours.remove(p)
}

// Stop ends the engine by SIGTERM, so that it can write what it has to, and waits until it is gone.
func (e *Engine) Stop(t testing.TB) {
	t.Helper()
	e.own(t)
	p := e.current()
	must(t, p.signal(syscall.SIGTERM))
	must(t, p.signal(syscall.SIGCONT)) // if it is frozen
	must(t, await("the end of "+e.name, func() error {
		if !p.ended() {
			return fmt.Errorf("process %d still runs; it said:\n%s", p.cmd.Process.Pid, p.says())
		}
		return nil
	}))
	ours.remove(p)
}

// Restart starts the engine anew, on the same port and directory, and waits until it serves; if it
// runs, it is killed first. A member that takes no part then is started once more.
func (e *Engine) Restart(t testing.TB) {
	t.Helper()
	e.again(t)
	e.takePart(t)
}

// takePart starts an engine anew that is a member of something, and takes no part in it though it
// says so.
func (e *Engine) takePart(t testing.TB) {
	t.Helper()
	if e.joined == nil {
		return
	}
	if err := e.joined(); err != nil {
		t.Logf("%s says that it takes part, and does not, which is a fault of the server: %v; it "+
			"is restarted once more", e.name, err)
		e.again(t)
		must(t, e.joined())
	}
}

// again kills the engine and starts it anew.
func (e *Engine) again(t testing.TB) {
	t.Helper()
	e.Kill(t)
	err := await("the restart of "+e.name, func() error {
		err := e.start()
		if errors.Is(err, errPortTaken) {
			return err // by a connection of the past, maybe
		}
		must(t, err)
		return nil
	})
	must(t, err)
}

// Freeze holds the engine: connections to it stay, and get no answer, until Thaw.
func (e *Engine) Freeze(t testing.TB) {
	t.Helper()
	e.own(t)
	p := e.current()
	must(t, p.signal(syscall.SIGSTOP))
	must(t, await("the freeze", func() error {
		if !stopped(p.cmd.Process.Pid) {
			return errors.New("it still runs")
		}
		return nil
	}))
}

// Thaw lets a frozen engine go on.
func (e *Engine) Thaw(t testing.TB) {
	t.Helper()
	must(t, e.current().signal(syscall.SIGCONT))
}
