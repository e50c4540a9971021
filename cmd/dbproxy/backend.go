package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
	"github.com/teamtalk-go/dbproxy/internal/ops"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
	"github.com/teamtalk-go/dbproxy/internal/voice"
)

// backend is what a server works on.
type backend struct {
	rules       chat.Store
	store       *records.Store
	marks       groupsync.Marks
	voiceKey    string
	zone        *time.Location                // the nightly shield goes by its clock
	reads       int                           // how many run at once; 0: the rules' own limit
	descriptors int                           // how many more it may open, without those of pools
	perSound    int                           // how many each sound takes that is stored or read
	loops       []func(context.Context) error // what runs while it serves
	checks      []ops.Check                   // for /readyz, besides those of every server
	degraded    map[string]func() bool        // by part: whether it cannot be used as it should now
	where       []any                         // attributes of the log that say where the data is
	closers     []func() error                // called in reverse order

	// announce is called with the address when the server listens; it may be nil.
	announce func(ctx context.Context, addr string) error
	// fill is for --demo; nil where nothing may be filled.
	fill func(context.Context, chat.Options) (company.State, error)
}

// close closes what was opened. Nothing may use the backend any more.
func (b *backend) close() (err error) {
	for _, end := range slices.Backward(b.closers) {
		err = errors.Join(err, end())
	}
	return err
}

// openEmbedded opens a data directory, which is made when it is missing, for the server that will
// listen on addr.
func (s serving) openEmbedded(ctx context.Context) (b *backend, err error) {
	b = &backend{voiceKey: chat.DefaultVoiceKey, zone: time.Local}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	dir, err := datadir.Open(s.data)
	if err != nil {
		return b, fmt.Errorf("cannot use the data directory: %w", err)
	}
	if err := dir.Own(s.listen[0]); err != nil {
		return b, err
	}
	b.closers = append(b.closers, dir.Release)
	store, ran, err := openRecords(ctx, dir, recordsOptions(s.limit, s.log))
	if err != nil {
		return b, err
	}
	b.closers = append(b.closers, store.Close)
	if len(ran) > 0 {
		s.log.Info("tables created or completed", "statements", len(ran))
	}
	sounds, err := voice.OpenDir(dir.Voice())
	if err != nil {
		return b, fmt.Errorf("opening the directory for voice messages: %w", dir.Explain(err))
	}
	b.closers = append(b.closers, sounds.Close)
	if err := store.DB().OpenAll(ctx); err != nil { // before peers can take the descriptors
		return b, fmt.Errorf("opening %s: %w", dir.Database(), dir.Explain(err))
	}
	b.descriptors, b.perSound = forSQLite, perFile
	failures := &counters.Failures{Table: store, Log: s.log}
	b.store, b.marks, b.rules = store, store, counters.OnRecords(store)
	b.rules.Voice, b.rules.Failures = sounds, failures
	b.loops = append(b.loops, failures.Run)
	b.where = []any{"data", dir.Path()}
	b.announce = func(_ context.Context, addr string) error { return dir.Announce(addr) }
	b.fill = func(ctx context.Context, opt chat.Options) (company.State, error) {
		return company.Ensure(ctx, store, b.rules, opt)
	}
	return b, nil
}

// openConfigured opens the MySQL and Redis of a configuration. told has what earlier tries have
// logged as doubtful, so that it is not logged again.
func (s serving) openConfigured(
	ctx context.Context, cfg *config.Config, watch *ops.Recorder, told map[string]bool,
) (*backend, error) {
	if err := startChecks(ctx, cfg, s.path, !s.noCreate, told, s.log); err != nil {
		return nil, err
	}
	sounds, err := voice.OpenMsfs(cfg.MsfsSite, cfg.Limits.MsfsTimeout)
	if err != nil {
		return nil, err
	}
	prepare := func(on *servers) error {
		if on.redis != nil {
			if away := on.redis.Away(); len(away) > 0 {
				return chat.Errorf(chat.Unavailable, "%w: %s", away[0], away[0].Mend())
			}
		}
		if s.noCreate {
			return nil // startChecks has seen that all is there
		}
		return s.completeOwn(ctx, on.store)
	}
	servers, err := openServers(ctx, cfg, prepare, watch, s.log)
	if err != nil {
		return nil, err
	}
	b := &backend{
		store: servers.store, rules: counters.OnRecords(servers.store), marks: servers.store,
		voiceKey: cfg.AESKey.Reveal(), zone: cfg.ShieldTimeZone, reads: cfg.ThreadNum,
		announce: func(ctx context.Context, addr string) error {
			return servers.store.Join(ctx, onThisHost(addr))
		},
		loops: []func(context.Context) error{
			servers.store.Serve, servers.store.RunReplica, servers.store.DB().WatchMaster,
			func(ctx context.Context) error { return sounds.Watch(ctx, s.log) }},
		degraded: map[string]func() bool{
			"counting": func() bool { return servers.store.Unfit() != nil },
			"mysql":    func() bool { return servers.store.DB().MasterTrouble() != "" },
			"replica":  func() bool { return servers.store.Replica().Trouble() != "" },
		},
		checks:  []ops.Check{{Name: "counting", Probe: servers.countingCheck}},
		where:   []any{"mysql", cfg.Master.Addr(), "database", cfg.Master.Name},
		closers: []func() error{servers.close},

		descriptors: forMySQL, perSound: perUpload,
	}
	if servers.redis == nil {
		failures := &counters.Failures{Table: servers.store, Log: s.log, Shared: true}
		b.rules.Failures = failures
		b.loops = append(b.loops, failures.Run)
	} else {
		servers.addRedis(b, cfg)
	}
	b.checks = append(b.checks, ops.Check{Name: "replica", Probe: servers.replicaCheck})
	b.rules.Voice = sounds
	return b, nil
}

// addRedis has a backend count in Redis as well.
func (s *servers) addRedis(b *backend, cfg *config.Config) {
	b.rules, b.marks = counters.OnCopy(s.store, s.redis),
		counters.Shared{Records: s.store, Copy: s.redis}
	b.rules.Failures = &counters.SharedFailures{Copy: s.redis}
	b.loops = append(b.loops, s.redis.Run)
	b.degraded["redis"] = func() bool { return len(s.redis.Away()) > 0 }
	b.checks = append(b.checks, ops.Check{Name: "redis", Probe: s.redisCheck})
	b.where = append(b.where, "redis", cfg.Unread.Addrs())
	for _, c := range cfg.Caches() {
		b.descriptors += perInstance*(1+len(c.Sentinels)) + perNode*len(c.Cluster)
	}
}

// onThisHost is an address after the name of this machine, if that is known.
func onThisHost(address string) string {
	name, _ := os.Hostname()
	return strings.TrimSpace(name + " " + address)
}

// completeOwn makes the tables that only proxies know, so that a proxy can take an original's
// place. It leaves the originals' tables alone: "dbproxy migrate" adds what is missing there, after
// asking, and startChecks has checked that they are there. It also leaves tables alone whose rows
// would have to be carried over.
func (s serving) completeOwn(ctx context.Context, store *records.Store) error {
	stmts, err := tables.MissingOwn(ctx, store.DB())
	if err != nil {
		return err
	}
	ran, err := store.DB().Define(ctx, stmts, nil)
	if len(ran) > 0 {
		s.log.Info("tables of our own created or completed", "statements", len(ran))
	}
	if err != nil {
		return fmt.Errorf("cannot make the tables of our own that are missing; let a user who "+
			"may run \"dbproxy migrate --config %s\": %w", s.path, err)
	}
	return nil
}

// countingCheck is wrong while proxies of the database are to count elsewhere than this one does.
func (s *servers) countingCheck(context.Context) (ops.State, string) {
	if err := s.store.Unfit(); err != nil {
		return ops.Wrong, "nothing is stored any more: " + err.Error()
	}
	return ops.Good, s.store.Counts().String()
}

// redisCheck is doubtful while a Redis is away. Everything goes on meanwhile, but original servers
// beside this one see old counters.
func (s *servers) redisCheck(context.Context) (ops.State, string) {
	away := s.redis.Away()
	if len(away) == 0 {
		return ops.Good, "reachable"
	}
	return ops.Doubtful, fmt.Sprintf("%v (for %v now): %s; all goes on from MySQL meanwhile, and "+
		"Redis will follow", away[0], ago(away[0].Since), away[0].Mend())
}

// replicaCheck is doubtful while the replica cannot be used. Then everything is read from the
// master.
func (s *servers) replicaCheck(context.Context) (ops.State, string) {
	lag, known := s.store.Replica().Lag()
	switch trouble := s.store.Replica().Trouble(); {
	case trouble != "":
		return ops.Doubtful, trouble + "; all is read from the master"
	case s.needless:
		return ops.Good, "teamtalk_slave is " + sameDatabase
	case known:
		return ops.Good, fmt.Sprintf("%v behind at most", lag.Round(time.Millisecond))
	default:
		return ops.Good, "there is none: all is read from the master"
	}
}
