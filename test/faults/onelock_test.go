//go:build !race

package faults

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// TestOneTalkLocked has somebody keep the row of one talk locked: its message has to wait, and
// those of others are stored.
func TestOneTalkLocked(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	p := f.Start(t, "--wait")
	held, c := lines.PairTalk(1, 2), rig.Dial(t, p)
	for _, k := range []lines.Talk{held, lines.PairTalk(3, 4)} {
		rig.Call[*impb.IMMsgData](t, c, rig.PairText(k.Low, k.High, "before"))
	}
	tx, err := f.DB.Admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _,
		err := tx.ExecContext(t.Context(),
		"SELECT 1 FROM IMProxyTalk WHERE kind=1 AND a=? AND b=? FOR UPDATE", held.Low,
		held.High); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	err = rig.Dial(t, p).Start(t.Context(), rig.PairText(held.Low, held.High, "waits"),
		func(_ proto.Message, err error) { ended <- err })
	if err != nil {
		t.Fatal(err)
	}
	rig.Await(t, "a wait for the lock", func() bool {
		return rig.Count(t, f.DB.Admin, `SELECT COUNT(*) FROM information_schema.PROCESSLIST
			WHERE DB=DATABASE() AND INFO LIKE '%FOR UPDATE' AND ID<>CONNECTION_ID()`) > 0
	})
	refused := 0
	for i := range 20 {
		if rig.Call[*impb.IMMsgData](t, c, rig.PairText(3, 4,
			fmt.Sprint("goes on ", i))).GetMsgId() == 0 {
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
	case <-rig.Within(t).Done():
		t.Error("the message that had to wait was not answered")
	}
}
