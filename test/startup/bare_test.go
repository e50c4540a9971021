package startup

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/test/rig"
)

// bare is a binary that the test itself holds the outputs of.
type bare struct {
	*exec.Cmd
	addr, admin string
	data        string
	ended       chan struct{} // closed when it has; status is how
	status      error
}

// launchBare starts the binary on a store of seed.sql, on ports that are free, with outputs of the
// test's. wrap is a command that becomes it; it may be empty.
func launchBare(t *testing.T, stdout, stderr *os.File, wrap ...string) *bare {
	t.Helper()
	rig.NoteSources()
	b := &bare{data: rig.NewStore(t), ended: make(chan struct{})}
	b.addr, b.admin = fmt.Sprint("127.0.0.1:", freePort(t)), fmt.Sprint("127.0.0.1:", freePort(t))
	argv := append(wrap, rig.Binary, "serve", "--data", b.data,
		"--listen", b.addr, "--admin", b.admin, "--log-level", "debug")
	b.Cmd = exec.Command(argv[0], argv[1:]...)
	if stdout != nil {
		b.Stdout = stdout
	}
	if stderr != nil {
		b.Stderr = stderr
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b.status = b.Wait()
		close(b.ended)
	}()
	t.Cleanup(func() {
		_ = b.Process.Kill() // it may have ended
		<-b.ended
	})
	return b
}

// dial connects as soon as it listens.
func (b *bare) dial(t *testing.T) (c *client.Client) {
	t.Helper()
	rig.Await(t, "somebody listens on "+b.addr, func() (ok bool) {
		b.goesOn(t)
		var err error
		c, err = client.Dial(rig.Within(t), b.addr)
		return err == nil
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// goesOn fails the test when the process has ended.
func (b *bare) goesOn(t *testing.T) {
	t.Helper()
	select {
	case <-b.ended:
		t.Fatalf("it ended: %v", b.status)
	default:
	}
}

// stop stops it by SIGTERM; it must end in time, with code 0.
func (b *bare) stop(t *testing.T) {
	t.Helper()
	if err := b.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.ended:
		if b.status != nil {
			t.Errorf("it ended: %v", b.status)
		}
	case <-time.After(stopBound(4 * time.Second)):
		t.Errorf("it has not ended %v after SIGTERM", stopBound(4*time.Second))
	}
}

// stopBound is five times what a process may take for its end beyond its DrainTimeout.
func stopBound(drain time.Duration) time.Duration { return drain + 5*500*time.Millisecond }
