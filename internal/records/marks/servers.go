package marks

import (
	"context"
	"fmt"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Counting says where ids and counters are counted on a MySQL database. All proxies of a database
// must count in the same place, or they would give out the same ids: so it stands in the database,
// as a mark.
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
			"configuration that still names them"
}

const countingMark = "counting"

// CountWithoutRedis is the statement that has the proxies of a database without the mark count
// without Redis.
const CountWithoutRedis = "INSERT INTO IMProxyMark (name,value) VALUES ('counting',2)"

// ReadCounting reads where the proxies of a database count. A database without the mark, or without
// our own tables, is one of original servers.
func ReadCounting(ctx context.Context, q sqldb.Querier) (Counting, error) {
	value, _, err := Read(ctx, q, countingMark)
	if sqldb.Code(err) == sqldb.CodeNoTable {
		err = nil
	}
	if Counting(value) == InMySQL {
		return InMySQL, err
	}
	return InRedis, err
}

// Counting returns where the proxies of the database count: see ReadCounting.
func (m Keeper) Counting(ctx context.Context) (Counting, error) {
	ctx, cancel := m.db.Bounded(ctx)
	defer cancel()
	c, err := ReadCounting(ctx, m.db)
	return c, m.db.Fail("reading where proxies count", err)
}

// SetCounting sets where the proxies of the database count from now on. Those at work that count
// elsewhere notice, and stop storing.
func (m Keeper) SetCounting(ctx context.Context, c Counting) error {
	return m.SetMark(ctx, countingMark, uint32(c))
}

// AliveFor is how long a proxy counts as alive after it was last seen.
const AliveFor = 10 * time.Second

// A Server is a proxy that serves the database.
type Server struct {
	ID       string // of the process: 32 characters
	Address  string // where it listens, for people; at most 64 characters count
	Counting Counting
}

// Announce says that a proxy serves the database. It counts as alive for AliveFor.
func (m Keeper) Announce(ctx context.Context, s Server) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	err := m.db.Retry(ctx, func() error {
		_, err := sqldb.Exec(ctx, m.db.Writes(),
			"INSERT INTO IMProxyServer (id,counting,address,seen) VALUES (?,?,?,UNIX_TIMESTAMP())"+
				m.db.Upsert([]string{"id"}, []string{"counting", "address", "seen"}),
			s.ID, uint32(s.Counting), fmt.Sprintf("%.64s", s.Address))
		return err
	})
	return m.db.Fail("saying that this proxy serves", err)
}

// Withdraw says that a proxy has ended, and forgets those that were not seen for an hour.
func (m Keeper) Withdraw(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	_, err := sqldb.Exec(ctx, m.db.Writes(),
		"DELETE FROM IMProxyServer WHERE id=? OR seen<UNIX_TIMESTAMP()-3600", id)
	return m.db.Fail("saying that this proxy has ended", err)
}

// Alive returns the proxies that count somewhere and were seen lately, by their addresses.
func (m Keeper) Alive(ctx context.Context, c Counting) (alive []Server, err error) {
	ctx, cancel := m.db.Bounded(ctx)
	defer cancel()
	const query = "SELECT id,address FROM IMProxyServer" +
		" WHERE counting=? AND seen>UNIX_TIMESTAMP()-? ORDER BY address,id"
	args := []any{uint32(c), int(AliveFor / time.Second)}
	err = sqldb.Each(ctx, m.db, query, args, func(scan sqldb.Scanner) error {
		s := Server{Counting: c}
		err := scan(&s.ID, &s.Address)
		alive = append(alive, s)
		return err
	})
	return alive, m.db.Fail("reading which proxies serve", err)
}
