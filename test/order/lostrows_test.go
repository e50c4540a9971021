package order

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// say5 has user 1 say something to user 2 and in a group, and returns the group.
func say5(m original.Mixed) (g uint32) {
	m.T.Helper()
	g = rig.Call[*impb.IMGroupCreateRsp](m.T, m.Client, rig.NewGroup(1, 1, 2, 3)).GetGroupId()
	for i := range 5 {
		m.Say(rig.PairText(1, 2, fmt.Sprint("before ", i)))
		m.Say(rig.GroupText(1, g, fmt.Sprint("before ", i)))
	}
	return g
}

// goesOn sees that ids and what user 2 has unread of user 1 and of a group go on.
func goesOn(m original.Mixed, g uint32, last int) {
	m.T.Helper()
	unread := func(want int) {
		m.T.Helper()
		m.WantUnread(2, 1, rig.Pair, want)
		m.WantUnread(2, g, rig.Group, want)
	}
	say := func(want int) {
		m.T.Helper()
		original.WantEqual(m.T, "id", int(m.Say(rig.PairText(1, 2, "after"))), want)
		original.WantEqual(m.T, "id in the group", int(m.Say(rig.GroupText(1, g, "after"))), want)
	}
	unread(last)
	say(last + 1)
	unread(last + 1)
	m.Post(rig.ReadAck(2, rig.Pair, 1))
	m.Post(rig.ReadAck(2, rig.Group, g))
	unread(0)
	say(last + 2)
	unread(1)
}

// TestTalkRowsLost has somebody delete our rows of talks by hand, at work: counts go on from what
// Redis has, with what an original server has counted there.
func TestTalkRowsLost(t *testing.T) {
	t.Parallel()
	m := original.NewMixed(t)
	g := say5(m)
	relation := uint32(rig.Count(t, m.DB.Admin, "SELECT id FROM IMRelationShip"))
	m.Send(relation, 1, 2, "of an original")
	m.SendGroup(g, 1, "of an original")
	m.Exec(t, "DELETE FROM IMProxyTalk")
	goesOn(m, g, 6)
}

// TestTablesLost has somebody go back to original servers, delete all that was ours in MySQL, and
// come again later.
func TestTablesLost(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	p := f.Start(t)
	m := original.Beside(t, f, rig.Dial(t, p))
	g := say5(m)
	if err := p.Stop(rig.Within(t)); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"Talk", "Level", "Commit", "Mute", "Device", "Token", "Mark",
		"Journal", "Lease"} {
		f.Exec(t, "DELETE FROM IMProxy"+table)
	}
	relation := uint32(rig.Count(t, m.DB.Admin, "SELECT id FROM IMRelationShip"))
	m.Send(relation, 1, 2, "of an original")
	m.SendGroup(g, 1, "of an original")
	m.Client = rig.Dial(t, f.Start(t))
	goesOn(m, g, 6)
}
