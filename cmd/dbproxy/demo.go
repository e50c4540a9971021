package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
	"github.com/teamtalk-go/dbproxy/internal/tryout/demo"
)

func demoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play a conversation against a running proxy and check it",
		Long: `Play a scripted conversation through the real protocol against a running proxy
that was started with "dbproxy serve --demo", and say what happens, one line
per step. It fails when anything differs from what the protocol promises.

It adds some messages between emma and frank, says which, and leaves the rest
as it was. The step that stops a proxy starts one of its own for that.`,
		Example: `  dbproxy demo
  dbproxy demo --addr 10.0.0.5:10600`,
		Args: cobra.NoArgs,
	}
	addr := proxyFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		conn, err := reach(c.Context(), *addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		opt := demo.Options{Client: conn, Start: startSecond, Out: c.OutOrStdout()}
		err = demo.Play(c.Context(), opt)
		if errors.Is(err, demo.ErrNoCompany) {
			return fmt.Errorf("%w (the proxy at %s); start one with an empty directory: "+
				"dbproxy serve --demo --data ./demo", err, *addr)
		}
		return err
	}
	return c
}

// startSecond starts a proxy on a directory; it is a demo.Start.
func startSecond(ctx context.Context, dir string) (addr string, stop func() error, err error) {
	addr, stop, err = startHere(ctx, serving{data: dir})
	if err != nil {
		err = fmt.Errorf("starting a second proxy: %w", err)
	}
	return addr, stop, err
}

// startHere runs a proxy in this process, on a free port and without a log, until stop is called,
// which returns how it ended.
func startHere(ctx context.Context, s serving) (addr string, stop func() error, err error) {
	s.listen, s.out = []string{"127.0.0.1:0"}, io.Discard
	if err := s.logTo("error"); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	listening := make(chan string, 1)
	ended := make(chan error, 1)
	s.ready = func(addr string, _ company.State) { listening <- addr }
	go func() { ended <- s.run(ctx) }()
	select {
	case addr = <-listening:
		return addr, sync.OnceValue(func() error { cancel(); return <-ended }), nil
	case err = <-ended:
		cancel()
		return "", nil, err
	}
}

// proxyFlag gives a command the flag for the proxy it talks to.
func proxyFlag(c *cobra.Command) *string {
	return c.Flags().String("addr", defaultAddr, "the `address` of the proxy")
}

// reach connects to a running proxy.
func reach(ctx context.Context, addr string) (*client.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errors.New("no answer within 5 s"))
	defer cancel()
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("--addr %s: give HOST:PORT, such as %s", addr, defaultAddr)
	}
	c, err := client.Dial(ctx, addr)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no proxy listens on %s; "+
			"start one with \"dbproxy serve --demo\", or name another with --addr", addr)
	case err != nil:
		return nil, fmt.Errorf("cannot reach a proxy at %s: %w; name another with --addr",
			addr, err)
	}
	return c, nil
}
