package audit

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// After returns those of a talk's rows with an id above id that match; a nil match takes all.
func After(rows []Row, id uint32, match func(Row) bool) (found []Row) {
	for _, m := range rows {
		if m.ID > id && (match == nil || match(m)) {
			found = append(found, m)
		}
	}
	return found
}

// UnreadOf asks how many messages user has not read of a talk.
func UnreadOf(t *testing.T, c *client.Client, user, peer uint32, kind impb.SessionType) int {
	t.Helper()
	return UnreadIn(rig.MustAsk[*impb.IMUnreadMsgCntRsp](t, c, rig.Unread(user)), peer, kind)
}

// UnreadIn finds a talk in an answer; one that is not there has nothing unread.
func UnreadIn(answer *impb.IMUnreadMsgCntRsp, peer uint32, kind impb.SessionType) int {
	for _, u := range answer.GetUnreadinfoList() {
		if u.GetSessionId() == peer && u.GetSessionType() == kind {
			return int(u.GetUnreadCnt())
		}
	}
	return 0
}

// CheckPaging sees that a pair's pages have all its rows.
func CheckPaging(t *testing.T, c *client.Client, k lines.Talk, rows []Row) {
	t.Helper()
	const size = 100
	begin := uint32(0)
	for left := len(rows); left > 0; {
		list := rig.MustAsk[*impb.IMGetMsgListRsp](t, c,
			rig.Page(k.Low, rig.Pair, k.High, begin, size)).GetMsgList()
		if len(list) != min(left, size) {
			t.Errorf("%v: a page from %d has %d messages, %d are left", k, begin, len(list), left)
			return
		}
		for _, m := range list {
			left--
			want := rows[left]
			if m.GetMsgId() != want.ID || string(m.GetMsgData()) != want.Content ||
				m.GetFromSessionId() != want.From {
				t.Errorf("%v: paging shows %v where %v is stored", k, m, want)
				return
			}
		}
		begin = list[len(list)-1].GetMsgId() - 1
	}
}
