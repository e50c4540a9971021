// Package fleet knows which proxies serve a MySQL database, and where all of them count.
//
// # Where they count
//
// Message ids and counters are counted in Redis, as original servers do, or in MySQL, without
// Redis. All proxies of a database must count in the same place, or they would give out the same
// ids. So the place stands in the database, as a mark: see Counting. A proxy whose configuration is
// for the other place does not start, and one at work that finds the mark changed stores nothing
// more.
//
// # Who is there
//
// Each proxy has a row in IMProxyServer. Every two seconds it says there that it is alive. Without
// Redis the row also has a number that is another one after each batch of messages that the proxy
// has stored. So one small query tells whether any other proxy has stored something since the last
// one: then an epoch ends, and another begins.
//
// # Alone
//
// Most often there is one proxy. Even that small query is left out while it knows that it is alone.
// Ten times a second it asks who else is there. If no other row has changed for ten seconds, and it
// has said lately that it is there itself, it counts on being alone for 0.3 s after it began to
// ask.
//
// So what a proxy stores may be unknown to another one for as long, if that one does not know that
// the proxy is there. A proxy that starts says so first, and waits for 0.4 s before it serves. One
// that could not say so for six seconds, because it was stopped, or MySQL took no writes, waits as
// long before it answers what it has stored. Only a machine that is stopped as a whole, with its
// clock, may show for 0.3 s after it what counted before.
package fleet

import (
	"context"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/marks"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Counting is where ids and counters are counted on a MySQL database.
type Counting uint32

// The places.
const (
	InRedis Counting = 1 // as original servers do; a database without the mark
	InMySQL Counting = 2 // without Redis
)

// String is the place, for people.
func (c Counting) String() string {
	if c == InMySQL {
		return "in MySQL, without Redis"
	}
	return "in Redis, as originals do"
}

// Misfit says what is wrong, and what to do about it, if a configuration wants a proxy to count at
// c, and the proxies of its database count elsewhere. The advice has "--config FILE".
func (c Counting) Misfit() (text, mend string) {
	if c == InRedis {
		return "the proxies of this database count without Redis (its mark says so), and the " +
				"configuration names Redis servers",
			"remove CacheInstances from the configuration; or, to count in Redis again, run " +
				"\"dbproxy migrate --with-redis --config FILE\""
	}
	return "the proxies of this database count in Redis, and the configuration names no Redis " +
			"servers",
		"name them in CacheInstances; or, if no original server runs any more, let \"dbproxy " +
			"migrate --without-redis --config FILE\" take over what Redis knows, with a " +
			"configuration that still names them; or, if there never was a Redis, add --force " +
			"to that command"
}

const countingMark = "counting"

// CountWithoutRedis is the statement that has the proxies of a database without the mark count
// without Redis.
const CountWithoutRedis = "INSERT INTO IMProxyMark (name,value) VALUES ('counting',2)"

// Read reads where the proxies of a database count. A database without the mark, or without
// our own tables, is one of original servers.
func Read(ctx context.Context, q sqldb.Querier) (Counting, error) {
	value, _, err := marks.Read(ctx, q, countingMark)
	if sqldb.Code(err) == sqldb.CodeNoTable {
		err = nil
	}
	if Counting(value) == InMySQL {
		return InMySQL, err
	}
	return InRedis, err
}

// Set sets where the proxies of the database count from now on. Those at work that count elsewhere
// notice, and stop storing.
func Set(ctx context.Context, db *sqldb.DB, c Counting) error {
	return marks.Of(db).SetMark(ctx, countingMark, uint32(c))
}

// aliveFor is how long a proxy counts as alive after it was last seen.
const aliveFor = 10 * time.Second

// Alive returns the addresses of the proxies that count somewhere and were seen within the last ten
// seconds, sorted.
func Alive(ctx context.Context, db *sqldb.DB, c Counting) (addresses []string, err error) {
	const query = "SELECT address FROM IMProxyServer" +
		" WHERE counting=? AND seen>UNIX_TIMESTAMP()-? ORDER BY address,id"
	args := []any{uint32(c), int(aliveFor / time.Second)}
	err = db.Query(ctx, "which proxies serve", query, args, func(scan sqldb.Scanner) error {
		var address string
		err := scan(&address)
		addresses = append(addresses, address)
		return err
	})
	return addresses, err
}
