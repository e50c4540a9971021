package model_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/voice"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// patience is how long anything may take, on a machine that has much else to do.
const patience = time.Minute

// engine is what proxies store on.
type engine interface {
	// clear empties all that is stored. No proxy is open.
	clear() error
	// office is a connection for who writes the same tables, or fills them before any proxy does.
	office() *sql.DB
	// open opens what is stored for a proxy, as "dbproxy serve" does.
	open(now func() time.Time, log *slog.Logger) (*opened, error)
	// lose has the engine lose what it may lose; nil for one that has no such thing.
	lose() func()
	// proxies is how many may be open at the same time.
	proxies() int
}

// opened is what a proxy has of an engine.
type opened struct {
	rules chat.Store
	sync  groupsync.Store
	marks groupsync.Marks
	loops []func(context.Context) error
	close func() error
}

// embedded is a directory.
type embedded struct {
	t     *testing.T
	empty []byte // a database without rows
	dir   string
	raw   *sql.DB
}

func newEmbedded(t *testing.T) engine {
	t.Helper()
	empty, err := testdb.EmptySQLite()
	must(t, err)
	e := &embedded{t: t, empty: empty}
	t.Cleanup(func() { must(t, e.remove()) })
	return e
}

func (e *embedded) remove() error {
	if e.raw == nil {
		return nil
	}
	return errors.Join(e.raw.Close(), os.RemoveAll(e.dir))
}

func (e *embedded) clear() (err error) {
	if err = e.remove(); err != nil {
		return err
	}
	if e.dir, err = os.MkdirTemp(e.t.TempDir(), "data"); err != nil {
		return err
	}
	if err = os.WriteFile(e.path(), e.empty, 0o600); err != nil {
		return err
	}
	e.raw, err = sql.Open("sqlite", "file:"+e.path()+
		"?_pragma=busy_timeout(60000)&_pragma=synchronous(off)")
	return err
}

func (e *embedded) path() string    { return filepath.Join(e.dir, "dbproxy.db") }
func (e *embedded) office() *sql.DB { return e.raw }
func (e *embedded) lose() func()    { return nil }
func (e *embedded) proxies() int    { return 1 }

func (e *embedded) open(now func() time.Time, log *slog.Logger) (*opened, error) {
	store, err := records.OpenSQLite(e.path(), records.Options{Now: now, Log: log})
	if err != nil {
		return nil, err
	}
	sounds, err := voice.OpenDir(filepath.Join(e.dir, "voice"))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	rules := counters.OnRecords(store)
	failures := &counters.Failures{Table: store, Now: now, Log: log}
	rules.Voice, rules.Failures = sounds, failures
	return &opened{
		rules: rules, sync: store, marks: store,
		close: func() error {
			ended, end := context.WithCancel(context.Background())
			end()
			// what is left is stored
			return errors.Join(failures.Run(ended), store.Close(), sounds.Close())
		},
	}, nil
}

// shared is a MariaDB and a Redis, for several proxies.
type shared struct {
	t      *testing.T
	db     *servers.Database
	redis  *servers.Redis // nil: without Redis
	sounds string         // a directory takes the place of msfs
	tables []string
}

func newShared(t *testing.T) engine {
	t.Helper()
	s := newWithoutRedis(t).(*shared)
	s.redis = servers.StartRedis(t)
	return s
}

func newWithoutRedis(t *testing.T) engine {
	t.Helper()
	s := &shared{t: t, db: testdb.New(t), sounds: t.TempDir()}
	rows, err := s.db.Admin.QueryContext(t.Context(), "SHOW TABLES")
	must(t, err)
	for rows.Next() {
		var table string
		must(t, rows.Scan(&table))
		s.tables = append(s.tables, table)
	}
	must(t, rows.Err())
	return s
}

func (s *shared) office() *sql.DB { return s.db.Admin }
func (s *shared) proxies() int    { return 2 }

func (s *shared) lose() func() {
	if s.redis == nil {
		return nil
	}
	return func() { s.redis.Do(s.t, "FLUSHALL") }
}

func (s *shared) clear() error {
	var asks, truncates []string
	for _, table := range s.tables {
		asks = append(asks, "SELECT '"+table+"' FROM DUAL WHERE EXISTS (SELECT 1 FROM "+table+")")
	}
	rows, err := s.db.Admin.QueryContext(s.t.Context(), strings.Join(asks, " UNION ALL "))
	if err != nil {
		return err
	}
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return err
		}
		truncates = append(truncates, "TRUNCATE "+table)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(truncates) > 0 {
		if _, err := s.db.Admin.ExecContext(s.t.Context(),
			strings.Join(truncates, ";")); err != nil {
			return err
		}
	}
	if s.redis != nil {
		s.redis.Do(s.t, "FLUSHALL")
	}
	return nil
}

func (s *shared) open(now func() time.Time, log *slog.Logger) (*opened, error) {
	if s.redis == nil {
		return s.openWithoutRedis(now, log)
	}
	at := link.Instance{Addr: s.redis.Addr(), DB: 1, ConnectTimeout: patience,
		CallTimeout: patience}
	members := at
	members.DB = 2
	copied, err := redis.Open(redis.Options{
		Unread: at, GroupSet: at, Token: at, GroupMember: members, Now: now, Log: log,
	})
	if err != nil {
		return nil, err
	}
	db := testdb.At(s.db)
	db.ConnectTimeout, db.StatementTimeout = patience, patience
	store, err := records.OpenMySQL(db, nil, records.Options{Now: now, Log: log, Follower: copied})
	if err != nil {
		copied.Close()
		return nil, err
	}
	sounds, err := voice.OpenDir(s.sounds)
	if err != nil {
		copied.Close()
		return nil, errors.Join(err, store.Close())
	}
	copied.Use(s.t.Context(), store)
	rules := counters.OnCopy(store, copied)
	rules.Voice, rules.Failures = sounds, &counters.SharedFailures{Copy: copied}
	return &opened{
		rules: rules, sync: store, marks: counters.Shared{Records: store, Copy: copied},
		loops: []func(context.Context) error{copied.Run, store.RunReplica},
		close: func() error {
			err := errors.Join(store.Close(), sounds.Close())
			copied.Close()
			return err
		},
	}, nil
}

func (s *shared) openWithoutRedis(
	now func() time.Time, log *slog.Logger,
) (*opened, error) {
	db := testdb.At(s.db)
	db.ConnectTimeout, db.StatementTimeout = patience, patience
	store, err := records.OpenMySQL(db, nil, records.Options{Now: now, Log: log})
	if err != nil {
		return nil, err
	}
	sounds, err := voice.OpenDir(s.sounds)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	rules := counters.OnRecords(store)
	failures := &counters.Failures{Table: store, Shared: true, Now: now, Log: log}
	rules.Voice, rules.Failures = sounds, failures
	return &opened{
		rules: rules, sync: store, marks: store,
		loops: []func(context.Context) error{failures.Run, store.RunReplica},
		close: func() error { return errors.Join(store.Close(), sounds.Close()) },
	}, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
