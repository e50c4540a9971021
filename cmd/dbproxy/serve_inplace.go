package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
	"github.com/teamtalk-go/dbproxy/internal/inplace"
)

// formerMargin is how long after its DrainTimeout a former process may still have the port.
const formerMargin = time.Second

// inPlace is what a server has that runs in the place of the original's program: TeamTalk's scripts
// start it without arguments, throw its output away, and stop it by server.pid.
type inPlace struct {
	dir    inplace.Dir
	log    *inplace.Log
	former int // the process that server.pid names at the start, if it runs; else 0
}

// asOriginal reports whether this program was started as the original's is. Then it takes the
// arguments that follow.
func asOriginal(argv []string) (args []string, ok bool) {
	if len(argv) != 1 || filepath.Base(argv[0]) != inplace.Program {
		return nil, false
	}
	return []string{"serve", "--" + inPlaceFlag}, true
}

// inPlaceFlag is a hidden flag: a program that is called like the original's has it by itself.
const inPlaceFlag = "in-place"

// takePlace makes s log to the original's file, below the working directory. It says on w where the
// log is, or why it cannot be written; the server goes on without it, unless the file is a link of
// another user.
func (s *serving) takePlace(w io.Writer) error {
	dir := inplace.Here()
	full := func(err error) []byte {
		return logLine(logFormat(s.out, slog.LevelWarn), "the log is full, and cannot be put aside",
			"err", err)
	}
	log, err := dir.OpenLog(math.MaxInt64, 0, full) // how large it may get is not known yet
	if errors.Is(err, inplace.ErrLink) {
		return err
	}
	s.original = &inPlace{dir: dir, log: log, former: dir.Running()}
	s.out = log
	text := "the log is in " + inplace.LogFile
	if err != nil {
		text = fmt.Sprintf("%s cannot be written: %v", inplace.LogFile, err)
	}
	patiently(func() { fmt.Fprintln(w, "dbproxy:", text) })
	return nil
}

// rotates makes the log rotate as a configuration says.
func (p *inPlace) rotates(cfg *config.Config) {
	if p != nil {
		p.log.Rotate(int64(cfg.LogFileSize), cfg.LogFileCount)
	}
}

// patience returns a function that says for how long to wait for an address that another program
// has: the scripts do not wait until the former process has ended.
func (s serving) patience() (still func() bool) {
	if s.original == nil {
		return func() bool { return false }
	}
	end := time.Now().Add(s.limits().DrainTimeout + formerMargin)
	return func() bool { return time.Now().Before(end) }
}

// formerRuns reports whether the former process has not ended yet.
func (p *inPlace) formerRuns() bool { return p != nil && p.former != 0 && inplace.Runs(p.former) }

// lateListener is the admin address, which the former process keeps until it ends, while message
// servers are served already. It is listened on as soon as it can be had.
type lateListener struct {
	addr   net.Addr
	closed context.Context
	stop   context.CancelFunc
	open   func() net.Listener // waits for the address; returns nil when it cannot be had
}

// late returns a listener for the admin address that the former process still has.
func (s serving) late(by string) (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", s.admin)
	if err != nil {
		return nil, badAddress(by, s.admin, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	inTime := s.patience()
	still := func() bool { return s.original.formerRuns() && inTime() }
	return lateListener{addr, ctx, stop, sync.OnceValue(func() net.Listener {
		ln, err := s.await(ctx, by, s.admin, still)
		if err != nil && ctx.Err() == nil {
			s.log.Error("serving without metrics and health: their address cannot be had",
				"err", err)
		}
		return ln
	})}, nil
}

// Accept implements net.Listener.
func (l lateListener) Accept() (net.Conn, error) {
	if ln := l.open(); ln != nil {
		return ln.Accept()
	}
	<-l.closed.Done()
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l lateListener) Close() error {
	l.stop()
	if ln := l.open(); ln != nil {
		return ln.Close()
	}
	return nil
}

// Addr implements net.Listener.
func (l lateListener) Addr() net.Addr { return l.addr }

// announces writes server.pid. Without it the scripts do not find this process, which serves
// nevertheless.
func (s serving) announces() {
	if s.original == nil {
		return
	}
	if err := s.original.dir.WritePID(os.Getpid()); err != nil {
		s.log.Error(inplace.PID+" cannot be written: TeamTalk's scripts do not find this process",
			"pid", os.Getpid(), "err", err)
	}
}

// fails writes into the log why the process ends, as the scripts throw its output away. Nobody else
// may write to the log any more.
func (p *inPlace) fails(err error) {
	log := slog.New(logFormat(p.log, slog.LevelError)(p.log))
	for line := range strings.Lines(descriptors.Explain(err).Error()) {
		log.Error(strings.TrimSpace(line))
	}
}
