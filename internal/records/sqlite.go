package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"net/url"
	"os"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// sqliteReaders is how many reads run side by side on the embedded store.
const sqliteReaders = 8

// sqliteFiles is how many files a connection may open at a time: the database, its log, that log's index, their
// directory, and what does not fit into memory. SQLite, when it cannot, has closed some of them already.
const sqliteFiles = 8

// OpenSQLite opens the embedded store in a file, which is created when missing. Its tables are made by Migrate. The
// commits of one process are written through to the disk before they are answered; other processes may work on the
// same file at the same time.
func OpenSQLite(path string, opt Options) (*Store, error) {
	// SQLite would let everybody read it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	write, err := openSQLite(path, "immediate", 1, "synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	read, err := openSQLite(path, "deferred", sqliteReaders, "query_only(true)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return newStore(write, read, sqliteDialect{}, opt), nil
}

func openSQLite(path, txlock string, conns int, pragma string) (*sql.DB, error) {
	return openSQLiteMode(path, "rwc", txlock, conns, pragma)
}

// openSQLiteMode opens the file in a mode of SQLite's: rwc (made when missing) or ro.
func openSQLiteMode(path, mode, txlock string, conns int, pragma string) (*sql.DB, error) {
	query := url.Values{"_txlock": {txlock}, "mode": {mode}}
	for _, p := range []string{"busy_timeout(3000)", "journal_mode(WAL)", pragma, "wal_autocheckpoint(4000)", "cache_size(-16000)"} {
		query.Add("_pragma", p)
	}
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}
	db := sql.OpenDB(sqliteConnector{dsn: file.String()})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(sqliteDialect{}.explain(err), db.Close())
	}
	return db, nil
}

// OpenAll opens all connections that the embedded store may have, with the files that each needs. SQLite would open them
// when it first needs them, and there may be no more descriptors then. They stay open.
func (s *Store) OpenAll(ctx context.Context) (err error) {
	for _, db := range s.pools() {
		for range db.Stats().MaxOpenConnections {
			conn, err := db.Conn(ctx)
			if err != nil {
				return s.failed("", err)
			}
			defer conn.Close() // gives it back to the pool
			var tables int
			if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&tables); err != nil {
				return s.failed("", err)
			}
		}
	}
	return nil
}

// sqliteDialect is SQLite's. A write transaction has the database for itself, so nothing needs locking.
type sqliteDialect struct{}

func (d sqliteDialect) on(*sql.Conn) (dialect, error) { return d, nil }

func (sqliteDialect) joins() bool { return false }

func (sqliteDialect) together(tx *sql.Tx) batched { return atOnce{tx} }

func (sqliteDialect) shared() bool { return false }

func (sqliteDialect) lock() string { return "" }

// insertRows: powers of two, so that few statements are ever compiled.
func (sqliteDialect) insertRows(left int) int { return 1 << min(bits.Len(uint(left))-1, 6) }

func (sqliteDialect) lookup(columns, table string, keys []string, n int) string {
	return fmt.Sprintf("SELECT %s FROM (SELECT * FROM %s WHERE (%s) IN (VALUES %s)) t",
		columns, table, strings.Join(keys, ","), tuples(n, len(keys)))
}

func (sqliteDialect) upsert(keys, set []string) string {
	assign := make([]string, len(set))
	for i, c := range set {
		assign[i] = c + "=excluded." + c
	}
	return fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s", strings.Join(keys, ","), strings.Join(assign, ","))
}

func (d sqliteDialect) create(t table) []string {
	var cols []string
	options := ""
	if t.primary == nil {
		cols = append(cols, "id INTEGER PRIMARY KEY")
	} else {
		options = " WITHOUT ROWID"
	}
	for _, c := range t.columns {
		cols = append(cols, d.column(c))
	}
	if t.primary != nil {
		cols = append(cols, "PRIMARY KEY ("+strings.Join(t.primary, ",")+")")
	}
	stmts := []string{fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s)%s", t.name, strings.Join(cols, ", "), options)}
	for _, k := range t.keys {
		stmts = append(stmts, d.addKey(t, k))
	}
	return stmts
}

func (sqliteDialect) column(c column) string {
	typ, def := "INTEGER", c.def
	switch {
	case c.typ == varchar || c.typ == text || c.typ == binary:
		typ, def = "TEXT", "''"
	case def == "":
		def = "0"
	}
	if c.null {
		return fmt.Sprintf("%s %s DEFAULT NULL", c.name, typ)
	}
	return fmt.Sprintf("%s %s NOT NULL DEFAULT %s", c.name, typ, def)
}

func (d sqliteDialect) addColumn(t table, c column) string {
	return fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", t.name, d.column(c))
}

// addKey names keys after their table too: SQLite has one space of names for all.
func (sqliteDialect) addKey(t table, key string) string {
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s_%s ON %s (%s)", t.name, keyName(key), t.name,
		strings.ReplaceAll(key, "(191)", ""))
}

// waitForTables: busy_timeout bounds all waiting, and migrations run in one transaction.
func (sqliteDialect) waitForTables(context.Context, querier, bool) error { return nil }

func (sqliteDialect) inspect(ctx context.Context, q querier) (seenTables, error) {
	s := newSeen()
	for _, t := range append(schema(), embeddedTables()...) {
		seen := newSeenTable()
		err := each(ctx, q, "SELECT name,pk FROM pragma_table_info(?) ORDER BY pk", []any{t.name}, func(scan scanner) error {
			var c seenColumn
			var place int // in the primary key, from 1
			err := scan(&c.name, &place)
			if seen.addColumn(c); place > 0 {
				seen.addKey(primaryKey, true, c.name)
			}
			return err
		})
		if err == nil {
			err = each(ctx, q, "SELECT name FROM pragma_index_list(?)", []any{t.name}, func(scan scanner) error {
				var name string
				err := scan(&name)
				seen.addKey(strings.TrimPrefix(name, t.name+"_"), false, "")
				return err
			})
		}
		if err != nil {
			return s, fmt.Errorf("table %s: %w", t.name, err)
		}
		if len(seen.columns) > 0 {
			s.tables[t.name] = seen
		}
	}
	return s, nil
}

// carryOver: see carrySQLite.
func (sqliteDialect) carryOver(table) []string { return nil }

// carrySQLite brings the rows of an earlier version's IMProxyToken under its present key. SQLite makes
// no digests.
func carrySQLite(ctx context.Context, tx *sql.Tx) error {
	seen, err := sqliteDialect{}.inspect(ctx, tx)
	if err != nil {
		return err
	}
	for _, t := range ownTables() {
		if !t.outdated(seen.tables[t.name]) {
			continue
		}
		var rows []any
		err := each(ctx, tx, "SELECT token,userId FROM "+t.name+" WHERE userId<>0", nil, func(scan scanner) error {
			var token string
			var user uint32
			err := scan(&token, &user)
			rows = append(rows, tokenDigest(token), token, user)
			return err
		})
		if err != nil {
			return err
		}
		for _, stmt := range append([]string{"DROP TABLE " + t.name}, sqliteDialect{}.create(t)...) {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
		if err := insert(ctx, tx, sqliteDialect{}, t.name, tokenColumns, rows, ""); err != nil {
			return err
		}
	}
	return nil
}

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// classify: texts may have any length and characters.
func (sqliteDialect) classify(error) chat.Kind { return chat.Unavailable }

func (sqliteDialect) rejects(err error) bool {
	switch sqliteCode(err) {
	case lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH, lib.SQLITE_TOOBIG, lib.SQLITE_RANGE:
		return true
	default:
		return false
	}
}

func (sqliteDialect) explain(err error) error {
	switch sqliteCode(err) {
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: the disk is full; free some space on it", err)
	case lib.SQLITE_CANTOPEN: // SQLite does not say why
		if scarce := descriptors.Scarce(sqliteFiles); scarce != nil && descriptors.Mend(scarce) != "" {
			return fmt.Errorf("%w: %w", err, descriptors.Explain(scarce))
		}
		return fmt.Errorf("%w: see whether the database file and its directory are there, the user this "+
			"runs as can write both, and the process may open more files (%s)", err, descriptors.More)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return fmt.Errorf("%w: the user this runs as must be able to write the database file and its directory", err)
	case lib.SQLITE_NOTADB, lib.SQLITE_CORRUPT:
		return fmt.Errorf("%w: the database file is damaged or none of ours; restore it from a backup", err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("%w: another process is writing to the database", err)
	default:
		return err
	}
}

func (sqliteDialect) duplicate(err error) bool { return sqliteCode(err) == lib.SQLITE_CONSTRAINT }

func (sqliteDialect) lacksCharacter(error) bool { return false } // all text is UTF-8

func (sqliteDialect) exists(error) bool { return false } // tables are made in a transaction

// undone: a full disk is met while the log is written, before its entry for the commit is.
func (d sqliteDialect) undone(err error) bool {
	return d.retry(err) || sqliteCode(err) == lib.SQLITE_FULL
}

// raced: only one connection writes.
func (sqliteDialect) raced(error) bool { return false }

func (sqliteDialect) retry(err error) bool {
	code := sqliteCode(err)
	return code == lib.SQLITE_BUSY || code == lib.SQLITE_LOCKED
}
