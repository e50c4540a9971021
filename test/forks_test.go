package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// TestForksMessagesAreCounted has a fork beside the proxy store messages of its own types, counted in
// Redis as all are.
func TestForksMessagesAreCounted(t *testing.T) {
	t.Parallel()
	m := newMixed(t)
	relation, g := m.relate(1, 2), m.createGroup(2, 1, 2)
	for _, text := range []string{"a", "of a fork"} {
		m.send(relation, 2, 1, text)
		m.sendGroup(g, 2, text)
	}
	pairs, groups := fmt.Sprint("IMMessage_", relation%8), fmt.Sprint("IMGroupMessage_", g%8)
	m.exec(t, "UPDATE "+pairs+" SET type=3 WHERE content='of a fork'")
	m.exec(t, "UPDATE "+groups+" SET type=19 WHERE content='of a fork'")

	m.wantUnread(1, 2, pair, 2)
	m.wantUnread(1, g, group, 2)
	answer := call[*impb.IMUnreadMsgCntRsp](t, m.Client, unread(1))
	wantEqual(t, "the total", int(answer.GetTotalCnt()), 4)
	for _, u := range answer.GetUnreadinfoList() {
		wantEqual(t, "the last message", string(u.GetLatestMsgData()), "a")
		wantEqual(t, "its id", int(u.GetLatestMsgId()), 1)
	}
	m.wantPage(1, pair, 2, "1 a")
	m.wantPage(1, group, g, "1 a")

	m.exec(t, "UPDATE IMRelationShip SET status=1")
	m.wantPage(1, pair, 2)
	answer = call[*impb.IMUnreadMsgCntRsp](t, m.Client, unread(1))
	wantEqual(t, "the total without the pair", int(answer.GetTotalCnt()), 2)
	wantEqual(t, "the id of the message that revives it", int(m.say(pairText(1, 2, "b"))), 3)
	m.wantPage(1, pair, 2, "3 b", "1 a")
	m.wantUnread(1, 2, pair, 2)
}

// TestTypesThatMayPass starts proxies with flags for further types.
func TestTypesThatMayPass(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, w *place) {
		w.start(t, "--message-types", "77,78", "--group-types", "77")
		c := w.dial(t, 0)
		g := call[*impb.IMGroupCreateRsp](t, c, newGroup(1, 1, 2)).GetGroupId()
		other := call[*impb.IMGroupCreateRsp](t, c, newGroup(1, 1, 2)).GetGroupId()
		for _, text := range []string{"a", "b", "c"} {
			submit(t, c, groupText(1, g, text))
		}
		o := odd{T: t, place: w, db: w.db}
		if w.fleet == nil {
			o.openSQLite()
		}
		table := fmt.Sprint("IMGroupMessage_", g%8)
		o.exec("UPDATE " + table + " SET type=78 WHERE content='b'")
		o.exec("UPDATE " + table + " SET type=79 WHERE content='c'")
		o.exec("UPDATE IMGroup SET type=77 WHERE id=?", g)
		o.exec("UPDATE IMGroup SET type=78 WHERE id=?", other)

		var shown []string
		for _, m := range look[*impb.IMGetMsgListRsp](t, c, page(2, group, g, 0, 10)).GetMsgList() {
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
		groups := look[*impb.IMGroupInfoListRsp](t, c, asked).GetGroupInfoList()
		if len(groups) != 1 || groups[0].GetGroupId() != g || groups[0].GetGroupType() != 77 {
			t.Errorf("the groups are %v", groups)
		}
		log := w.proxy(0).Log.String()
		if n := strings.Count(log, "messages of a type"); n != 1 {
			t.Errorf("the log tells %d times of messages that are left out", n)
		}
	})
}

// TestNamesThatMySQLCannotCompare has tables in the character set of old installers, and somebody log
// in whose name it lacks: nobody has it, and no failure is counted or logged.
func TestNamesThatMySQLCannotCompare(t *testing.T) {
	t.Parallel()
	f, _ := newRedisFleet(t)
	f.exec(t, "UPDATE IMUser SET name='user5',nick='',sign_info='' WHERE id IN (3,5)")
	f.exec(t, "ALTER TABLE IMUser CONVERT TO CHARACTER SET latin1")
	f.exec(t, "ALTER TABLE IMTransmitFile CONVERT TO CHARACTER SET utf8mb3")
	p := f.start(t)
	c := dial(t, p)
	m := mixed{original{f, t}, c}
	login := func(name string, want uint32) {
		t.Helper()
		password := client.WirePassword("alice-secret")
		answer := look[*impb.IMValidateRsp](t, c, &impb.IMValidateReq{UserName: &name, Password: &password})
		wantEqual(t, "the result of "+name, answer.GetResultCode(), want)
		wantEqual(t, "the name", answer.GetUserName(), name)
	}
	for _, name := range []string{"王小明", "alice😀", "é", "no such name"} {
		login(name, 1)
	}
	login("alice", 0)
	file := &impb.IMFileAddOfflineReq{FromUserId: proto.Uint32(1), ToUserId: proto.Uint32(2),
		TaskId: proto.String("task"), FileName: proto.String("name"), FileSize: proto.Uint32(1)}
	m.post(file)
	m.post(&impb.IMFileDelOfflineReq{FromUserId: file.FromUserId, ToUserId: file.ToUserId,
		TaskId: proto.String("task😀")})
	files := look[*impb.IMFileHasOfflineRsp](t, c, &impb.IMFileHasOfflineReq{UserId: file.ToUserId})
	wantEqual(t, "files that wait", len(files.GetOfflineFileList()), 1)
	for _, line := range p.Log.Lines() {
		if line.Level == "ERROR" || line.Message == "failed" {
			t.Errorf("the log has %s", line.Raw)
		}
	}
}
