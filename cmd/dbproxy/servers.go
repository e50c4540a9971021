package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/ops"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// servers are the MySQL and Redis of a configuration.
type servers struct {
	store    *records.Store
	redis    *redis.Copy // nil: without Redis
	needless bool        // there is a replica in the configuration, which is the master itself
}

// openServers opens the servers that a configuration names. MySQL must answer, and be a database
// whose proxies count where the configuration says. Redis need not answer: until it does, the
// records answer in its place. prepare, if not nil, runs before anything uses the tables. watch may
// be nil.
func openServers(
	ctx context.Context, cfg *config.Config, prepare func(*servers) error, watch *ops.Recorder,
	log *slog.Logger,
) (*servers, error) {
	s, err := reachServers(ctx, cfg, watch, log)
	if err != nil {
		return nil, err
	}
	if prepare != nil {
		err = prepare(s)
	}
	if err == nil {
		err = s.store.Fits(ctx)
	}
	if err != nil {
		_ = s.close() // there is an error already
		return nil, err
	}
	if s.redis != nil {
		s.redis.Use(ctx, s.store)
	}
	return s, nil
}

// reachServers is openServers for those who only read: nothing is written to MySQL and Redis.
func reachServers(
	ctx context.Context, cfg *config.Config, watch *ops.Recorder, log *slog.Logger,
) (*servers, error) {
	s := &servers{needless: cfg.NeedlessSlave()}
	var err error
	if !cfg.WithoutRedis() {
		if s.redis, err = openRedis(cfg, watch, log); err != nil {
			return nil, err
		}
	}
	if s.store, err = openMySQL(cfg, s.redis, log); err != nil {
		s.closeRedis()
		return nil, err
	}
	if err := s.connect(ctx, cfg); err != nil {
		_ = s.close() // there is an error already
		return nil, err
	}
	return s, nil
}

// connect waits until MySQL answers.
func (s *servers) connect(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Master.ConnectTimeout+time.Second)
	defer cancel()
	if err := s.store.DB().Ping(ctx); err != nil {
		return cannotUse(cfg.Master, err)
	}
	return nil
}

// cannotUse says which database cannot be used, where, and as whom.
func cannotUse(d config.Database, err error) error {
	return fmt.Errorf("cannot use MySQL teamtalk_master, database %s at %s as user %s: %w", d.Name,
		d.Addr(), d.User, err)
}

// close ends all connections. Nothing may use them any more.
func (s *servers) close() error {
	err := s.store.Close()
	s.closeRedis()
	return err
}

func (s *servers) closeRedis() {
	if s.redis != nil {
		s.redis.Close()
	}
}

// locks is who is locked out, as all proxies of the database count it.
func (s *servers) locks() locks {
	if s.redis == nil {
		return &counters.Failures{Table: s.store, Shared: true}
	}
	return &counters.SharedFailures{Copy: s.redis}
}

func openMySQL(
	cfg *config.Config, follower *redis.Copy, log *slog.Logger,
) (*records.Store, error) {
	master, replica, err := mysqlServers(cfg)
	if err != nil {
		return nil, err
	}
	opt := recordsOptions(&cfg.Limits, log)
	if follower != nil {
		opt.Follower = follower
	}
	return records.OpenMySQL(master, replica, opt)
}

// mysqlServers are the master and the replica of a configuration; nil where there is no replica.
func mysqlServers(cfg *config.Config) (master sqldb.MySQL, replica *sqldb.MySQL, err error) {
	if master, err = masterOf(cfg); err != nil {
		return master, nil, err
	}
	if cfg.Slave.Host == "" || cfg.SameDatabase() {
		return master, nil, nil
	}
	slave, err := mysqlOf(cfg, "teamtalk_slave", cfg.Slave)
	return master, &slave, err
}

func masterOf(cfg *config.Config) (sqldb.MySQL, error) {
	return mysqlOf(cfg, "teamtalk_master", cfg.Master)
}

func mysqlOf(cfg *config.Config, name string, d config.Database) (sqldb.MySQL, error) {
	secure, err := d.TLS.Client()
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return sqldb.MySQL{
		Name: name, Path: terminal.ShellWord(cfg.Path()),
		Addr: d.Addr(), Database: d.Name, User: d.User, Password: d.Password.Reveal(),
		TLS: secure, PlainAllowed: d.TLS.Optional(),
		MaxConns: d.MaxConns, MaxIdle: d.MaxIdle, MaxLifetime: d.ConnLifetime,
		MaxIdleTime:    d.ConnIdleTime,
		ConnectTimeout: d.ConnectTimeout, StatementTimeout: d.StatementTimeout,
		ReadTimeout: d.ReadTimeout, WriteTimeout: d.WriteTimeout, Join: joinings[d.MultiStatements],
	}, err
}

// joinings are the values of NAME_multi_statements.
var joinings = map[string]sqldb.Joining{"auto": sqldb.JoinAuto, "on": sqldb.JoinAlways,
	"off": sqldb.JoinNever}

func openRedis(cfg *config.Config, watch *ops.Recorder, log *slog.Logger) (*redis.Copy, error) {
	opt, err := redisOptions(cfg)
	if err != nil {
		return nil, err
	}
	opt.Log = log
	if watch != nil {
		calls := watch.Calls("redis")
		opt.Observe = func(instance string, _ int, took time.Duration, err error) {
			calls.Observe(instance, took, err)
		}
	}
	return redis.Open(opt)
}

// redisOptions are the instances of a configuration.
func redisOptions(cfg *config.Config) (opt redis.Options, err error) {
	// Instances with the same settings have the same tls.Config, so that they can share
	// connections.
	clients := make(map[config.TLS]*tls.Config)
	instances := map[string]*link.Instance{"unread": &opt.Unread, "group_set": &opt.GroupSet,
		"token": &opt.Token, "group_member": &opt.GroupMember}
	for _, c := range cfg.Caches() {
		secure, known := clients[c.TLS]
		if !known {
			if secure, err = c.TLS.Client(); err != nil {
				return opt, fmt.Errorf("cache instance %s: %w", c.Name, err)
			}
			clients[c.TLS] = secure
		}
		*instances[c.Name] = instanceOf(c.Cache, secure)
	}
	return opt, nil
}

func instanceOf(c config.Cache, secure *tls.Config) link.Instance {
	i := link.Instance{
		DB: c.DB, Username: c.Username, Password: c.Password.Reveal(), TLS: secure,
		ConnectTimeout: c.ConnectTimeout, CallTimeout: c.CallTimeout,
	}
	switch {
	case len(c.Cluster) > 0:
		i.Cluster, i.DB = c.Cluster, 0
	case len(c.Sentinels) > 0:
		i.Sentinels, i.SentinelMaster = c.Sentinels, c.SentinelMaster
		i.SentinelUsername, i.SentinelPassword = c.SentinelUsername, c.SentinelPassword.Reveal()
	default:
		i.Addr = c.Addrs()[0]
	}
	return i
}
