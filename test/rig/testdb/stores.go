package testdb

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// EmptySQLite is a file with its tables, to be copied: making them takes longer than most tests.
var EmptySQLite = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "empty")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "dbproxy.db")
	store, err := records.OpenSQLite(path, records.Options{})
	if err != nil {
		return nil, err
	}
	_, err = tables.Migrate(context.Background(), store.DB())
	if err = errors.Join(err, store.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// OpenSQLite opens the store in a file, an empty one where there is no file. It is closed when the
// test ends, unless the test closed it before.
func OpenSQLite(t testing.TB, path string, opt records.Options) *records.Store {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		empty, err := EmptySQLite()
		if err = errors.Join(err, os.WriteFile(path, empty, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	store, err := records.OpenSQLite(path, opt)
	return opened(t, store, err)
}

// OpenMySQL opens the store in a database with tables. It is closed as by OpenSQLite.
func OpenMySQL(t testing.TB, at sqldb.MySQL, opt records.Options) *records.Store {
	t.Helper()
	store, err := records.OpenMySQL(at, nil, opt)
	return opened(t, store, err)
}

func opened(t testing.TB, store *records.Store, err error) *records.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// Page is one page of a store. Without Bytes the query is for as many as an answer may have.
func Page(
	ctx context.Context, s *records.Store, talk chat.Talk, q chat.PageQuery,
) ([]chat.Message, error) {
	q.Talk, q.Bytes, q.Cuts = talk, cmp.Or(q.Bytes, chat.MaxAnswer), true
	page := s.Pages(ctx, []chat.PageQuery{q})[0]
	if errors.Is(page.Err, chat.ErrAlone) {
		return s.Page(ctx, q)
	}
	return page.Value, page.Err
}
