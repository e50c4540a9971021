package records_test

import (
	"path/filepath"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

func TestReachable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dbproxy.db")
	store := openAt(t, path)
	if err := store.DB().Reachable(t.Context()); err != nil {
		t.Error(err)
	}
	pools := store.Pools()
	if len(pools) != 2 || pools["write"].Stats().MaxOpenConnections != 1 ||
		pools["read"].Stats().MaxOpenConnections == 0 {
		t.Errorf("the pools: %v", pools)
	}
	if _, err := openRaw(t, path).ExecContext(t.Context(), "DROP TABLE IMProxyMark"); err != nil {
		t.Fatal(err)
	}
	if err := store.DB().Reachable(t.Context()); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("without its tables: %v", err)
	}
	closed, err := records.OpenSQLite(filepath.Join(t.TempDir(), "dbproxy.db"),
		records.Options{Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := closed.DB().Reachable(t.Context()); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("closed: %v", err)
	}
}
