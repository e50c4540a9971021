package records_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestRowsTakenBackAreMadeAgain has a batch begin a talk whose row somebody takes back before the
// batch has locked it, as the doctor does with a row that it made to hold a talk. Ids are given out
// only while the row is there, and locked.
func TestRowsTakenBackAreMadeAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db := testdb.New(t)
	at := testdb.At(db)
	at.StatementTimeout = time.Minute
	s, err := records.OpenMySQL(at, nil, records.Options{})
	closing(t, s, err)
	if _, err := s.Append(ctx, oneText(1, 2, "old"), counters.Embedded{}); err != nil {
		t.Fatal(err)
	}
	waits := "CREATE TRIGGER waits BEFORE INSERT ON IMProxyTalk FOR EACH ROW IF NEW.a=3 THEN DO " +
		"GET_LOCK(DATABASE(),60), RELEASE_LOCK(DATABASE()); END IF"
	if _, err := db.Admin.ExecContext(ctx, waits); err != nil {
		t.Fatal(err)
	}
	gate, err := db.Admin.Conn(ctx)
	if err == nil {
		defer gate.Close()
		_, err = gate.ExecContext(ctx, "DO GET_LOCK(DATABASE(),0)")
	}
	if err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	go func() {
		both := oneText(1, 2, "goes on")
		both.Drafts = append(both.Drafts, oneText(3, 4, "first").Drafts...)
		_, err := s.Append(ctx, both, heldTalks{t: t, count: func() (n int, err error) {
			err = db.Admin.QueryRowContext(ctx, "SELECT COUNT(*) FROM IMProxyTalk WHERE kind=1 "+
				"AND a=3 AND b=4 FOR UPDATE NOWAIT").Scan(&n)
			return n, err
		}})
		stored <- err
	}()
	count := func(query string) (n int) {
		if err := db.Admin.QueryRowContext(ctx, query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for count("SELECT COUNT(*) FROM information_schema.processlist WHERE db=DATABASE() AND "+
		"state='User lock'") == 0 {
	}
	tx, err := db.Admin.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err == nil { // the batch is to wait for the talk that it locks first
		_, err = tx.ExecContext(ctx, "SELECT 1 FROM IMProxyTalk WHERE kind=1 AND a=1 AND b=2 "+
			"FOR UPDATE")
	}
	if err == nil {
		_, err = gate.ExecContext(ctx, "DO RELEASE_LOCK(DATABASE())")
	}
	for deleted := int64(0); err == nil && deleted == 0; {
		res, failed := tx.ExecContext(ctx, "DELETE FROM IMProxyTalk WHERE kind=1 AND a=3 AND "+
			"b=4 AND rev=0")
		if err = failed; err == nil {
			deleted, err = res.RowsAffected()
		}
	}
	if err == nil {
		err = tx.Commit()
	}
	if err := errors.Join(err, <-stored); err != nil {
		t.Fatal(err)
	}
}

// heldTalks gives out ids while a count of rows cannot be had, since they are locked.
type heldTalks struct {
	counters.Embedded
	t     *testing.T
	count func() (int, error)
}

func (h heldTalks) Next(ctx context.Context, want []chat.Reserve) []uint32 {
	if n, err := h.count(); err == nil {
		h.t.Errorf("%d rows of the talk are there, and nobody has locked them", n)
	}
	return h.Embedded.Next(ctx, want)
}
