// Package harness runs the real dbproxy binary: it builds it, starts it on a directory, reads its
// log, and stops or kills it. The whole-binary tests use it.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// command is the package that Build builds.
const command = "github.com/teamtalk-go/dbproxy/cmd/dbproxy"

// StartTimeout is how long the binary may take until it listens, on a machine that has much else to
// do.
const StartTimeout = 60 * time.Second

// Build builds the binary into dir and returns its path. The working directory must be within the
// module.
func Build(ctx context.Context, dir string, race bool) (string, error) {
	binary := filepath.Join(dir, "dbproxy")
	args := []string{"build", "-o", binary}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, command)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", command, err, out)
	}
	return binary, nil
}

// Run runs the binary with args to its end, stdin its input, and returns what it wrote to either
// output. The error has that output, too.
func Run(ctx context.Context, binary, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdin = bytes.NewReader([]byte(stdin))
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %v: %w\n%s", filepath.Base(binary), args, err, out)
	}
	return string(out), err
}

// Options say what to start.
type Options struct {
	Binary string
	Data   string // the directory for --data
	Config string // the file for --config
	// the working directory; empty: ours. Without Data and Config the binary looks there what to
	// serve
	Dir    string
	Listen string   // empty: a free port of the loopback address; without Data and Config: not said
	Args   []string // more arguments of serve
	// Wrap is a command, with arguments, that is to become the binary: it gets the binary and its
	// arguments as its own last arguments. Attr is how that process is made. Both may be nil.
	Wrap []string
	Attr *syscall.SysProcAttr
	Tee  io.Writer // gets a copy of the log; may be nil
	// Stdout is the standard output; nil: it goes to the log, too.
	Stdout *os.File
}

// Proxy is a running binary. Its methods are safe for concurrent use.
type Proxy struct {
	Addr string // where it listens; several addresses are separated by commas
	Data string // its directory, empty with a configuration
	Log  *Log
	cmd  *exec.Cmd

	exited chan struct{}
	status error // what Wait returned; to be read after exited is closed
}

// Start starts the binary and waits until it listens. An error of its own carries its log.
func Start(ctx context.Context, o Options) (*Proxy, error) {
	p, err := Launch(o)
	if err != nil {
		return nil, err
	}
	if err := p.AwaitListening(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// Launch starts the binary and does not wait for anything: Addr is empty.
func Launch(o Options) (*Proxy, error) {
	argv := append(append([]string{}, o.Wrap...), o.Binary, "serve")
	argv = append(argv, o.where()...)
	argv = append(argv, o.Args...)
	p := &Proxy{Data: o.Data, Log: newLog(o.Tee), cmd: exec.Command(argv[0], argv[1:]...),
		exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.Log, p.Log
	if o.Stdout != nil {
		p.cmd.Stdout = o.Stdout
	}
	p.cmd.SysProcAttr, p.cmd.Dir = endsWithUs(o.Attr), o.Dir
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %v: %w", argv, err)
	}
	return p, nil
}

// run starts the process and waits for its end. It keeps its thread for so long: the kernel ends
// the process when the thread that started it ends.
func (p *Proxy) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.status = p.cmd.Wait()
		p.Log.close()
		close(p.exited)
	}
}

// AwaitListening waits until a launched binary listens, and sets Addr. An error carries its log.
func (p *Proxy) AwaitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	line, err := p.Log.Await(ctx, func(l Line) bool {
		return l.Message == "listening" && l.Text("addr") != ""
	})
	if err != nil {
		return fmt.Errorf("the proxy does not listen: %w; its log:\n%s", err, p.Log)
	}
	p.Addr = line.Text("addr")
	return nil
}

// where is what to serve, and on which address, as flags.
func (o Options) where() (flags []string) {
	listen := o.Listen
	if listen == "" && o.Data+o.Config != "" {
		listen = "127.0.0.1:0"
	}
	for _, f := range [][2]string{{"--data", o.Data}, {"--config", o.Config},
		{"--listen", listen}} {
		if f[1] != "" {
			flags = append(flags, f[0], f[1])
		}
	}
	return flags
}

// Pid is the process's id.
func (p *Proxy) Pid() int { return p.cmd.Process.Pid }

// Exited returns a channel that is closed when the process has ended.
func (p *Proxy) Exited() <-chan struct{} { return p.exited }

// ExitCode is what the process has exited with, after Exited is closed; -1 when a signal ended it.
func (p *Proxy) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Terminate asks the process to stop (SIGTERM) and does not wait for that.
func (p *Proxy) Terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil &&
		!errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the proxy: %w", err)
	}
	return nil
}

// Wait waits until the process has ended; the error says that it did not end by itself with code 0.
func (p *Proxy) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		if p.status != nil {
			return fmt.Errorf("the proxy ended: %w", p.status)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the proxy to end: %w", context.Cause(ctx))
	}
}

// Stop stops the process by SIGTERM, and kills it when ctx ends before it does. The error says that
// it did not end by itself with code 0.
func (p *Proxy) Stop(ctx context.Context) error {
	err := p.Terminate()
	if err == nil {
		err = p.Wait(ctx)
	}
	p.Kill()
	return err
}

// Kill ends the process at once, as kill -9 does, and waits until it is gone.
func (p *Proxy) Kill() {
	_ = p.cmd.Process.Kill() // gone already: as good
	<-p.exited
}
