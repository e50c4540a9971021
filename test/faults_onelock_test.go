//go:build !race

package test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// TestOneTalkLocked has somebody keep the row of one talk locked: its message has to wait, and those of others are stored.
func TestOneTalkLocked(t *testing.T) {
	t.Parallel()
	f, _ := newRedisFleet(t)
	p := f.start(t, "--wait")
	held, c := pairTalk(1, 2), dial(t, p)
	for _, k := range []talk{held, pairTalk(3, 4)} {
		call[*impb.IMMsgData](t, c, pairText(k.low, k.high, "before"))
	}
	tx, err := f.db.Admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "SELECT 1 FROM IMProxyTalk WHERE kind=1 AND a=? AND b=? FOR UPDATE", held.low, held.high); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	err = dial(t, p).Start(t.Context(), pairText(held.low, held.high, "waits"), func(_ proto.Message, err error) { ended <- err })
	if err != nil {
		t.Fatal(err)
	}
	await(t, "a wait for the lock", func() bool {
		return count(t, f.db.Admin, `SELECT COUNT(*) FROM information_schema.PROCESSLIST
			WHERE DB=DATABASE() AND INFO LIKE '%FOR UPDATE' AND ID<>CONNECTION_ID()`) > 0
	})
	refused := 0
	for i := range 20 {
		if call[*impb.IMMsgData](t, c, pairText(3, 4, fmt.Sprint("goes on ", i))).GetMsgId() == 0 {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d messages of another talk were not stored", refused)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-within(t).Done():
		t.Error("the message that had to wait was not answered")
	}
}
