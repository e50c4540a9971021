package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// benching is what "dbproxy bench" is asked for.
type benching struct {
	bench.Options
	users     string
	list      bool
	json, yes bool
	stdin     bool // the password is its first line
	out, errs io.Writer
}

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench [PROFILE...]",
		Short: "Measure how fast a server is",
		Long: `Measure how fast a server answers: a proxy, or an original. A profile is a kind
of load; --list tells all there are. Without names some of them are run that
want no people. They run one after the other, each in closed loop: so many
requests are in flight all the time. With --rate it is open loop: so many
requests are sent in a second, and the time until an answer counts from when
its request was to be sent, so that a server that stands still cannot hide it.

What profiles ask for is written first: talks, groups, push tokens. All that is
written is between the users of --users, and stays there. A store that has
messages of others between them is refused.

The exit code is 0 only if every request was answered as it should be.`,
		Example: `  dbproxy bench
  dbproxy bench --list
  dbproxy bench page text --for 10s
  dbproxy bench text --rate 2000
  dbproxy bench --users 1-1000 --password secret login users mixed`,
		Annotations: map[string]string{actsItself: "yes"},
		ValidArgs:   completeProfiles(),
	}
	var b benching
	b.flags(c)
	c.AddCommand(yardstickCommand())
	return c
}

// completeProfiles are the profiles, for a shell.
func completeProfiles() (names []string) {
	for _, p := range bench.Profiles() {
		names = append(names, cobra.CompletionWithDesc(p.Name, p.About))
	}
	return names
}

func (b *benching) flags(c *cobra.Command) {
	b.Options = bench.Defaults()
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&b.list, "list", false, "list all profiles")
	f.StringArrayVar(&b.Addrs, "addr", nil, "the server's `address` (default "+defaultAddr+
		"); several, of servers that share a store: give it again")
	f.StringVar(&b.users, "users", fmt.Sprintf("%d-%d", b.Users.First, b.Users.Last),
		"write between the users with the ids `from-to` alone")
	f.StringVar(&b.Password, "password", "",
		"the `password` of all users: login and mixed want it")
	f.IntVar(&b.Conns, "conns", b.Conns, "have `n` connections")
	f.IntVar(&b.InFlight, "inflight", b.InFlight, "have `n` requests in flight on each")
	f.Float64Var(&b.Rate, "rate", 0, "send `n` requests a second on all, in open loop")
	f.DurationVar(&b.For, "for", b.For, "measure each profile for this `time`")
	f.DurationVar(&b.Warmup, "warmup", b.Warmup, "let it run for this `time` before")
	f.IntVar(&b.Size, "size", b.Size, "give each text so many `bytes`")
	f.DurationVar(&b.Timeout, "timeout", b.Timeout,
		"take what is not answered within this `time` for not answered")
	f.BoolVar(&b.Anyway, "anyway", false,
		"use a store that has messages of others between the users, too")
	f.BoolVar(&b.json, "json", false, "print the results as JSON")
	f.BoolVar(&b.yes, "yes", false, "do not ask before another machine is loaded")
	c.RunE = func(c *cobra.Command, args []string) error {
		b.out, b.errs = c.OutOrStdout(), c.ErrOrStderr()
		return b.run(c.Context(), args)
	}
}

func (b *benching) run(ctx context.Context, names []string) error {
	if b.list {
		table := terminal.Table{}
		for _, p := range bench.Profiles() {
			table = append(table, []string{p.Name, p.About})
		}
		return table.Write(b.out)
	}
	profiles, err := bench.Pick(names)
	if err != nil {
		return err
	}
	first, last, _ := strings.Cut(b.users, "-")
	low, err := strconv.ParseUint(first, 10, 32)
	high, err2 := strconv.ParseUint(cmp.Or(last, first), 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("--users: %w", err)
	}
	b.Users = bench.Users{First: uint32(low), Last: uint32(high)}
	if b.Addrs == nil {
		b.Addrs = []string{defaultAddr}
	}
	for _, a := range b.Addrs {
		tcp, err := net.ResolveTCPAddr("tcp", a)
		if err != nil {
			return err
		}
		if !tcp.IP.IsLoopback() && !b.yes {
			return fmt.Errorf("%s is on another machine: --yes", a)
		}
	}
	b.Progress = func(what string, at func() string) func() { return progress(b.errs, what, at) }
	ready, err := bench.Prepare(ctx, b.Options, profiles)
	if err != nil {
		return err
	}
	var results []*bench.Result
	var failed []error
	for _, p := range profiles {
		r, err := ready.Run(ctx, p)
		if err != nil {
			return err
		}
		results, failed = append(results, r), append(failed, r.Err())
		if !b.json {
			fmt.Fprintf(b.out, "%-12s %9.0f/s  p50 %8.2f ms  p99 %8.2f ms  max %8.2f ms  failed %d\n",
				r.Profile, r.PerSecond, r.Latency.P50, r.Latency.P99, r.Latency.Max, r.Failures.Sum())
		}
	}
	if b.json {
		enc := json.NewEncoder(b.out)
		enc.SetIndent("", "  ")
		failed = append(failed, enc.Encode(results))
	}
	return errors.Join(failed...)
}
