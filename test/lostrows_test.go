package test

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// say5 has user 1 say something to user 2 and in a group, and returns the group.
func (m mixed) say5() (g uint32) {
	m.t.Helper()
	g = call[*impb.IMGroupCreateRsp](m.t, m.Client, newGroup(1, 1, 2, 3)).GetGroupId()
	for i := range 5 {
		m.say(pairText(1, 2, fmt.Sprint("before ", i)))
		m.say(groupText(1, g, fmt.Sprint("before ", i)))
	}
	return g
}

// goesOn sees that ids and what user 2 has unread of user 1 and of a group go on.
func (m mixed) goesOn(g uint32, last int) {
	m.t.Helper()
	unread := func(want int) {
		m.t.Helper()
		m.wantUnread(2, 1, pair, want)
		m.wantUnread(2, g, group, want)
	}
	say := func(want int) {
		m.t.Helper()
		wantEqual(m.t, "id", int(m.say(pairText(1, 2, "after"))), want)
		wantEqual(m.t, "id in the group", int(m.say(groupText(1, g, "after"))), want)
	}
	unread(last)
	say(last + 1)
	unread(last + 1)
	m.post(readAck(2, pair, 1))
	m.post(readAck(2, group, g))
	unread(0)
	say(last + 2)
	unread(1)
}

// TestTalkRowsLost has somebody delete our rows of talks by hand, at work: counts go on from what Redis has, with what an
// original server has counted there.
func TestTalkRowsLost(t *testing.T) {
	t.Parallel()
	m := newMixed(t)
	g := m.say5()
	var relation uint32
	if err := m.db.Admin.QueryRowContext(within(t), "SELECT id FROM IMRelationShip").Scan(&relation); err != nil {
		t.Fatal(err)
	}
	m.send(relation, 1, 2, "of an original")
	m.sendGroup(g, 1, "of an original")
	m.exec(t, "DELETE FROM IMProxyTalk")
	m.goesOn(g, 6)
}

// TestTablesLost has somebody go back to original servers, delete all that was ours in MySQL, and come again later.
func TestTablesLost(t *testing.T) {
	t.Parallel()
	f, _ := newRedisFleet(t)
	p := f.start(t)
	m := mixed{original{f, t}, dial(t, p)}
	g := m.say5()
	if err := p.Stop(within(t)); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"Talk", "Level", "Commit", "Mute", "Device", "Token", "Mark", "Journal", "Lease"} {
		f.exec(t, "DELETE FROM IMProxy"+table)
	}
	var relation uint32
	if err := m.db.Admin.QueryRowContext(within(t), "SELECT id FROM IMRelationShip").Scan(&relation); err != nil {
		t.Fatal(err)
	}
	m.send(relation, 1, 2, "of an original")
	m.sendGroup(g, 1, "of an original")
	m.Client = dial(t, f.start(t))
	m.goesOn(g, 6)
}
