package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/voice"
)

// toCheck are all servers that a configuration names. path is its file, and patience how long a row
// may take from the master to the replica.
func toCheck(
	cfg *config.Config, path string, patience time.Duration,
) (s checkup.Servers, err error) {
	s = checkup.Servers{Path: path, Patience: patience}
	if s.Master, s.Replica, err = mysqlServers(cfg); err != nil {
		return s, err
	}
	s.WithoutRedis = cfg.WithoutRedis()
	if !s.WithoutRedis {
		redis, err := redisOptions(cfg)
		if err != nil {
			return s, err
		}
		s.Redis = redis.Uses()
	}
	s.Msfs, err = voice.OpenMsfs(cfg.MsfsSite, cfg.Limits.MsfsTimeout)
	return s, err
}

// startChecks checks all servers before a proxy works on them: see checkup.BeforeStart. makesOwn
// says that tables of our own will be made where they are missing.
func startChecks(
	ctx context.Context, cfg *config.Config, path string, makesOwn bool, logged map[string]bool,
	log *slog.Logger,
) error {
	servers, err := toCheck(cfg, path, cfg.Slave.ConnectTimeout)
	if err != nil {
		return err
	}
	servers.MakesOwn = makesOwn
	return checkup.BeforeStart(ctx, servers, logged, log)
}
