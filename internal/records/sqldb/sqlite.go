package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// sqliteReaders is how many reads run side by side on the embedded store.
const sqliteReaders = 8

// sqliteFiles is how many files a connection may open at a time: the database, its log, that log's
// index, their directory, and what does not fit into memory. SQLite, when it cannot, has closed
// some of them already.
const sqliteFiles = 8

// OpenSQLite opens the embedded store in a file, which is created when missing. The commits of one
// process are written through to the disk before they are answered; other processes may work on the
// same file at the same time.
func OpenSQLite(path string, opt Options) (*DB, error) {
	// SQLite would let everybody read it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	opt = opt.complete()
	write, err := sqliteFile{path, "rwc", "immediate", 1, "synchronous(FULL)"}.open(opt)
	if err != nil {
		return nil, err
	}
	read, err := sqliteFile{path, "rwc", "deferred", sqliteReaders, "query_only(true)"}.open(opt)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return newDB(write, read, sqliteDialect{}, opt), nil
}

// OpenSQLitePool opens the embedded store in a file for reading alone.
func OpenSQLitePool(path string, opt Options) (*Pool, error) {
	opt = opt.complete()
	read, err := sqliteFile{path, "ro", "deferred", 1, "query_only(true)"}.open(opt)
	if err != nil {
		return nil, err
	}
	return newPool(read, sqliteDialect{}, opt), nil
}

// sqliteFile is a way to open the file. mode is one of SQLite's: rwc (made when missing) or ro.
type sqliteFile struct {
	path, mode, txlock string
	conns              int
	pragma             string
}

func (f sqliteFile) open(opt Options) (*sql.DB, error) {
	query := url.Values{"_txlock": {f.txlock}, "mode": {f.mode}, "_pragma": {"busy_timeout(3000)",
		"journal_mode(WAL)", f.pragma, "wal_autocheckpoint(4000)", "cache_size(-16000)"}}
	file := url.URL{
		Scheme: "file", Opaque: (&url.URL{Path: f.path}).EscapedPath(), RawQuery: query.Encode(),
	}
	db := sql.OpenDB(sqliteConnector{dsn: file.String(), note: opt.Note})
	db.SetMaxOpenConns(f.conns)
	db.SetMaxIdleConns(f.conns)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(sqliteDialect{}.explain(err), db.Close())
	}
	return db, nil
}

// sqliteDialect is SQLite's. A write transaction has the database for itself, so nothing needs
// locking.
type sqliteDialect struct{}

func (sqliteDialect) name() Engine { return EngineSQLite }

func (sqliteDialect) join(*sql.Conn) (*joined, Dialect, error) { return nil, nil, nil }

func (sqliteDialect) joins() bool { return false }

func (sqliteDialect) ManyWriters() bool { return false }

func (sqliteDialect) Remote() bool { return false }

func (sqliteDialect) ForUpdate() string { return "" }

func (sqliteDialect) ForceIndex(string) string { return "" }

func (sqliteDialect) lacksKey(error) bool { return false }

func (sqliteDialect) unforced(query string) string { return query }

// insertRows: powers of two, so that few statements are ever compiled.
func (sqliteDialect) insertRows(left int) int { return 1 << min(bits.Len(uint(left))-1, 6) }

func (sqliteDialect) listLength(n int) int { return ListLength(n) }

func (sqliteDialect) Lookup(columns, table string, keys []string, n int) string {
	return fmt.Sprintf("SELECT %s FROM %s t WHERE (%s) IN (VALUES %s)",
		columns, table, strings.Join(keys, ","), tuples(n, len(keys)))
}

func (sqliteDialect) Upsert(keys, set []string) string {
	assign := make([]string, len(set))
	for i, c := range set {
		assign[i] = c + "=excluded." + c
	}
	return fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s", strings.Join(keys, ","),
		strings.Join(assign, ","))
}

// waitForTables: busy_timeout bounds all waiting, and migrations run in one transaction.
func (sqliteDialect) waitForTables(context.Context, Querier, bool) error { return nil }

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// refusedText: texts may have any length and characters.
func (sqliteDialect) refusedText(error) (table, column string, ok bool) { return "", "", false }

func (sqliteDialect) rejects(err error) bool {
	codes := []int{lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH, lib.SQLITE_TOOBIG, lib.SQLITE_RANGE}
	return slices.Contains(codes, sqliteCode(err))
}

func (sqliteDialect) advise(mend string) string { return mend }

func (sqliteDialect) explain(err error) error {
	switch sqliteCode(err) {
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: the disk is full; free some space on it", err)
	case lib.SQLITE_CANTOPEN: // SQLite does not say why
		scarce := descriptors.Scarce(sqliteFiles)
		if scarce != nil && descriptors.Mend(scarce) != "" {
			return fmt.Errorf("%w: %w", err, descriptors.Explain(scarce))
		}
		return fmt.Errorf("%w: see whether the database file and its directory are there, "+
			"the user this runs as can write both, and the process may open more files (%s)",
			err, descriptors.More)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return fmt.Errorf("%w: the user this runs as must be able to write the database file and "+
			"its directory", err)
	case lib.SQLITE_NOTADB, lib.SQLITE_CORRUPT:
		return fmt.Errorf("%w: the database file is damaged or none of ours; restore it from a "+
			"backup", err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("%w: another process is writing to the database", err)
	default:
		return err
	}
}

func (sqliteDialect) Duplicate(err error) bool { return sqliteCode(err) == lib.SQLITE_CONSTRAINT }

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
