package order

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// TestOriginalAtWork has two proxies and an original write to the same pair and group at the same
// time, while other originals set a counter of ids to 0. Nothing is lost or doubled, no id is given
// twice, and all is counted.
func TestOriginalAtWork(t *testing.T) {
	t.Parallel()
	const sends, volley = 30, 16 // of the original; of each proxy, in each talk
	f, _ := rig.NewRedisFleet(t)
	first, second := f.Start(t), f.Start(t)
	m := original.Beside(t, f, rig.Dial(t, first))
	relation, g := m.Relate(1, 2), m.CreateGroup(1, 1, 2, 3)
	ours, theirs, group := lines.PairTalk(5, 6), lines.PairTalk(1, 2), lines.GroupTalk(g)
	sent := audit.NewLedger()
	sent.Mixed = true
	note := func(k lines.Talk, from, id uint32, text string) {
		sent.Answered(k, &impb.IMMsgData{FromUserId: &from, MsgId: &id, MsgData: []byte(text)})
	}
	original.WantEqual(t, "the first id", m.Say(rig.PairText(5, 6, "of proxies only")), 1)
	note(ours, 5, 1, "of proxies only")

	stop := atWork(t, sent, volley, []string{first.Addr, second.Addr},
		map[lines.Talk]uint32{theirs: 1, ours: 5, group: 2})
	for i := range sends {
		text := fmt.Sprint("of an original ", i)
		note(theirs, 1, m.Send(relation, 1, 2, text), text)
		text += " to a group"
		note(group, 2, m.SendGroup(g, 2, text), text)
		m.Redis.Exec(t, "SET", fmt.Sprint("msg_id_", relation+1), "0") // the relation of 5 and 6
		m.Add(g, uint32(100+i))
	}
	stop()

	rows := audit.ReadRows(t, f.DB.Admin)
	sent.Check(t, rows)
	m.WantUnread(2, 1, rig.Pair, len(rows[theirs]))
	m.WantUnread(6, 5, rig.Pair, len(rows[ours]))
	m.WantUnread(3, g, rig.Group, len(rows[group]))
	for what, number := range map[string][2]int{
		"the count": {m.Number("HGET", fmt.Sprint(g, "_im_group_msg"), "count"),
			len(rows[group])},
		"the pair's id": {m.Number("GET", fmt.Sprint("msg_id_", relation)), len(rows[theirs])},
		"members":       {len(m.GroupInfo(g).GetGroupMemberList()), 3 + sends},
		"relations":     {rig.Count(t, f.DB.Admin, "SELECT COUNT(*) FROM IMRelationShip"), 2},
		"sessions of pairs": {
			rig.Count(t, f.DB.Admin, "SELECT COUNT(*) FROM IMRecentSession WHERE type=1"), 4},
	} {
		original.WantEqual(t, what, number[0], number[1])
	}
}

// atWork has a line to each proxy for each talk, and its sender, send volleys until it is stopped.
// Then everything must be stored, in the order of sending.
func atWork(
	t *testing.T, sent *audit.Ledger, volley int, proxies []string, senders map[lines.Talk]uint32,
) (stop func()) {
	t.Helper()
	l := lines.New(lines.Plan{
		Ledger: sent, GiveUp: rig.Patience, InOrder: true, Keep: true,
		Text: func(line, serial uint64) string {
			return fmt.Sprint("of a proxy ", line, " ", serial)
		},
	})
	l.Begin(rig.Within(t), proxies...)
	for k, from := range senders {
		for range proxies { // one line after the other goes to the next
			l.Go(func(c *lines.Line) {
				c.Volley(volley, func() (lines.Talk, *impb.IMMsgData) { return k, k.Message(from) })
			})
		}
	}
	return func() {
		l.Halt()
		if !l.AwaitAnswers(rig.Patience) {
			t.Errorf("%d messages have no answer", l.Silent())
		}
		l.Close()
		l.Each(func(r *lines.Request) {
			if !r.Good {
				t.Errorf("%v: a message was not stored: %+v", r.Talk, *r)
			}
		})
	}
}
