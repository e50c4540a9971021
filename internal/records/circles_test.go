package records_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/logs"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestNewTalksAreNotLockedOutOfOrder has a batch that begins a talk, and goes on with one that has
// a greater key. Another process begins the first one meanwhile, and locks both, in the order of
// their keys. If the batch held the second while it waits for the first, they would wait in a
// circle: the database undoes one, and ids of relations are burnt.
func TestNewTalksAreNotLockedOutOfOrder(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db := testdb.New(t)
	var log logs.Log
	s, err := records.OpenMySQL(testdb.At(db), nil,
		records.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	closing(t, s, err)
	if _, err := s.Append(ctx, oneText(5, 6, "old"), counters.Embedded{}); err != nil {
		t.Fatal(err)
	}
	exec := func(query string) error {
		_, err := db.Admin.ExecContext(ctx, query)
		return err
	}
	slow := "CREATE TRIGGER slow BEFORE INSERT ON IMProxyTalk FOR EACH ROW IF NEW.a=3 AND " +
		"USER() NOT LIKE 'tests@%' THEN DO SLEEP(0.5); END IF"
	if err := exec(slow); err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	go func() {
		both := oneText(3, 4, "new")
		both.Drafts = append(both.Drafts, oneText(5, 6, "old").Drafts...)
		_, err := s.Append(ctx, both, counters.Embedded{})
		stored <- err
	}()
	for sleeping := 0; sleeping == 0; {
		query := "SELECT COUNT(*) FROM information_schema.processlist WHERE db=DATABASE() AND " +
			"state='User sleep'"
		if err := db.Admin.QueryRowContext(ctx, query).Scan(&sleeping); err != nil {
			t.Fatal(err)
		}
	}
	other := exec(`INSERT INTO IMProxyTalk (kind,a,b) VALUES (1,3,4); BEGIN; SELECT 1 FROM IMProxyTalk WHERE kind=1 AND a=3 AND b=4 FOR UPDATE;
 SELECT 1 FROM IMProxyTalk WHERE kind=1 AND a=5 AND b=6 FOR UPDATE; COMMIT`)
	if err := errors.Join(other, <-stored); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "Deadlock found") {
		t.Error(log.String())
	}
}
