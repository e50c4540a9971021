package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/inplace"
	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
)

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve message servers",
		Long: `Serve message servers, from a data directory, which is made when it is missing,
or from the MySQL and Redis that an original dbproxyserver.conf names: see
"dbproxy config". Without --data and --config it takes ./dbproxyserver.conf if
there is one, else ./data.

In a MySQL database it makes what is missing of its own tables; with --no-create
it ends and says so instead. All else, rows to be carried over included, is for
"dbproxy migrate".

Stop it with Ctrl-C or SIGTERM: it tells its peers, finishes what it has, and
ends after --drain-timeout and half a second at the latest. The same again, half
a second later, ends it at once. SIGHUP and a closed terminal do not.

Logs go to standard error, as text on a terminal and as JSON otherwise. Nothing
waits for who reads them.

With --admin it shows how it does over HTTP, at an address of its own: /metrics
for Prometheus, /livez, /readyz with reasons as JSON, and /debug/pprof. Whoever
reaches that address sees all of it: keep it to operators.`,
		Example: `  dbproxy serve
  dbproxy serve --data /var/lib/dbproxy --listen 10.0.0.5:10600
  dbproxy serve --config /etc/dbproxyserver.conf
  dbproxy serve --max-pending 1GiB --max-connections 4000
  dbproxy serve --demo --data /tmp/demo # a made-up company to try things on`,
		Args: cobra.NoArgs,
	}
	a := serveFlags{target: targetFlags(c), limits: config.LimitFlags()}
	f := c.Flags()
	f.StringVar(&a.listen, "listen", defaultAddr,
		"the `address` to listen on; with --config, ListenIP and ListenPort say it")
	f.StringVar(&a.admin, "admin", off,
		"the `address` for metrics, health and profiles, or off; with --config, AdminListen says "+
			"it")
	f.StringVar(&a.level, "log-level", "info",
		"the least `level` to log: debug, info, warn or error")
	completes(c, "log-level", "debug", "info", "warn", "error")
	f.BoolVar(&a.wait, "wait", false, "with --config: wait until MySQL and Redis can be reached")
	f.BoolVar(&a.noCreate, "no-create", false, "with --config: make no tables")
	f.BoolVar(&a.demo, "demo", false, "fill an empty data directory with a made-up company first")
	f.BoolVar(&a.replaces, inPlaceFlag, false, "serve in the place of the original's program")
	_ = f.MarkHidden(inPlaceFlag) // fails only without the flag
	addLimits(c, a.limits)
	c.RunE = func(c *cobra.Command, _ []string) error { return a.run(c) }
	return c
}

// serveFlags is what "dbproxy serve" was called with.
type serveFlags struct {
	target               *target
	listen, admin, level string
	wait, noCreate, demo bool
	replaces             bool // the program was started as the original's is
	limits               *config.Flags
}

func (a *serveFlags) run(c *cobra.Command) (failed error) {
	path, why, err := a.target.configured()
	if err != nil {
		return err
	}
	s := serving{
		data: a.target.data, listen: []string{a.listen}, admin: a.admin,
		demo: a.demo, wait: a.wait, noCreate: a.noCreate,
		exit: os.Exit, signals: signalsOfServers(), out: c.ErrOrStderr(),
	}
	if a.replaces {
		path, why = config.File, "the program is called "+inplace.Program
		if err := s.takePlace(c.ErrOrStderr()); err != nil {
			return err
		}
	}
	if err := s.logTo(a.level); err != nil {
		return err
	}
	defer func() { s.ends(failed) }()
	if path == "" {
		s, err = a.embedded(s, why)
	} else {
		s, err = a.configured(c, s, path, why)
	}
	if err != nil {
		return err
	}
	if a.demo {
		s.ready = func(addr string, filled company.State) {
			s.written.Flush(lastLines) // no line of the log stands in the midst of it
			patiently(func() { sayWhatToTry(c.OutOrStdout(), s.data, addr, filled) })
		}
	}
	return s.run(c.Context())
}

// embedded returns s set up for a data directory.
func (a *serveFlags) embedded(s serving, why string) (serving, error) {
	switch {
	case a.noCreate:
		return s, errors.New("--no-create is for --config: a data directory is nothing without " +
			"its tables")
	case a.wait:
		return s, errors.New("--wait is for --config: a data directory has no servers to wait for")
	}
	l, err := a.limits.Limits()
	if err != nil {
		return s, err
	}
	s.limit = &l
	s.log.Info("serving from a data directory", "data", s.data, "why", why)
	return s, nil
}

// configured returns s set up for the servers of a configuration, with what the configuration says
// where no flag does.
func (a *serveFlags) configured(c *cobra.Command, s serving, path, why string) (serving, error) {
	if s.demo {
		return s, errors.New("--demo is for a data directory: it fills no MySQL")
	}
	cfg, warnings, err := config.Load(path, os.Environ(), a.limits)
	for _, w := range warnings {
		s.log.Warn("configuration", "at", w.Where, "what", w.Text)
	}
	if err != nil {
		return s, err
	}
	if !c.Flags().Changed("log-level") {
		if err := s.logTo(cfg.LogLevel.String()); err != nil {
			return s, err
		}
	}
	s.original.rotates(cfg)
	from := "serving from MySQL and Redis"
	if cfg.WithoutRedis() {
		from = "serving from MySQL, without Redis"
	}
	s.log.Info(from, "config", path, "why", why)
	s.limit = &cfg.Limits
	if s.conf, s.path = cfg, path; !c.Flags().Changed("listen") {
		s.listen, s.listenBy = cfg.Listen(), "ListenIP and ListenPort"
	}
	if !c.Flags().Changed("admin") {
		s.admin, s.adminBy, s.adminSpare = cfg.AdminListen, "AdminListen", !cfg.Given("AdminListen")
	}
	return s, nil
}

// addLimits gives a command the limits as flags.
func addLimits(c *cobra.Command, limits *config.Flags) {
	for _, l := range limits.Each {
		c.Flags().AddFlag(&pflag.Flag{
			Name: l.Name, Usage: l.Usage, Value: l, DefValue: l.String(),
			Annotations: map[string][]string{section: {limitFlags}},
		})
	}
}

// named says what to set to change a limit: its key and its flag, or the flag alone where there is
// no configuration.
func (s serving) named(key string) string {
	if s.conf == nil {
		return config.FlagOf(key)
	}
	return key + " (" + config.FlagOf(key) + ")"
}
