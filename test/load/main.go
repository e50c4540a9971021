// Load measures how fast a proxy stores messages, for "make bench":
//
//	go run ./test/load --conns 16 --inflight 8 --size 100 --seconds 10 --pairs 1000
//
// Without --addr it builds dbproxy and runs it on a directory of its own. It talks to loopback
// addresses only: it writes messages that nobody wants. Its exit code is not 0 when a message was
// not acknowledged.
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

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	o, addr, err := parse(args)
	if err != nil {
		return err
	}
	if addr == "" {
		p, stop, err := startProxy(ctx)
		if err != nil {
			return err
		}
		return errors.Join(measure(ctx, o, p.Addr), stop())
	}
	return measure(ctx, o, addr)
}

func measure(ctx context.Context, o bench.Options, addr string) error {
	report, err := bench.Run(ctx, o, addr)
	if err != nil {
		return err
	}
	fmt.Print(report)
	return report.Err()
}

// parse reads the arguments and refuses what is out of bounds.
func parse(args []string) (o bench.Options, addr string, err error) {
	o = bench.Defaults()
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&addr, "addr", "",
		"a loopback `address` where a proxy listens; empty: build and start one")
	f.IntVar(&o.Conns, "conns", o.Conns, "connections")
	f.IntVar(&o.InFlight, "inflight", o.InFlight, "messages on each that wait for their answers")
	f.IntVar(&o.Size, "size", o.Size, "`bytes` of text in each message")
	seconds := f.Int("seconds", int(o.For.Seconds()), "how long")
	f.IntVar(&o.Pairs, "pairs", o.Pairs, "pairs of users who talk")
	f.IntVar(&o.Groups, "groups", o.Groups, "groups that half of the messages go to")
	if err := f.Parse(args); err != nil {
		return o, addr, err
	}
	if f.NArg() > 0 {
		return o, addr, fmt.Errorf("what is %q?", f.Arg(0))
	}
	o.For = time.Duration(*seconds) * time.Second
	return o, addr, errors.Join(o.Check(), checkLoopback(addr))
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
		return fmt.Errorf("%s is no loopback address; "+
			"run this on the machine of a proxy that is there to be tried", addr)
	}
	return nil
}

// startProxy builds the binary and runs it on a directory of its own; stop ends it and removes the
// directory.
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
