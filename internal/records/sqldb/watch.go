package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
	"github.com/teamtalk-go/dbproxy/internal/probe"
)

const (
	watchEvery   = time.Second     // how long between two looks at the master, at least
	watchTimeout = 2 * time.Second // of a look
)

// trouble is why a master cannot be used as it should.
type trouble int

const (
	noTrouble trouble = iota
	masterAway
	masterReadOnly
	masterCrowded // it gives no more connections
	masterCloses  // it does not let us in any more
	masterApart   // from its cluster
	noDescriptors // we may not have more connections
)

// begins and ends are what the log says of a trouble.
func (t trouble) begins() string {
	switch t {
	case masterReadOnly:
		return "MySQL takes no writes; nothing is stored until it does"
	case masterCrowded:
		return "MySQL gives no more connections; going on with those there are"
	case masterCloses:
		return "MySQL does not let us in; going on with the connections there are, if any"
	case masterApart:
		return "MySQL is cut off from its cluster; requests fail until it is back in it"
	case noDescriptors:
		return "no more connections to MySQL can be made; going on with those there are"
	default:
		return "MySQL is away; requests fail until it is back"
	}
}

func (t trouble) ends() string {
	switch t {
	case masterReadOnly:
		return "MySQL takes writes again"
	case masterCrowded:
		return "MySQL gives connections again"
	case masterCloses:
		return "MySQL lets us in again"
	case masterApart:
		return "MySQL is back in its cluster"
	case noDescriptors:
		return "connections to MySQL can be made again"
	default:
		return "MySQL is back"
	}
}

// watch finds out whether the master can be used, whenever something has failed there, and says in the log when that
// changes. It looks through connections of its own, since those of the pool may all be waiting for an answer.
type watch struct {
	connector driver.Connector
	addr      string
	log       *slog.Logger
	explain   func(error) error
	tryWrite  string
	prober    *probe.Prober

	mu      sync.Mutex
	trouble trouble
	why     error
	since   time.Time
}

func newWatch(db *DB, connector driver.Connector, addr string) *watch {
	return &watch{connector: connector, addr: addr, log: db.opt.Log,
		explain: db.engine.explain, tryWrite: db.opt.WritesNothing, prober: probe.New()}
}

// suspect notes that something has failed. A nil watch does not care.
func (w *watch) suspect() {
	if w != nil {
		w.prober.Suspect()
	}
}

// WatchMaster looks at a MySQL master when something has failed there, until it is well, and says in the log what it
// finds: when it is away, when it takes no writes, and when that is over. It returns when ctx ends.
func (db *DB) WatchMaster(ctx context.Context) error {
	if db.watch == nil {
		<-ctx.Done()
		return nil
	}
	return db.watch.run(ctx)
}

// MasterTrouble says why a MySQL master cannot be used, and since when, as far as WatchMaster knows; empty when it can.
func (db *DB) MasterTrouble() string {
	if db.watch == nil {
		return ""
	}
	w := db.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trouble == noTrouble {
		return ""
	}
	return fmt.Sprintf("%s (at %s, for %v now): %v", w.trouble.begins(), w.addr, time.Since(w.since).Round(time.Second), w.why)
}

// run looks whenever something has failed.
func (w *watch) run(ctx context.Context) error {
	db := sql.OpenDB(w.connector)
	db.SetMaxIdleConns(-1)
	defer db.Close() // nothing is open by then
	return w.prober.Run(ctx, watchEvery, func(ctx context.Context) func() bool {
		begun := time.Now()
		found, err := w.look(ctx, db)
		return func() (well bool) {
			if ctx.Err() == nil {
				w.note(found, err, begun)
			}
			return found == noTrouble
		}
	})
}

// look tries to write nothing. The error says why the master cannot be used.
func (w *watch) look(ctx context.Context, db *sql.DB) (found trouble, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err == nil {
		defer conn.Close() // it was closed already where that fails
		_, err = Exec(ctx, conn, w.tryWrite)
	}
	switch code := Code(err); {
	case takesNoWrites(err):
		found = masterReadOnly
	case code == errApart:
		found = masterApart
	case isCrowded(err):
		found = masterCrowded
	case descriptors.Mend(err) != "":
		found = noDescriptors
	case err == nil, conn != nil && code != 0 && code != errShutdown: // it answers; who asks it for more sees what it lacks
		return noTrouble, nil
	case MendOfAccount(err, "", "") != "":
		found = masterCloses
	default:
		found = masterAway
	}
	if ctx.Err() != nil || errors.Is(err, mysql.ErrInvalidConn) && !errors.Is(err, ErrShutOut) {
		err = chat.Errorf(chat.Unavailable, "no answer: see whether it hangs, or what keeps packets from it")
	}
	return found, w.explain(err)
}

// note keeps what a look found that was begun at some time, and logs what has changed.
func (w *watch) note(found trouble, err error, begun time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, since := w.trouble, w.since
	w.why = err
	if found == was {
		return
	}
	w.trouble, w.since = found, begun
	// Of one that was away and now has another trouble it is known that it is back.
	if was == masterAway || was != noTrouble && found == noTrouble {
		w.log.Info(was.ends(), "addr", w.addr, "after", time.Since(since).Round(time.Millisecond))
	}
	if found != noTrouble {
		w.log.Warn(found.begins(), "addr", w.addr, "err", err)
	}
}
