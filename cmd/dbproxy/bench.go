package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
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
	yardstick string // a configuration; empty: yardsticks are not measured
	html      string // a file; empty: none
	list      bool
	json, yes bool
	stdin     bool // the password is its first line
	cmd       *cobra.Command
	in        *bufio.Reader
	out, errs io.Writer
}

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench [PROFILE...]",
		Short: "Measure how fast a server answers",
		Long: `Measure how fast a server answers: a dbproxy, or an original db_proxy_server. A
profile is a kind of load; --list tells all there are, and "all" stands for all.
Without names those are run that have a star there. They run one after the
other, in the list's order, in closed loop: so many requests are in flight all
the time. With --rate it is open loop: so many requests are sent in a second,
and the time until an answer counts from when its request was to be sent, so
that a server that stands still cannot hide it.

What a profile reads is written first: talks, groups, push tokens. All that is
written is between the users with the ids of --users. Its texts, groups, push
tokens and counters stay in the store, and no command removes them: measure on a
store that can be thrown away. One that has messages of others between these
users is refused.

A server counts failed logins here, too, and locks a name out after 11 of them.
So one is tried before a load of them, which a wrong password ends.

The exit code is 0 only if all was answered as it should be, and in open loop
nearly as fast as it was wanted.`,
		Example: `  dbproxy bench
  dbproxy bench --list
  dbproxy bench page text --for 10s --html bench.html
  dbproxy bench text --rate 2000
  echo secret | dbproxy bench all --users 1-1000 --password-stdin
  dbproxy bench --yardstick dbproxyserver.conf`,
		Annotations: map[string]string{actsItself: "yes"},
	}
	for _, p := range bench.Profiles() {
		c.ValidArgs = append(c.ValidArgs, cobra.CompletionWithDesc(p.Name, p.About))
	}
	b := benching{cmd: c}
	b.flags(bench.Defaults(), "list all profiles")
	f := c.Flags()
	f.Float64Var(&b.Rate, "rate", 0, "send `n` requests a second in all, in open loop")
	f.StringVar(&b.yardstick, "yardstick", "",
		"measure what the MySQL of a configuration `file` does by itself, too, before, between "+
			"and after the profiles, and tell their rates in shares of it: see dbproxy bench "+
			"yardstick")
	f.StringVar(&b.html, "html", "", "write a page with curves of the latency into a `file`")
	_ = c.MarkFlagFilename("yardstick", "conf") // fails only without the flag
	_ = c.MarkFlagFilename("html", "html")
	c.AddCommand(growthCommand(), yardstickCommand())
	c.RunE = func(_ *cobra.Command, args []string) error {
		b.open()
		if b.list {
			return b.showProfiles(args)
		}
		return b.run(c.Context(), args)
	}
	return c
}

// open takes the streams of the command.
func (b *benching) open() {
	b.in, b.out, b.errs = bufio.NewReader(b.cmd.InOrStdin()), b.cmd.OutOrStdout(),
		b.cmd.ErrOrStderr()
}

// flags gives the command the flags that all loads have, with these defaults.
func (b *benching) flags(o bench.Options, list string) {
	b.Options = o
	f := b.cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&b.list, "list", false, list)
	f.StringArrayVar(&b.Addrs, "addr", nil, "the server's `address` (default "+defaultAddr+
		"); give it again for more servers that share a store")
	f.StringVar(&b.users, "users", fmt.Sprintf("%d-%d", b.Users.First, b.Users.Last),
		"write only between the users with the ids `from-to`")
	f.BoolVar(&b.stdin, "password-stdin", false,
		"read the password of all users from the first line of standard input; only logins "+
			"want it")
	f.BoolVar(&b.Anyway, "anyway", false,
		"use a store that has messages of others between the users, too")
	f.BoolVar(&b.yes, "yes", false, "do not ask before another machine is loaded")
	f.IntVar(&b.Conns, "conns", b.Conns, "have `n` connections")
	f.IntVar(&b.InFlight, "inflight", b.InFlight, "have `n` requests in flight on each")
	f.DurationVar(&b.Warmup, "warmup", b.Warmup, "let each load run for a `time` that does not "+
		"count")
	f.DurationVar(&b.For, "for", b.For, "then measure it for a `time`")
	f.IntVar(&b.Size, "size", b.Size, "give each text `n` bytes")
	f.DurationVar(&b.Timeout, "timeout", b.Timeout, "wait for an answer for a `time`")
	f.BoolVar(&b.json, "json", false, "print JSON, for programs")
}

// showProfiles lists all profiles.
func (b *benching) showProfiles(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("--list lists all profiles and takes no %q", args[0])
	}
	if b.json {
		return b.writeJSON(bench.Profiles())
	}
	var table terminal.Table
	for _, p := range bench.Profiles() {
		name := p.Name
		if p.Default {
			name += " *"
		}
		table = append(table, []string{name, p.About})
	}
	err := table.Write(b.out)
	_, more := fmt.Fprintln(b.out, "\n* is run when no profile is named.")
	return errors.Join(err, more)
}

// origin is that of what this command measures. No password is among its arguments.
func origin() bench.Origin { return bench.NewOrigin(version(), strings.Join(os.Args, " ")) }

// writeJSON prints a value as JSON.
func (b *benching) writeJSON(value any) error {
	out := json.NewEncoder(b.out)
	out.SetIndent("", "  ")
	return out.Encode(value)
}

// run runs the profiles with these names.
func (b *benching) run(ctx context.Context, names []string) (err error) {
	profiles, err := b.complete(ctx, names)
	if err != nil {
		return err
	}
	stick, err := openYardstick(b.cmd, b.yardstick)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stick.close()) }()
	report := bench.NewReport(&b.Options, origin())
	if err := stick.measure(ctx, report, b.For); err != nil { // before anything is written
		return err
	}
	ready, err := bench.Prepare(ctx, b.Options, profiles)
	if err != nil {
		return b.explain(err)
	}
	if report.Filled = ready.Filled; report.Filled != (bench.Filled{}) {
		b.say("written to prepare the store: %s texts, %d groups, %d push tokens",
			bench.Digits(float64(ready.Filled.Texts)), ready.Filled.Groups, ready.Filled.Tokens)
	}
	err = b.measure(ctx, ready, profiles, stick, report)
	if report.Interrupted = ctx.Err() != nil; err == nil {
		err = report.Err()
	}
	return errors.Join(b.conclude(report, stick != nil), err)
}

// measure runs profiles, and measures yardsticks between and after. An error ends it; what
// was measured until then is in the report.
func (b *benching) measure(
	ctx context.Context, ready *bench.Bench, profiles []bench.Profile, stick *stick,
	report *bench.Report,
) error {
	for i := range profiles {
		if i > 0 && i == len(profiles)/2 {
			if err := stick.measure(ctx, report, b.For); err != nil {
				return err
			}
		}
		result, err := ready.Run(ctx, profiles[i])
		if err != nil {
			return fmt.Errorf("%s: %w", profiles[i].Name, err)
		}
		report.Results = append(report.Results, result)
		if !b.json && stick == nil { // else it waits for its share
			if err := b.show(report.Results, i); err != nil {
				return err
			}
		}
	}
	return stick.measure(ctx, report, b.For)
}

// complete checks what is asked for, and asks for what is lacking.
func (b *benching) complete(ctx context.Context, names []string) ([]bench.Profile, error) {
	profiles, err := bench.Pick(names)
	if err != nil {
		return nil, err
	}
	if err := b.read(slices.ContainsFunc(profiles, bench.Profile.Logins)); err != nil {
		return nil, err
	}
	if err := b.Check(profiles); err != nil {
		return nil, err
	}
	if err := writable(b.html); err != nil {
		return nil, fmt.Errorf("--html: %w", err)
	}
	return profiles, b.begin(ctx)
}

// read reads what the flags say, and the password, if it is needed or standard input has it.
func (b *benching) read(logins bool) (err error) {
	if b.Users, err = usersFrom(b.users); err != nil {
		return err
	}
	if b.Addrs == nil {
		b.Addrs = []string{defaultAddr}
	}
	b.Progress = func(what string, at func() string) func() { return progress(b.errs, what, at) }
	if logins || b.stdin {
		b.Password, err = chatPassword(b.cmd, b.in, "all users", b.stdin)
	}
	return err
}

// writable returns an error if a file cannot be written. It leaves it as it is.
func writable(path string) error {
	if path == "" {
		return nil
	}
	_, missing := os.Stat(path)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil || missing == nil {
		return err
	}
	return os.Remove(path)
}

// begin asks before another machine is loaded, sees that somebody listens, and tells what is done.
func (b *benching) begin(ctx context.Context) error {
	if err := b.allowed(ctx); err != nil {
		return err
	}
	for _, addr := range b.Addrs {
		c, err := reach(ctx, addr)
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	b.say("%s: %s connections.\nWhat is written between users %d and %d stays there.",
		strings.Join(b.Addrs, ", "), bench.Digits(float64(b.Conns)), b.Users.First, b.Users.Last)
	return nil
}

// say tells people what is done.
func (b *benching) say(format string, args ...any) { fmt.Fprintf(b.errs, format+"\n", args...) }

// usersFrom reads a range of ids.
func usersFrom(text string) (u bench.Users, err error) {
	from, to, is := strings.Cut(text, "-")
	first, err1 := strconv.ParseUint(from, 10, 32)
	last, err2 := strconv.ParseUint(to, 10, 32)
	if !is || err1 != nil || err2 != nil {
		return u, fmt.Errorf("--users %s: give the first id and the last, such as 1-1000", text)
	}
	return bench.Users{First: uint32(first), Last: uint32(last)}, nil
}

// allowed asks before another machine is loaded.
func (b *benching) allowed(ctx context.Context) error {
	for _, addr := range b.Addrs {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		switch {
		case err != nil:
			return fmt.Errorf("--addr %s: %w", addr, err)
		case b.yes || tcp.IP.IsLoopback():
			continue
		case !terminal.Is(b.cmd.InOrStdin()):
			return fmt.Errorf("%s is not this machine, which --yes allows: a load takes from a "+
				"server all that it can give", addr)
		}
		question := addr + " is not this machine, and a load takes from a server all that it " +
			"can give. Go on?"
		if !terminal.NewQuestions(b.in, b.errs).Yes(ctx, question) {
			return errors.New("nothing was sent")
		}
	}
	return nil
}

// explain adds to an error what helps.
func (b *benching) explain(err error) error {
	if errors.Is(err, bench.ErrForeign) {
		return fmt.Errorf("%w; nothing was written: name other users with --users, or use it "+
			"--anyway", err)
	}
	return err
}

// show prints the result number i as a row of the table.
func (b *benching) show(results []*bench.Result, i int) error {
	var err error
	if i == 0 {
		err = results[i].WriteHead(b.out)
	}
	return errors.Join(err, results[i].Write(b.out), results[i].WriteKinds(b.out))
}

// wrap prints what write writes in lines that a terminal has space for.
func (b *benching) wrap(write func(io.Writer) error) error {
	var text strings.Builder
	if err := write(&text); err != nil || text.Len() == 0 {
		return err
	}
	_, err := fmt.Fprintln(b.out, strings.Join(terminal.Wrap(text.String(), 80), "\n"))
	return err
}

// conclude prints and writes what is still to be shown of a report.
func (b *benching) conclude(report *bench.Report, rows bool) (err error) {
	if b.json {
		err = b.writeJSON(report)
	} else {
		for i := range report.Results {
			if rows {
				err = errors.Join(err, b.show(report.Results, i))
			}
		}
		err = errors.Join(err, report.WriteYardsticks(b.out), b.wrap(report.WriteTrouble))
	}
	if b.html == "" || err != nil || len(report.Results) == 0 {
		return err
	}
	file, err := os.Create(b.html)
	if err != nil {
		return err
	}
	if err := errors.Join(report.WriteHTML(file), file.Close()); err != nil {
		return err
	}
	b.say("curves of the latency: %s", b.html)
	return nil
}
