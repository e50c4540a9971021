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
	watchEvery   = time.Second     // how long at least between two probes of the master
	watchTimeout = 2 * time.Second // of one probe
)

// trouble is why a master cannot be used as it should.
type trouble int

const (
	noTrouble trouble = iota
	masterAway
	masterReadOnly
	masterCrowded // it gives no more connections
	masterCloses  // it does not let us in any more
	masterApart   // it is cut off from its cluster
	noDescriptors // this process may not have more connections
)

// says is what the log says when a trouble begins, and when it ends.
var says = map[trouble]struct{ begins, ends string }{
	masterAway: {"MySQL is away; requests fail until it is back", "MySQL is back"},
	masterReadOnly: {"MySQL takes no writes; nothing is stored until it does",
		"MySQL takes writes again"},
	masterCrowded: {"MySQL gives no more connections; going on with those there are",
		"MySQL gives connections again"},
	masterCloses: {"MySQL does not let us in; going on with the connections there are, if any",
		"MySQL lets us in again"},
	masterApart: {"MySQL is cut off from its cluster; requests fail until it is back in it",
		"MySQL is back in its cluster"},
	noDescriptors: {"no more connections to MySQL can be made; going on with those there are",
		"connections to MySQL can be made again"},
}

// watch finds out whether the master can be used, whenever something has failed there, and says in
// the log when that changes. It probes through connections of its own, since those of the pool may
// all be waiting for an answer.
type watch struct {
	connector driver.Connector
	addr      string
	log       *slog.Logger
	explain   func(error) error
	tryWrite  string // Options.WritesNothing
	prober    *probe.Prober

	mu      sync.Mutex // guards what follows
	trouble trouble    // as the last probe found it
	why     error      // what that probe met
	since   time.Time  // when the probe was begun that found the trouble first
}

func newWatch(db *DB, connector driver.Connector, addr string) *watch {
	return &watch{connector: connector, addr: addr, log: db.opt.Log,
		explain: db.engine.explain, tryWrite: db.opt.WritesNothing, prober: probe.New()}
}

// suspect notes that something has failed. On a nil watch it does nothing.
func (w *watch) suspect() {
	if w != nil {
		w.prober.Suspect()
	}
}

// WatchMaster probes a MySQL master when something has failed there, until it is well, and says in
// the log what it finds: when it is away, when it takes no writes, and when that is over. It
// returns when ctx ends.
func (db *DB) WatchMaster(ctx context.Context) error {
	if db.watch == nil {
		<-ctx.Done()
		return nil
	}
	return db.watch.run(ctx)
}

// MasterTrouble says why a MySQL master cannot be used, and since when, as far as WatchMaster
// knows. It is empty when the master can be used.
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
	return fmt.Sprintf("%s (at %s, for %v now): %v", says[w.trouble].begins, w.addr,
		time.Since(w.since).Round(time.Second), w.why)
}

// run probes whenever something has failed, until ctx ends.
func (w *watch) run(ctx context.Context) error {
	db := sql.OpenDB(w.connector)
	db.SetMaxIdleConns(-1)
	defer db.Close() // nothing is open by then
	return w.prober.Run(ctx, watchEvery, func(ctx context.Context) func() bool {
		begun := time.Now()
		found, err := w.probe(ctx, db)
		return func() (well bool) {
			if ctx.Err() == nil {
				w.note(found, err, begun)
			}
			return found == noTrouble
		}
	})
}

// probe writes in a way that changes nothing. The error says why the master cannot be used.
func (w *watch) probe(ctx context.Context, db *sql.DB) (found trouble, err error) {
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
	case err == nil, conn != nil && code != 0 && code != errShutdown:
		return noTrouble, nil // it answers; whoever asks it for more sees what it lacks
	case MendOfAccount(err, "", "") != "":
		found = masterCloses
	default:
		found = masterAway
	}
	if ctx.Err() != nil || errors.Is(err, mysql.ErrInvalidConn) && !errors.Is(err, ErrShutOut) {
		err = chat.Errorf(chat.Unavailable,
			"no answer: see whether it hangs, or what keeps packets from it")
	}
	return found, w.explain(err)
}

// note keeps what a probe found that was begun at some time, and logs what has changed.
func (w *watch) note(found trouble, err error, begun time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, since := w.trouble, w.since
	w.why = err
	if found == was {
		return
	}
	w.trouble, w.since = found, begun
	// A master that was away and now has another trouble is back all the same.
	if was == masterAway || was != noTrouble && found == noTrouble {
		w.log.Info(says[was].ends, "addr", w.addr, "after",
			time.Since(since).Round(time.Millisecond))
	}
	if found != noTrouble {
		w.log.Warn(says[found].begins, "addr", w.addr, "err", err)
	}
}
