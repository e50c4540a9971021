package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/voice"
)

// Names of subjects.
const (
	theMaster  = "MySQL master"
	theReplica = "MySQL replica"
)

// examine checks all servers that a configuration names, side by side. patience is how long a row
// may take from the master to the replica. path is the configuration's file, for advice that names
// it. makesOwn says that tables of our own will be made where they are missing.
func examine(
	ctx context.Context, cfg *config.Config, path string, patience time.Duration, makesOwn bool,
) []checkup.Subject {
	var mysql, redis []checkup.Subject
	var files checkup.Subject
	var all sync.WaitGroup
	all.Go(func() { mysql = examineMySQL(ctx, cfg, patience, makesOwn) })
	all.Go(func() { redis = examineRedis(ctx, cfg) })
	all.Go(func() { files = examineMsfs(ctx, cfg) })
	all.Wait()
	subjects := append(append(mysql, redis...), files)
	for _, s := range subjects {
		for i := range s.Findings {
			s.Findings[i].Mend = strings.ReplaceAll(s.Findings[i].Mend, "--config FILE",
				"--config "+path)
		}
	}
	return subjects
}

// unusable is the subject of a server that cannot even be tried, as its files for TLS have gone
// since the configuration was read.
func unusable(name, where string, err error) checkup.Subject {
	return checkup.Subject{Name: name, Where: where, Findings: []checkup.Finding{
		checkup.Fault("configuration", err.Error(), "mend its keys"),
	}}
}

func examineMySQL(
	ctx context.Context, cfg *config.Config, patience time.Duration, makesOwn bool,
) []checkup.Subject {
	where := func(d config.Database) string { return d.Name + " at " + d.Addr() }
	master, err := mysqlOf(cfg.Master)
	if err != nil {
		return []checkup.Subject{unusable(theMaster, where(cfg.Master), err)}
	}
	subjects := []checkup.Subject{{Name: theMaster, Where: where(cfg.Master)}}
	if cfg.Slave.Host != "" && !cfg.SameDatabase() {
		subjects = append(subjects, checkup.Subject{Name: theReplica, Where: where(cfg.Slave)})
	}
	var both sync.WaitGroup
	both.Go(func() {
		subjects[0].Findings = checkup.CheckMaster(ctx, master,
			checkup.CheckOptions{Name: "teamtalk_master", MakesOwn: makesOwn})
	})
	if len(subjects) > 1 {
		both.Go(func() {
			subjects[1] = examineReplica(ctx, cfg, master, subjects[1], patience)
		})
	}
	both.Wait()
	return subjects
}

func examineReplica(ctx context.Context, cfg *config.Config, master sqldb.MySQL, s checkup.Subject,
	patience time.Duration) checkup.Subject {
	replica, err := mysqlOf(cfg.Slave)
	if err != nil {
		return unusable(s.Name, s.Where, err)
	}
	s.Findings = checkup.CheckReplica(ctx, master, replica,
		checkup.CheckOptions{Name: "teamtalk_slave", Patience: patience})
	return s
}

func examineRedis(ctx context.Context, cfg *config.Config) []checkup.Subject {
	opt, err := redisOptions(cfg)
	if err != nil {
		return []checkup.Subject{unusable("Redis", "", err)}
	}
	return checkup.CheckRedis(ctx, opt.Uses(), nil)
}

func examineMsfs(ctx context.Context, cfg *config.Config) checkup.Subject {
	s := checkup.Subject{Name: "File server", Where: cfg.MsfsSite}
	site, err := voice.OpenMsfs(cfg.MsfsSite, cfg.Limits.MsfsTimeout)
	if err != nil {
		return unusable(s.Name, s.Where, err)
	}
	s.Findings = []checkup.Finding{checkup.CheckMsfs(ctx, site)}
	return s
}

// startChecks checks all servers before a proxy works on them. It logs what is doubtful, and also
// what is wrong with the replica, as the master answers in its place. The error names everything
// else that is wrong; it has the kind Unavailable when waiting may help. What is in told is not
// logged again, and what is logged is added to it. makesOwn is as of examine.
func startChecks(
	ctx context.Context, cfg *config.Config, path string, makesOwn bool, told map[string]bool,
	log *slog.Logger,
) error {
	var wrong []string
	mayPass := true
	for _, s := range examine(ctx, cfg, path, cfg.Slave.ConnectTimeout, makesOwn) {
		for _, f := range s.Findings {
			switch {
			case f.Grade == checkup.Wrong && s.Name != theReplica:
				wrong = append(wrong, fmt.Sprintf("%s (%s): %s: %s; %s", s.Name, s.Where, f.Item,
					f.Text, f.Mend))
				mayPass = mayPass && (f.Item == "reachable" || f.Item == checkup.ItemCluster)
			case f.Grade > checkup.Good && !told[s.Name+"/"+f.Item]:
				told[s.Name+"/"+f.Item] = true
				log.Warn(f.Grade.String(), "of", s.Name, "at", s.Where, "item", f.Item,
					"what", f.Text, "mend", f.Mend)
			}
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	err := errors.New("cannot start:\n  " + strings.Join(wrong, "\n  "))
	if mayPass {
		return chat.Errorf(chat.Unavailable, "%w", err)
	}
	return err
}
