//go:build !race

package documents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

// shell is a bash at work, with all that it has started: a process group.
type shell struct {
	shellBlock
	group  int
	log    string        // the file with what it prints
	exited chan struct{} // closed when the bash has ended
	status error         // how; to be read after that
}

// start gives a block to a bash of its own.
func (r *newcomer) start(b shellBlock) (*shell, error) {
	script := slow.ReplaceAllString(fetch.ReplaceAllString(b.script, ":"), "${1}make -n $2")
	s := &shell{shellBlock: b, log: filepath.Join(r.t.TempDir(), "log"),
		exited: make(chan struct{})}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = slices.Clone(r.env)
	for _, v := range os.Environ() { // a make above us is none of the newcomer's business
		if !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "MFLAGS=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.group = cmd.Process.Pid
	r.started = append(r.started, s)
	go func() {
		s.status = cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

func (s *shell) output() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.ToValidUTF8(text, []byte("?")))
}

var errStillRunning = errors.New("still running")

// await waits until the bash has ended; the error says how, if not well.
func (s *shell) await(most time.Duration) error {
	select {
	case <-s.exited:
		return s.status
	case <-time.After(most):
		return fmt.Errorf("%w after %v", errStillRunning, most)
	}
}

// awaitListening waits until somebody answers at addr.
func (s *shell) awaitListening(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildPatience)
	defer cancel()
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("it ended before it listened on %s: %v", addr, s.status)
		case <-ctx.Done():
			return fmt.Errorf("it does not listen on %s: %w", addr, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the process group, if something of it is left.
func (s *shell) stop() (err error) {
	alive := func() bool { return syscall.Kill(-s.group, 0) == nil }
	if !alive() {
		return nil
	}
	_ = syscall.Kill(-s.group, syscall.SIGINT) // if it is gone just now, so much the better
	for end := time.Now().Add(rig.Patience); alive(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			err = fmt.Errorf("Ctrl-C does not stop this within %v", rig.Patience)
			_ = syscall.Kill(-s.group, syscall.SIGKILL)
			break
		}
	}
	<-s.exited
	return err
}
