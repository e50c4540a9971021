package input

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// TestForksMessagesAreCounted has a fork beside the proxy store messages of its own types, counted
// in Redis as all are.
func TestForksMessagesAreCounted(t *testing.T) {
	t.Parallel()
	m := original.NewMixed(t)
	relation, g := m.Relate(1, 2), m.CreateGroup(2, 1, 2)
	for _, text := range []string{"a", "of a fork"} {
		m.Send(relation, 2, 1, text)
		m.SendGroup(g, 2, text)
	}
	pairs, groups := fmt.Sprint("IMMessage_", relation%8), fmt.Sprint("IMGroupMessage_", g%8)
	m.Exec(t, "UPDATE "+pairs+" SET type=3 WHERE content='of a fork'")
	m.Exec(t, "UPDATE "+groups+" SET type=19 WHERE content='of a fork'")

	m.WantUnread(1, 2, rig.Pair, 2)
	m.WantUnread(1, g, rig.Group, 2)
	answer := rig.Call[*impb.IMUnreadMsgCntRsp](t, m.Client, rig.Unread(1))
	original.WantEqual(t, "the total", int(answer.GetTotalCnt()), 4)
	for _, u := range answer.GetUnreadinfoList() {
		original.WantEqual(t, "the last message", string(u.GetLatestMsgData()), "a")
		original.WantEqual(t, "its id", int(u.GetLatestMsgId()), 1)
	}
	m.WantPage(1, rig.Pair, 2, "1 a")
	m.WantPage(1, rig.Group, g, "1 a")

	m.Exec(t, "UPDATE IMRelationShip SET status=1")
	m.WantPage(1, rig.Pair, 2)
	answer = rig.Call[*impb.IMUnreadMsgCntRsp](t, m.Client, rig.Unread(1))
	original.WantEqual(t, "the total without the pair", int(answer.GetTotalCnt()), 2)
	original.WantEqual(t, "the id of the message that revives it",
		int(m.Say(rig.PairText(1, 2, "b"))), 3)
	m.WantPage(1, rig.Pair, 2, "3 b", "1 a")
	m.WantUnread(1, 2, rig.Pair, 2)
}

// TestTypesThatMayPass starts proxies with flags for further types.
func TestTypesThatMayPass(t *testing.T) {
	t.Parallel()
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		w.Start(t, "--message-types", "77,78", "--group-types", "77")
		c := w.Dial(t, 0)
		g := rig.Call[*impb.IMGroupCreateRsp](t, c, rig.NewGroup(1, 1, 2)).GetGroupId()
		other := rig.Call[*impb.IMGroupCreateRsp](t, c, rig.NewGroup(1, 1, 2)).GetGroupId()
		for _, text := range []string{"a", "b", "c"} {
			rig.Submit(t, c, rig.GroupText(1, g, text))
		}
		o := odd{T: t, Setup: w, db: w.DB}
		if w.Fleet == nil {
			o.openSQLite()
		}
		table := fmt.Sprint("IMGroupMessage_", g%8)
		o.exec("UPDATE " + table + " SET type=78 WHERE content='b'")
		o.exec("UPDATE " + table + " SET type=79 WHERE content='c'")
		o.exec("UPDATE IMGroup SET type=77 WHERE id=?", g)
		o.exec("UPDATE IMGroup SET type=78 WHERE id=?", other)

		var shown []string
		for _, m := range rig.MustAsk[*impb.IMGetMsgListRsp](t, c,
			rig.Page(2, rig.Group, g, 0, 10)).GetMsgList() {
			shown = append(shown, fmt.Sprint(string(m.GetMsgData()), " ", int32(m.GetMsgType())))
		}
		if want := []string{"b 78", "a 17"}; !slices.Equal(shown, want) {
			t.Errorf("the page has %q, want %q", shown, want)
		}
		asked := &impb.IMGroupInfoListReq{UserId: proto.Uint32(1)}
		for _, id := range []uint32{g, other} {
			asked.GroupVersionList = append(asked.GroupVersionList,
				&impb.GroupVersionInfo{GroupId: &id, Version: proto.Uint32(0)})
		}
		groups := rig.MustAsk[*impb.IMGroupInfoListRsp](t, c, asked).GetGroupInfoList()
		if len(groups) != 1 || groups[0].GetGroupId() != g || groups[0].GetGroupType() != 77 {
			t.Errorf("the groups are %v", groups)
		}
		log := w.Proxy(0).Log.String()
		if n := strings.Count(log, "messages of a type"); n != 1 {
			t.Errorf("the log tells %d times of messages that are left out", n)
		}
	})
}

// TestNamesThatMySQLCannotCompare has tables in the character set of old installers, and somebody
// log in whose name it lacks: nobody has it, and no failure is counted or logged.
func TestNamesThatMySQLCannotCompare(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	f.Exec(t, "UPDATE IMUser SET name='user5',nick='',sign_info='' WHERE id IN (3,5)")
	f.Exec(t, "ALTER TABLE IMUser CONVERT TO CHARACTER SET latin1")
	f.Exec(t, "ALTER TABLE IMTransmitFile CONVERT TO CHARACTER SET utf8mb3")
	p := f.Start(t)
	c := rig.Dial(t, p)
	m := original.Beside(t, f, c)
	login := func(name string, want uint32) {
		t.Helper()
		password := client.WirePassword("alice-secret")
		answer := rig.MustAsk[*impb.IMValidateRsp](t, c,
			&impb.IMValidateReq{UserName: &name, Password: &password})
		original.WantEqual(t, "the result of "+name, answer.GetResultCode(), want)
		original.WantEqual(t, "the name", answer.GetUserName(), name)
	}
	for _, name := range []string{"王小明", "alice😀", "é", "no such name"} {
		login(name, 1)
	}
	login("alice", 0)
	file := &impb.IMFileAddOfflineReq{FromUserId: proto.Uint32(1), ToUserId: proto.Uint32(2),
		TaskId: proto.String("task"), FileName: proto.String("name"), FileSize: proto.Uint32(1)}
	m.Post(file)
	m.Post(&impb.IMFileDelOfflineReq{FromUserId: file.FromUserId, ToUserId: file.ToUserId,
		TaskId: proto.String("task😀")})
	files := rig.MustAsk[*impb.IMFileHasOfflineRsp](t, c,
		&impb.IMFileHasOfflineReq{UserId: file.ToUserId})
	original.WantEqual(t, "files that wait", len(files.GetOfflineFileList()), 1)
	for _, line := range p.Log.Lines() {
		if line.Level == "ERROR" || line.Message == "failed" {
			t.Errorf("the log has %s", line.Raw)
		}
	}
}
