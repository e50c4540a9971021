package checkup_test

import (
	"database/sql"
	"log/slog"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

var discard = slog.New(slog.DiscardHandler)

// closing closes a store that was just opened when the test ends.
func closing(tb testing.TB, store *records.Store, err error) *records.Store {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return store
}

func exec(t *testing.T, raw *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := raw.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// openMySQL opens a store on a test's database; it is closed when the test ends.
func openMySQL(t *testing.T, b *servers.Database) *records.Store {
	t.Helper()
	s, err := records.OpenMySQL(testdb.Patient(b), nil, records.Options{Log: discard})
	return closing(t, s, err)
}

// oneText is a batch of one text, with an id of its own.
func oneText(from, to uint32, text string) chat.Batch {
	return chat.Batch{ID: chat.NewCommitID(), Now: 1000, Drafts: []chat.Draft{
		{Talk: chat.PairTalk(from, to), From: from, Type: chat.PairText, Content: text, Time: 1000},
	}}
}

func tablesOf(t *testing.T, db *sql.DB, like string) (names []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW TABLES LIKE '"+like+"'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	return names
}
