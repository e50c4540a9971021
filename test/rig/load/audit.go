package load

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// Audit compares everything that was told with what is stored, once it is quiet. First it has one
// more message sent in every talk, if touch says so: what Redis has lost comes back with that.
func (l *Load) Audit(t *testing.T, touch bool) {
	t.Helper()
	begun := time.Now()
	if touch {
		audit.Touch(t, l.W, l.Sent)
	}
	rows := audit.Check(t, l.W, l.Sent)
	l.Agreed = time.Since(begun)
	stored := make(map[string]bool)
	for k, list := range rows {
		auditSerials(t, k, list)
		for _, m := range list {
			stored[m.Content] = true
		}
	}
	open, found := 0, 0
	l.Each(func(r *lines.Request) {
		switch {
		case r.Took > l.Latest:
			t.Errorf("%v: a %s was answered after %v", r.Talk, r.Kind, r.Took)
		case !r.Message() || r.Good || r.Kind == lines.Voice:
		case r.Took != 0 && stored[l.Content(r)]:
			t.Errorf("%v: %q was refused with id 0, and is stored", r.Talk, l.Content(r))
		case r.Took == 0:
			if open++; stored[l.Content(r)] {
				found++
			}
		}
	})
	t.Logf("%d answered with an id; %d without answer, of which %d are stored",
		l.Sent.Acknowledged(), open, found)
	l.auditUnread(t, rows)
	l.auditSounds(t, rows, touch)
	l.auditCrowd(t)
}

// auditSerials sees that what one connection sent to a talk is stored in the order of sending.
func auditSerials(t *testing.T, k lines.Talk, list []audit.Row) {
	t.Helper()
	last := make(map[uint64]uint64) // by connection
	for _, m := range list {
		var line, serial uint64
		if _, err := fmt.Sscanf(m.Content, rig.Secret+" %d %d", &line, &serial); err != nil {
			continue
		}
		if serial <= last[line] {
			t.Errorf("%v: what connection %d sent as %d is stored after %d", k, line, serial,
				last[line])
		}
		last[line] = serial
	}
}

// auditUnread compares the unread counters, as the protocol tells them, and pages, with the rows.
func (l *Load) auditUnread(t *testing.T, rows map[lines.Talk][]audit.Row) {
	t.Helper()
	c := l.W.Dial(t, len(l.W.Proxies)-1)
	for _, k := range Pairs {
		for _, user := range []uint32{k.Low, k.High} {
			if l.Removed {
				break
			}
			from := k.Low + k.High - user
			want := len(audit.After(rows[k], 0, func(m audit.Row) bool { return m.From == from }))
			if got := audit.UnreadOf(t, c, user, from, rig.Pair); got != want {
				t.Errorf("%d has %d unread from %d, %d are stored", user, got, from, want)
			}
		}
		audit.CheckPaging(t, c, k, rows[k])
	}
	for _, g := range l.Groups { // nor there, but whoever sends has read what came before
		list := rows[lines.GroupTalk(g)]
		for _, user := range append([]uint32{SilentMember}, Members...) {
			own := audit.After(list, 0, func(m audit.Row) bool { return m.From == user })
			last := uint32(0)
			if len(own) > 0 {
				last = own[len(own)-1].ID
			}
			want := len(audit.After(list, last, nil))
			if got := audit.UnreadOf(t, c, user, g, rig.Group); got != want {
				t.Errorf("%d has %d unread in group %d of %d messages, want %d",
					user, got, g, len(list), want)
			}
		}
	}
	for _, r := range l.readers {
		list := rows[r.talk]
		got := audit.UnreadOf(t, c, r.user, r.peer(), r.kind())
		possible := func(m mark) bool {
			return got <= len(audit.After(list, m.low, nil)) &&
				got >= len(audit.After(list, m.high, nil))
		}
		if !slices.ContainsFunc(r.marks, possible) {
			t.Errorf("%v: %d has %d unread of %d, acked %v", r.talk, r.user, got, len(list),
				r.marks)
		}
	}
}

// auditSounds sees that voice messages are there, each with its own sound, and no others.
func (l *Load) auditSounds(t *testing.T, rows map[lines.Talk][]audit.Row, touched bool) {
	t.Helper()
	c := l.W.Dial(t, 1)
	sounds, open := make(map[lines.Talk]map[uint32]string), make(map[lines.Talk]int)
	l.Each(func(r *lines.Request) {
		switch {
		case r.Kind != lines.Voice:
		case r.ID == 0 && r.Took == 0:
			open[r.Talk]++
		case r.ID != 0:
			if sounds[r.Talk] == nil {
				sounds[r.Talk] = make(map[uint32]string)
			}
			sounds[r.Talk][r.ID] = l.Content(r)
		}
	})
	for k, sounds := range sounds {
		stored := make(map[uint32]bool)
		for _, m := range rows[k] {
			stored[m.ID] = true
		}
		for id := range sounds {
			if !stored[id] {
				t.Errorf("%v: voice message %d was answered, and is not stored", k, id)
			}
		}
		n := len(rows[k])
		if touched {
			n--
		}
		if n > len(sounds)+open[k] {
			t.Errorf("%v: %d voice messages are stored, %d were answered, %d were not",
				k, n, len(sounds), open[k])
		}
		page := rig.Page(k.Low, rig.Pair, k.High, 0, 100)
		for _, m := range rig.MustAsk[*impb.IMGetMsgListRsp](t, c, page).GetMsgList() {
			if want, ok := sounds[m.GetMsgId()]; ok && string(m.GetMsgData()) != want {
				t.Errorf("%v: voice message %d has %d bytes that were not sent",
					k, m.GetMsgId(), len(m.GetMsgData()))
			}
		}
	}
}

// auditCrowd sees that those who stay in the group in which others come and go are in it, and
// nobody is twice.
func (l *Load) auditCrowd(t *testing.T) {
	t.Helper()
	g := l.crowd.group
	if g == 0 {
		return
	}
	answer := rig.MustAsk[*impb.IMGroupInfoListRsp](t, l.W.Dial(t, 2), &impb.IMGroupInfoListReq{
		UserId:           &l.crowd.members[0],
		GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &g, Version: zero}}})
	if len(answer.GetGroupInfoList()) != 1 {
		t.Fatalf("the group is not told of: %v", answer)
	}
	members := answer.GetGroupInfoList()[0].GetGroupMemberList()
	for _, user := range l.crowd.members {
		if !slices.Contains(members, user) {
			t.Errorf("member %d is lost", user)
		}
	}
	for _, user := range l.crowd.changing {
		n := rig.Count(t, l.W.DB,
			"SELECT count(*) FROM IMGroupMember WHERE groupId = ? AND userId = ?", g, user)
		if n > 1 {
			t.Errorf("member %d has %d rows", user, n)
		}
	}
	if n := rig.Count(t, l.W.DB, "SELECT userCnt FROM IMGroup WHERE id = ?", g); n != len(members) {
		t.Errorf("userCnt is %d of %d members", n, len(members))
	}
}
