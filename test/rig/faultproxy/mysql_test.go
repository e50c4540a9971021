package faultproxy_test

import (
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// throughMySQL returns an empty table numbers, and a client of it behind a proxy that talks as
// dbproxy does.
func throughMySQL(t *testing.T) (*faultproxy.Proxy, *sql.DB, *servers.Database) {
	t.Helper()
	b := servers.MariaDB(t).New(t)
	p := faultproxy.New(t, servers.MariaDB(t).Addr())
	if _,
		err := b.Admin.ExecContext(t.Context(),
		"CREATE TABLE numbers (n INT PRIMARY KEY) ENGINE=InnoDB"); err != nil {
		t.Fatal(err)
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = b.User, b.Password, "tcp", p.Addr(), b.Name
	c.MultiStatements, c.InterpolateParams = true, true
	c.Timeout, c.ReadTimeout, c.WriteTimeout = patience, patience, patience
	c.Logger = &mysql.NopLogger{} // cut connections are meant
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return p, db, b
}

func numbers(t *testing.T, b *servers.Database) (n int) {
	t.Helper()
	if err := b.Admin.QueryRowContext(t.Context(),
		"SELECT COUNT(*) FROM numbers").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// insert stores a number in a transaction of its own.
func insert(t *testing.T, db *sql.DB, n int) error {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO numbers VALUES (?)", n); err != nil {
		t.Fatal(err)
	}
	return tx.Commit()
}

func isCommit(query string) bool { return query == "COMMIT" }

func TestBeforeMySQL(t *testing.T) {
	t.Parallel()
	p, db, b := throughMySQL(t)
	shot := p.BeforeMySQL(isCommit, faultproxy.Nth(2))
	if err := insert(t, db, 1); err != nil {
		t.Fatal(err)
	}
	if err := insert(t, db, 2); err == nil {
		t.Error("the cut COMMIT succeeded")
	}
	<-shot.Done()
	if n := numbers(t, b); n != 1 {
		t.Errorf("%d rows, want that of the first transaction", n)
	}
	if _, err := b.Admin.ExecContext(t.Context(), "INSERT INTO numbers VALUES (2)"); err != nil {
		t.Errorf("the row is still locked: %v", err)
	}
	if err := insert(t, db, 3); err != nil {
		t.Errorf("after the shot: %v", err)
	}
	if shot.Matched() != 3 || shot.Fired() != 1 {
		t.Errorf("matched %d, fired %d; want 3 and 1", shot.Matched(), shot.Fired())
	}
}

func TestAfterMySQL(t *testing.T) {
	t.Parallel()
	p, db, b := throughMySQL(t)
	shot := p.AfterMySQL(isCommit, faultproxy.Nth(1))
	if err := insert(t, db, 1); err == nil {
		t.Error("the COMMIT's answer came")
	}
	<-shot.Done()
	if n := numbers(t, b); n != 1 {
		t.Errorf("%d rows, want the committed one", n)
	}
	if err := insert(t, db, 2); err != nil {
		t.Errorf("after the shot: %v", err)
	}
}

func TestAfterMySQLWaitsForAllStatementsOfAText(t *testing.T) {
	t.Parallel()
	p, db, b := throughMySQL(t)
	text := "START TRANSACTION; INSERT INTO numbers VALUES (1); SELECT SLEEP(0.2); INSERT INTO " +
		"numbers VALUES (2); COMMIT"
	shot := p.AfterMySQL(func(q string) bool {
		return strings.Contains(q, "SLEEP")
	}, faultproxy.Nth(1))
	if _, err := db.ExecContext(t.Context(), text); err == nil {
		t.Error("the answer came")
	}
	<-shot.Done()
	if n := numbers(t, b); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestAfterMySQLRollsBackWhatIsOpen(t *testing.T) {
	t.Parallel()
	p, db, b := throughMySQL(t)
	shot := p.AfterMySQL(func(q string) bool {
		return strings.HasPrefix(q, "INSERT")
	}, faultproxy.Nth(1))
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO numbers VALUES (1)"); err == nil {
		t.Error("the answer came")
	}
	_ = tx.Rollback() // its connection is gone
	<-shot.Done()
	if n := numbers(t, b); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}

func TestAfterMySQLDoesNotFireWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	p, db, b := throughMySQL(t)
	shot := p.AfterMySQL(func(q string) bool {
		return strings.Contains(q, "SLEEP")
	}, faultproxy.Nth(1))
	failed := make(chan error)
	go func() {
		_, err := db.ExecContext(t.Context(), "DO SLEEP(600)")
		failed <- err
	}()
	await(t, "the query", func() bool {
		var running int
		if err := b.Admin.QueryRowContext(t.Context(),
			"SELECT COUNT(*) FROM information_schema.processlist "+
				"WHERE user = ? AND info LIKE 'DO SLEEP%'", b.User).Scan(&running); err != nil {
			t.Error(err)
		}
		return running == 1
	})
	p.Cut()
	if err := <-failed; err == nil {
		t.Error("the cut query succeeded")
	}
	if shot.Matched() != 1 || shot.Fired() != 0 {
		t.Errorf("matched %d, fired %d; want 1 and 0", shot.Matched(), shot.Fired())
	}
}

func TestEveryAndDisarm(t *testing.T) {
	t.Parallel()
	p, db, b := throughMySQL(t)
	shot := p.BeforeMySQL(isCommit, faultproxy.Every(3))
	failed := 0
	for n := range 10 {
		if insert(t, db, n) != nil {
			failed++
		}
	}
	shot.Disarm()
	for n := range 3 {
		if err := insert(t, db, 100+n); err != nil {
			t.Errorf("disarmed: %v", err)
		}
	}
	if n := numbers(t, b); failed != 3 || n != 10 || shot.Fired() != 3 || shot.Matched() != 10 {
		t.Errorf("%d failed, %d rows, fired %d of %d; want 3, 10, 3 of 10", failed, n, shot.Fired(),
			shot.Matched())
	}
}

func TestChanceIsDrawnFromItsSeed(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) (fired []int) {
		when := faultproxy.Chance(0.25, seed)
		for n := range 1000 {
			if when(n + 1) {
				fired = append(fired, n)
			}
		}
		return fired
	}
	one, again, other := draw(1), draw(1), draw(2)
	if len(one) < 150 || len(one) > 350 {
		t.Errorf("%d of 1000 fired, want about 250", len(one))
	}
	if !slices.Equal(one, again) || slices.Equal(one, other) {
		t.Error("want the same lots from the same seed, and others from another")
	}
}

// TestPreparedStatementsAreKnown executes one on several connections, one after the other: a server
// may number those of a new connection from where an old one ended.
func TestPreparedStatementsAreKnown(t *testing.T) {
	t.Parallel()
	p, db, b := throughMySQL(t)
	const text = "INSERT INTO numbers VALUES (?)"
	shot := p.BeforeMySQL(func(query string) bool { return query == text }, faultproxy.Nth(4))
	for n := range 4 {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range n + 1 { // so that the numbers differ
			if _, err := conn.PrepareContext(t.Context(), "DO ?"); err != nil {
				t.Fatal(err)
			}
		}
		stmt, err := conn.PrepareContext(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stmt.ExecContext(t.Context(), n); (err == nil) != (n < 3) {
			t.Errorf("%d: %v", n, err)
		}
		if n < 3 {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // it is closed
		}
	}
	<-shot.Done()
	if n := numbers(t, b); n != 3 || shot.Matched() != 4 {
		t.Errorf("%d rows and %d matches, want 3 and 4", n, shot.Matched())
	}
}
