// Load sends messages to a proxy as fast as it acknowledges them, for a while, and says how fast that was:
//
//	go run ./test/load --conns 16 --inflight 8 --size 100 --seconds 10 --pairs 1000
//
// Without --addr it builds dbproxy and runs it on a directory of its own. It talks to loopback addresses only: it writes
// messages that nobody wants. Its exit code is not 0 when a message was not acknowledged.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// settings are what is asked for.
type settings struct {
	addr     string
	conns    int // connections
	inflight int // messages under way on each
	size     int // bytes of text in each message
	seconds  int
	pairs    int // pairs of users who talk
	groups   int // groups that half of the messages go to
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if s.addr == "" {
		p, stop, err := startProxy(ctx)
		if err != nil {
			return err
		}
		s.addr = p.Addr
		return errors.Join(s.measure(ctx), stop())
	}
	return s.measure(ctx)
}

// parse reads the arguments and refuses what is out of bounds.
func parse(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&s.addr, "addr", "", "a loopback `address` where a proxy listens; empty: build and start one")
	f.IntVar(&s.conns, "conns", 16, "connections")
	f.IntVar(&s.inflight, "inflight", 8, "messages under way on each connection")
	f.IntVar(&s.size, "size", 100, "`bytes` of text in each message")
	f.IntVar(&s.seconds, "seconds", 10, "how long")
	f.IntVar(&s.pairs, "pairs", 1000, "pairs of users who talk")
	f.IntVar(&s.groups, "groups", 0, "groups that half of the messages go to")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("what is %q?", f.Arg(0))
	}
	for _, b := range []struct {
		name            string
		value, min, max int
	}{
		{"conns", s.conns, 1, 1000},
		{"inflight", s.inflight, 1, 1000},
		{"size", s.size, 1, 4096},
		{"seconds", s.seconds, 1, 600},
		{"pairs", s.pairs, 1, 1_000_000},
		{"groups", s.groups, 0, 10_000},
	} {
		if b.value < b.min || b.value > b.max {
			return s, fmt.Errorf("--%s is %d; it must be from %d to %d", b.name, b.value, b.min, b.max)
		}
	}
	return s, checkLoopback(s.addr)
}

// checkLoopback refuses addresses of other machines.
func checkLoopback(addr string) error {
	if addr == "" {
		return nil
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return err
	}
	if !tcp.IP.IsLoopback() {
		return fmt.Errorf("%s is no loopback address; run this on the machine of a proxy that is there to be tried", addr)
	}
	return nil
}

// startProxy builds the binary and runs it on a directory of its own; stop ends it and removes the directory.
func startProxy(ctx context.Context) (p *harness.Proxy, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "dbproxy-load")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	binary, err := harness.Build(ctx, dir, false)
	if err != nil {
		return nil, nil, err
	}
	p, err = harness.Start(ctx, harness.Options{Binary: binary, Data: dir})
	if err != nil {
		return nil, nil, err
	}
	return p, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := p.Stop(ctx)
		for _, l := range p.Log.Lines() {
			if l.Level != "INFO" {
				fmt.Fprintln(os.Stderr, "the proxy says:", l.Raw)
			}
		}
		return errors.Join(err, os.RemoveAll(dir))
	}, nil
}
