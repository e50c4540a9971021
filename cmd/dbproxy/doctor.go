package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/doctor"
	"github.com/teamtalk-go/dbproxy/internal/doctor/repair"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// exitFound is the exit code of "dbproxy doctor" when something is wrong and was not repaired.
const exitFound = 2

// copyTime is how long a proxy usually takes at most to copy to Redis what it has stored.
const copyTime = time.Second

// examining is what "dbproxy doctor" is asked for.
type examining struct {
	where                          *target
	repair, original, asJSON, sure bool
}

func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find and repair what races and crashes have left behind",
		Long: `Look through a data directory, or the MySQL and Redis of a configuration, for
what races and crashes of original servers left behind: split talks, duplicate
sessions and members, impossible message ids, counters that disagree. It says
whether something is wrong, and then what there is, how many, with examples, and
what a repair does about it. Servers may be at work meanwhile. It changes
nothing unless told to.

--repair mends what can be mended without loss, a little at a time. It can be
stopped with Ctrl-C, and goes on when it is run again. Make a backup first.

--before-original looks only at what an original server needs in Redis to take
over from dbproxy.

The exit code says what became of it:
  0  nothing is wrong, or not any more
  1  it could not look: see the error
  2  something is wrong

docs/doctor.md explains every finding.`,
		Example: `  dbproxy doctor
  dbproxy doctor --config dbproxyserver.conf --repair
  dbproxy doctor --config dbproxyserver.conf --before-original`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%s: it takes no arguments; name a configuration with --config "+
					"%[1]s", printable(args[0]))
			}
			return nil
		},
	}
	e := examining{where: targetFlags(c)}
	f := c.Flags()
	f.BoolVar(&e.repair, "repair", false, "mend what can be mended without loss")
	f.BoolVar(&e.original, "before-original", false,
		"look whether an original server may take over; with --repair, make it so")
	f.BoolVar(&e.sure, "yes", false, "with --repair: do not ask")
	f.BoolVar(&e.asJSON, "json", false, "print JSON, for programs")
	c.RunE = func(c *cobra.Command, _ []string) error { return e.run(c) }
	return c
}

func (e *examining) run(c *cobra.Command) (err error) {
	if err := e.ask(c); err != nil {
		return err
	}
	d, closing, err := e.open(c.Context())
	if err != nil {
		return err
	}
	var at atomic.Value
	at.Store("")
	d.Repair, d.BeforeOriginal, d.Pause = e.repair, e.original, copyTime
	d.Progress = func(what string, share float64) {
		at.Store(fmt.Sprintf("%s %.0f %%", what, 100*share))
	}
	stop := progress(os.Stderr, "looking", func() string { return at.Load().(string) })
	report, err := d.Run(c.Context())
	stop()
	if err != nil && c.Context().Err() != nil {
		err = errors.New("stopped before it was through; what was repaired until then is " +
			"repaired, and another run goes on")
	}
	err = errors.Join(err, closing())
	if err != nil && len(report.Findings)+len(report.Ranges) == 0 {
		return err
	}
	if e.asJSON {
		err = errors.Join(err, showJSON(c.OutOrStdout(), reportJSON(report, err)))
	} else {
		err = errors.Join(err, writeReport(c.OutOrStdout(), report, e, err == nil))
	}
	if err == nil && report.Open() > 0 {
		err = &exitError{exitFound, fmt.Errorf("something is wrong: %s", kindsOf(report.Open()))}
	}
	return err
}

// repairing is the command as it was typed, with --repair added.
func (e *examining) repairing() string {
	typed := "dbproxy doctor"
	for _, name := range []string{"data", "config"} {
		if f := e.where.cmd.Flags().Lookup(name); f.Changed {
			typed += " --" + name + " " + printable(terminal.ShellWord(f.Value.String()))
		}
	}
	if e.original {
		typed += " --before-original"
	}
	return typed + " --repair"
}

// ask asks whether to repair.
func (e *examining) ask(c *cobra.Command) error {
	switch {
	case e.sure && !e.repair:
		return errors.New("--yes is for --repair: without it nothing is changed, and nobody is " +
			"asked")
	case e.sure, !e.repair:
		return nil
	}
	if !terminal.Is(c.InOrStdin()) {
		return errors.New("--repair changes data: say --yes when nobody is there to be asked")
	}
	fmt.Fprintln(c.ErrOrStderr(),
		"A repair changes data; \"dbproxy doctor\" alone shows what it would do.")
	ask := terminal.NewQuestions(c.InOrStdin(), c.ErrOrStderr())
	if !ask.Yes(c.Context(), "Is there a backup, and shall it begin?") {
		return errors.New("nothing was changed")
	}
	return nil
}

// open opens the store. Without a repair nothing is written to MySQL and Redis.
func (e *examining) open(ctx context.Context) (d *doctor.Doctor, closing func() error, err error) {
	path, err := e.where.chosen()
	if err != nil {
		return nil, nil, err
	}
	d = &doctor.Doctor{}
	var store *records.Store
	if path == "" {
		if store, err = e.where.openExisting(); err != nil {
			return nil, nil, err
		}
		d.Sequencer, closing = counters.Embedded{Records: store}, store.Close
	} else {
		servers, err := e.openServers(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		store, closing = servers.store, servers.close
		if servers.redis == nil {
			d.Sequencer = counters.Embedded{Records: store}
		} else {
			d.Sequencer, d.Copy = servers.redis, redis.Comparison{Copy: servers.redis}
			if e.repair {
				stop := watch(servers)
				closing = func() error { stop(); return servers.close() }
			}
		}
	}
	if d.Records, err = repair.Examine(ctx, store); err != nil {
		return nil, nil, errors.Join(err, closing())
	}
	return d, closing, nil
}

// watch runs what notices that Redis has lost its data, until stop is called.
func watch(s *servers) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.redis.Run(ctx) }) // ends with ctx alone
	return func() { cancel(); running.Wait() }
}

// openServers opens the servers of the configuration at path: for reading alone, or for a repair.
func (e *examining) openServers(ctx context.Context, path string) (*servers, error) {
	cfg, err := loadConfig(e.where.cmd, path)
	if err != nil {
		return nil, err
	}
	log := briefLog(e.where.cmd.ErrOrStderr())
	if e.repair {
		complete := func(s *servers) error { return serving{log: log}.completeOwn(ctx, s.store) }
		return openServers(ctx, cfg, complete, nil, log)
	}
	s, err := reachServers(ctx, cfg, nil, log)
	if err != nil {
		return nil, err
	}
	err = hasTables(ctx, s.store)
	if err == nil {
		err = s.store.Fits(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}
