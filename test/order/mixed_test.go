package order

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// TestBesideOriginal has a proxy and an original server work on the same talks, groups and users in
// turn.
func TestBesideOriginal(t *testing.T) {
	for name, play := range map[string]func(*testing.T, original.Mixed){
		"ids move on":         playIDs,
		"a counter set to 0":  playSetToZero,
		"talk of an original": playTalk,
		"duplicates":          playDuplicates,
		"sessions":            playSessions,
		"read pairs":          playReadPairs,
		"members":             playMembers,
		"talk in groups":      playGroupTalk,
		"mutes":               playMutes,
		"tokens":              playTokens,
		"people":              playPeople,
		"departments":         playDepartments,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, original.NewMixed(t))
		})
	}
}

func playIDs(t *testing.T, m original.Mixed) {
	original.WantEqual(t, "first id", m.Say(rig.PairText(1, 2, "a")), 1)
	original.WantEqual(t, "the original's", m.Send(1, 2, 1, "b"), 2)
	original.WantEqual(t, "the original's", m.Send(1, 1, 2, "c"), 3)
	original.WantEqual(t, "next id", m.Say(rig.PairText(1, 2, "d")), 4)
	original.WantEqual(t, "the original's", m.Send(1, 1, 2, "e"), 5)
	m.WantPage(2, rig.Pair, 1, "5 e", "4 d", "3 c", "2 b", "1 a")
	m.WantUnread(2, 1, rig.Pair, 4)
	m.WantUnread(1, 2, rig.Pair, 1)
	original.WantEqual(t, "relations", rig.Count(t, m.DB.Admin,
		"SELECT COUNT(*) FROM IMRelationShip"), 1)
	original.WantEqual(t, "sessions", rig.Count(t, m.DB.Admin,
		"SELECT COUNT(*) FROM IMRecentSession"), 2)
}

func playSetToZero(t *testing.T, m original.Mixed) {
	for i := range uint32(6) {
		original.WantEqual(t, "id", m.Say(rig.PairText(1, 2, fmt.Sprint("text ", i))), i+1)
		// an original that made the relation at the same time
		m.Redis.Exec(t, "SET", "msg_id_1", "0")
	}
	original.WantEqual(t, "id", m.Say(rig.PairText(2, 1, "last")), 7)
	original.WantEqual(t, "msg_id_1", m.Number("GET", "msg_id_1"), 7)
	original.WantEqual(t, "the original's", m.Send(1, 2, 1, "x"), 8)
	m.WantUnread(2, 1, rig.Pair, 6)

	// What an original stored before it was set back is not overwritten either.
	m.Redis.Exec(t, "SET", "msg_id_1", "0")
	original.WantEqual(t, "id", m.Say(rig.PairText(1, 2, "y")), 9)
	// Where an original failed, it left 4294967295.
	m.Redis.Exec(t, "SET", "msg_id_1", "4294967295")
	original.WantEqual(t, "id", m.Say(rig.PairText(1, 2, "z")), 10)
	original.WantEqual(t, "msg_id_1", m.Number("GET", "msg_id_1"), 10)
}

func playTalk(t *testing.T, m original.Mixed) {
	relation := m.Relate(8, 3)
	m.Send(relation, 8, 3, "one")
	m.Send(relation, 8, 3, "two")
	m.WantUnread(3, 8, rig.Pair, 2)
	m.WantPage(3, rig.Pair, 8, "2 two", "1 one")
	original.WantList(t, "sessions", m.Sessions(3), 8)

	original.WantEqual(t, "id", m.Say(rig.PairText(8, 3, "three")), 3)
	m.WantUnread(3, 8, rig.Pair, 3)
	m.Send(relation, 8, 3, "four")
	m.WantUnread(3, 8, rig.Pair, 4)
	m.WantPage(3, rig.Pair, 8, "4 four", "3 three", "2 two", "1 one")
	original.WantEqual(t, "relations", rig.Count(t, m.DB.Admin,
		"SELECT COUNT(*) FROM IMRelationShip"), 1)
	original.WantEqual(t, "sessions", rig.Count(t, m.DB.Admin,
		"SELECT COUNT(*) FROM IMRecentSession"), 2)
}

// playDuplicates has the rows that an original leaves when two first messages come at once.
func playDuplicates(t *testing.T, m original.Mixed) {
	first, second := m.Relate(1, 2), m.Relate(1, 2)
	m.Exec(t, "UPDATE IMRelationShip SET updated=updated+1 WHERE id=?", second)
	m.Send(second, 1, 2, "in use")
	original.WantEqual(t, "id", m.Say(rig.PairText(1, 2, "new")), 2)
	m.WantPage(1, rig.Pair, 2, "2 new", "1 in use")
	original.WantEqual(t, "id in the other relation", m.Number("GET", fmt.Sprint("msg_id_", first)),
		0)
	original.WantList(t, "sessions", m.Sessions(1), 2)
}

func playSessions(t *testing.T, m original.Mixed) {
	m.Say(rig.PairText(1, 2, "a"))
	m.Say(rig.PairText(3, 2, "b"))
	m.RemoveSession(2, 1, rig.Pair)
	original.WantList(t, "sessions after a removal", m.Sessions(2), 3)
	m.WantUnread(2, 1, rig.Pair, 0)
	m.Say(rig.PairText(1, 2, "c"))
	original.WantList(t, "sessions after a message", m.Sessions(2), 1, 3)
	m.WantUnread(2, 1, rig.Pair, 1)

	removed := rig.Call[*impb.IMRemoveSessionRsp](t, m.Client,
		&impb.IMRemoveSessionReq{UserId: proto.Uint32(2), SessionType: rig.Pair.Enum(),
			SessionId: proto.Uint32(3)})
	original.WantEqual(t, "result code", removed.GetResultCode(), 0)
	original.WantEqual(t, "the key", m.Number("HGET", "unread_2", "3"), 0)
	m.ReviveSession(2, 3, rig.Pair)
	m.Send(2, 3, 2, "d")
	original.WantList(t, "sessions after a revival", m.Sessions(2), 1, 3)
	m.WantUnread(2, 3, rig.Pair, 1)
	original.WantEqual(t, "sessions", rig.Count(t, m.DB.Admin,
		"SELECT COUNT(*) FROM IMRecentSession"), 4)
}

func playReadPairs(t *testing.T, m original.Mixed) {
	for range 3 {
		m.Say(rig.PairText(1, 2, "x"))
	}
	m.ReadPair(2, 1)
	m.WantUnread(2, 1, rig.Pair, 0)
	m.Say(rig.PairText(1, 2, "y"))
	m.WantUnread(2, 1, rig.Pair, 1)
	original.WantEqual(t, "the key", m.Number("HGET", "unread_2", "1"), 1)

	m.Send(1, 1, 2, "z")
	m.Post(rig.ReadAck(2, rig.Pair, 1))
	m.WantUnread(2, 1, rig.Pair, 0)
	original.WantEqual(t, "the key", m.Number("HGET", "unread_2", "1"), 0)
	m.Send(1, 1, 2, "z")
	m.WantUnread(2, 1, rig.Pair, 1)
}

func playMembers(t *testing.T, m original.Mixed) {
	g := rig.Call[*impb.IMGroupCreateRsp](t, m.Client, rig.NewGroup(1, 1, 2)).GetGroupId()
	m.Say(rig.GroupText(1, g, "a"))
	m.Add(g, 3)
	m.WantUnread(3, g, rig.Group, 0)
	original.WantEqual(t, "id of a message by whom an original added",
		m.Say(rig.GroupText(3, g, "b")), 2)
	info := m.GroupInfo(g)
	original.WantList(t, "members", info.GetGroupMemberList(), 1, 2, 3)
	original.WantEqual(t, "version", info.GetVersion(), 2)

	m.Remove(g, 2)
	original.WantList(t, "members", m.GroupInfo(g).GetGroupMemberList(), 1, 3)
	err := m.Start(rig.Within(t), rig.GroupText(2, g, "refused"), func(_ proto.Message, err error) {
		if err == nil { // there is no answer, until the connection ends
			t.Error("who was removed was answered")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	back := rig.Call[*impb.IMGroupChangeMemberRsp](t, m.Client,
		&impb.IMGroupChangeMemberReq{UserId: proto.Uint32(1),
			GroupId: &g, ChangeType: impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD.Enum(),
			MemberIdList: []uint32{2, 3}})
	original.WantList(t, "added", back.GetChgUserIdList(), 2)
	original.WantList(t, "members", back.GetCurUserIdList(), 1, 2, 3)
	original.WantEqual(t, "version", m.GroupInfo(g).GetVersion(), 4)
	original.WantEqual(t, "id", m.Say(rig.GroupText(2, g, "c")), 3)
	m.WantPage(1, rig.Group, g, "3 c", "2 b", "1 a")
	original.WantEqual(t, "rows of members", rig.Count(t, m.DB.Admin,
		"SELECT COUNT(*) FROM IMGroupMember"), 3)
	for _, user := range []uint32{1, 2, 3} {
		if m.Number("HGET", fmt.Sprint("group_member_", g), fmt.Sprint(user)) == 0 {
			t.Errorf("user %d is not in the key", user)
		}
	}
}

func playGroupTalk(t *testing.T, m original.Mixed) {
	g := m.CreateGroup(4, 4, 5, 6)
	original.WantEqual(t, "the original's id", m.SendGroup(g, 4, "a"), 1)
	m.WantUnread(5, g, rig.Group, 1)
	original.WantEqual(t, "id", m.Say(rig.GroupText(5, g, "b")), 2)
	m.WantUnread(4, g, rig.Group, 1)
	m.WantUnread(5, g, rig.Group, 0)
	m.WantUnread(6, g, rig.Group, 2)
	original.WantEqual(t, "the original's id", m.SendGroup(g, 6, "c"), 3)
	m.WantUnread(6, g, rig.Group, 0)
	original.WantEqual(t, "id", m.Say(rig.GroupText(5, g, "d")), 4)
	m.Read(g, 4)
	m.WantUnread(4, g, rig.Group, 0)
	m.WantUnread(5, g, rig.Group, 0)
	m.WantUnread(6, g, rig.Group, 1)
	m.WantPage(4, rig.Group, g, "4 d", "3 c", "2 b", "1 a")
	original.WantEqual(t, "the count", m.Number("HGET", fmt.Sprint(g, "_im_group_msg"), "count"), 4)
	original.WantEqual(t, "the level", m.Number("HGET", fmt.Sprintf("5_%d_im_user_group", g),
		"count"), 4)
	m.Post(rig.ReadAck(6, rig.Group, g))
	m.WantUnread(6, g, rig.Group, 0)
	m.SendGroup(g, 4, "e")
	m.WantUnread(6, g, rig.Group, 1)
	m.WantUnread(4, g, rig.Group, 0)
}

func playMutes(t *testing.T, m original.Mixed) {
	g := m.CreateGroup(1, 1, 2, 3)
	m.Redis.Exec(t, "HSET", fmt.Sprint("group_set_", g), "2_1", "1")
	rig.Call[*impb.IMGroupShieldRsp](t, m.Client, &impb.IMGroupShieldReq{UserId: proto.Uint32(3),
		GroupId:      &g,
		ShieldStatus: proto.Uint32(1)})
	m.Say(rig.GroupText(1, g, "a"))
	wantMutes := func(want ...uint32) {
		t.Helper()
		answer := rig.Call[*impb.IMGroupGetShieldRsp](t, m.Client,
			&impb.IMGroupGetShieldReq{GroupId: &g, UserId: []uint32{1, 2, 3}})
		var got []uint32
		for _, s := range answer.GetShieldStatusList() {
			got = append(got, s.GetShieldStatus())
		}
		original.WantList(t, "mutes", got, want...)
	}
	wantMutes(0, 1, 1)
	m.Redis.Exec(t, "HSET", fmt.Sprint("group_set_", g), "3_1", "0")
	wantMutes(0, 1, 0)
}

func playTokens(t *testing.T, m original.Mixed) {
	m.SetToken(5, "old")
	m.SetToken(4, "other")
	tokens := func() string {
		t.Helper()
		answer := rig.Call[*impb.IMGetDeviceTokenRsp](t, m.Client,
			&impb.IMGetDeviceTokenReq{UserId: []uint32{4, 5}})
		var all []string
		for _, u := range answer.GetUserTokenInfo() {
			all = append(all, fmt.Sprintf("%d:%s:%d", u.GetUserId(), u.GetToken(),
				u.GetPushCount()))
		}
		return strings.Join(all, " ")
	}
	original.WantEqual(t, "tokens", tokens(), "4:other:0 5:old:0")
	rig.Call[*impb.IMDeviceTokenRsp](t, m.Client, &impb.IMDeviceTokenReq{UserId: proto.Uint32(5),
		DeviceToken: proto.String("new"), ClientType: impb.ClientType_CLIENT_TYPE_ANDROID.Enum()})
	relation := m.Relate(1, 4)
	m.Send(relation, 1, 4, "x")
	original.WantEqual(t, "tokens", tokens(), "4:other:1 5:new:0")
	original.WantEqual(t, "the old token's user", m.Redis.Text(t, "GET", "device_old"), "")
	original.WantEqual(t, "the new token's user", m.Redis.Text(t, "GET", "device_new"), "5")
	original.WantEqual(t, "the user's", m.Redis.Text(t, "GET", "device_5"), "android:new")
}

// playPeople has the back office change people, which tells nobody.
func playPeople(t *testing.T, m original.Mixed) {
	login := func(name, password string) uint32 {
		t.Helper()
		return rig.Call[*impb.IMValidateRsp](t, m.Client, &impb.IMValidateReq{UserName: &name,
			Password: proto.String(client.WirePassword(password))}).GetResultCode()
	}
	since := uint32(m.Now())
	changed := func() (ids []uint32) {
		t.Helper()
		answer := rig.Call[*impb.IMAllUserRsp](t, m.Client,
			&impb.IMAllUserReq{UserId: proto.Uint32(1), LatestUpdateTime: &since})
		for _, u := range answer.GetUserList() {
			ids = append(ids, u.GetUserId())
		}
		return ids
	}
	original.WantEqual(t, "login with the old password", login("bob", "new"), 1)
	original.WantList(t, "changed", changed())
	m.Exec(t, "UPDATE IMUser SET nick='Bobby', salt='7', password=MD5(CONCAT(?,'7')), updated=? "+
		"WHERE id=2", client.WirePassword("new"), since)
	m.Exec(t, "UPDATE IMUser SET status=3, updated=? WHERE id=3", since)
	m.Exec(t, `INSERT INTO IMUser
		(sex,name,domain,nick,password,salt,phone,email,departId,created,updated,sign_info)
		VALUES (1,'judy','judy','Judy',MD5(CONCAT(?,'123')),'123','','',1,?,?,'')`,
		client.WirePassword("hers"), since, since)
	original.WantEqual(t, "login with the new password", login("bob", "new"), 0)
	original.WantEqual(t, "login of a new user", login("judy", "hers"), 0)
	original.WantEqual(t, "login of one who left", login("carol", "carol-secret"), 1)
	original.WantList(t, "changed", changed(), 2, 3, 11)
	users := rig.Call[*impb.IMUsersInfoRsp](t, m.Client, rig.UsersInfo(1, 2)).GetUserInfoList()
	original.WantEqual(t, "nick", users[0].GetUserNickName(), "Bobby")
}

func playDepartments(t *testing.T, m original.Mixed) {
	since := uint32(m.Now())
	m.Exec(t, "UPDATE IMDepart SET departName='R&D', updated=? WHERE id=2", since+1)
	m.Exec(t, `INSERT INTO IMDepart (departName,priority,parentId,status,created,updated)
		VALUES ('新',1,1,0,?,?)`, since, since+2)
	answer := rig.Call[*impb.IMDepartmentRsp](t, m.Client,
		&impb.IMDepartmentReq{UserId: proto.Uint32(1), LatestUpdateTime: &since})
	var got []string
	for _, d := range answer.GetDeptList() {
		got = append(got, strconv.Itoa(int(d.GetDeptId()))+d.GetDeptName())
	}
	original.WantEqual(t, "departments", strings.Join(got, " "), "2R&D 5新")
	original.WantEqual(t, "time", answer.GetLatestUpdateTime(), since+2)
}
