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

func exec(t *testing.T, raw *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := raw.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// openMySQL opens a store on a test's database; it is closed when the test ends.
func openMySQL(t *testing.T, b *servers.Database) *records.Store {
	t.Helper()
	return testdb.OpenMySQL(t, testdb.Patient(b), records.Options{Log: discard})
}

// oneText is a batch of one text, with an id of its own.
func oneText(from, to uint32, text string) chat.Batch {
	return chat.Batch{ID: chat.NewCommitID(), Now: 1000, Drafts: []chat.Draft{
		{Talk: chat.PairTalk(from, to), From: from, Type: chat.PairText, Content: text, Time: 1000},
	}}
}
