package sqldb_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestAReadMayTakeAsLongAsIsConfigured keeps a table locked for longer than reads may take that
// nobody configured.
func TestAReadMayTakeAsLongAsIsConfigured(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	at := testdb.At(b)
	at.StatementTimeout = time.Minute
	db := open(t, at, slog.New(slog.DiscardHandler))
	conn, err := b.Admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "LOCK TABLES IMUser WRITE"); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		read <- db.Query(t.Context(), "people", "SELECT id FROM IMUser WHERE id=1", nil,
			func(sqldb.Scanner) error { return nil })
	}()
	select {
	case err := <-read:
		t.Errorf("the table is locked: %v", err)
		return
	case <-time.After(3500 * time.Millisecond):
	}
	if _, err := conn.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}
