package checkup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/voice"
)

// theReplica is the name of a subject that no proxy needs.
const theReplica = "MySQL replica"

// Servers are all servers that a configuration names, and how they are to be checked.
type Servers struct {
	Master  sqldb.MySQL
	Replica *sqldb.MySQL // nil means that there is none
	Redis   []redis.Use
	// WithoutRedis says that the configuration is for proxies without Redis.
	WithoutRedis bool
	Msfs         *voice.Msfs
	Path         string        // of the configuration's file, for advice that names it
	MakesOwn     bool          // see CheckOptions
	Patience     time.Duration // see CheckOptions
}

// All checks all servers, side by side.
func All(ctx context.Context, s Servers) []Subject {
	mysql := func(name string, at sqldb.MySQL) Subject {
		return Subject{Name: name, Where: at.Database + " at " + at.Addr}
	}
	master, files := mysql("MySQL master", s.Master), Subject{Name: "File server"}
	var replicas, instances []Subject
	var all sync.WaitGroup
	all.Go(func() {
		opt := CheckOptions{Name: "teamtalk_master", MakesOwn: s.MakesOwn,
			WithoutRedis: s.WithoutRedis}
		master.Findings = CheckMaster(ctx, s.Master, opt)
	})
	if s.Replica != nil {
		replicas = []Subject{mysql(theReplica, *s.Replica)}
		all.Go(func() {
			opt := CheckOptions{Name: "teamtalk_slave", Patience: s.Patience}
			replicas[0].Findings = CheckReplica(ctx, s.Master, *s.Replica, opt)
		})
	}
	all.Go(func() { instances = CheckRedis(ctx, s.Redis, nil) })
	all.Go(func() {
		files.Where, files.Findings = s.Msfs.Site(), []Finding{CheckMsfs(ctx, s.Msfs)}
	})
	all.Wait()
	subjects := slices.Concat([]Subject{master}, replicas, instances, []Subject{files})
	for _, subject := range subjects {
		for i := range subject.Findings {
			mend := &subject.Findings[i].Mend
			*mend = strings.ReplaceAll(*mend, "--config FILE", "--config "+s.Path)
		}
	}
	return subjects
}

// BeforeStart checks all servers before a proxy works on them. It logs what is doubtful, and also
// what is wrong with the replica, as the master answers in its place. The error names everything
// else that is wrong. It has the kind Unavailable when waiting may help. logged holds what earlier
// calls have logged; that is not logged again, and what this call logs is added.
func BeforeStart(ctx context.Context, s Servers, logged map[string]bool, log *slog.Logger) error {
	var wrong []string
	mayPass := true
	for _, of := range All(ctx, s) {
		for _, f := range of.Findings {
			switch id := of.Name + "/" + f.Item; {
			case f.Grade == Wrong && of.Name != theReplica:
				wrong = append(wrong, fmt.Sprintf("%s (%s): %s: %s; %s",
					of.Name, of.Where, f.Item, f.Text, f.Mend))
				mayPass = mayPass && (f.Item == "reachable" || f.Item == itemCluster)
			case f.Grade > Good && !logged[id]:
				logged[id] = true
				log.Warn(f.Grade.String(), "of", of.Name, "at", of.Where, "item", f.Item,
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
