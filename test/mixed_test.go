package test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// mixed is a proxy with an original server beside it.
type mixed struct {
	original
	*client.Client
}

func newMixed(t *testing.T) mixed {
	t.Helper()
	f, _ := newRedisFleet(t)
	return mixed{original{f, t}, dial(t, f.start(t))}
}

// say has the proxy store a message and returns its id.
func (m mixed) say(msg *impb.IMMsgData) uint32 {
	m.t.Helper()
	return call[*impb.IMMsgData](m.t, m.Client, msg).GetMsgId()
}

// post sends what has no answer.
func (m mixed) post(msg proto.Message) {
	m.t.Helper()
	if err := m.Post(within(m.t), msg); err != nil {
		m.t.Fatal(err)
	}
}

// wantUnread checks what the proxy says a user has not read.
func (m mixed) wantUnread(user, peer uint32, kind impb.SessionType, want int) {
	m.t.Helper()
	answer := call[*impb.IMUnreadMsgCntRsp](m.t, m.Client, unread(user))
	if got := unreadIn(answer, peer, kind); got != want {
		m.t.Errorf("user %d has %d unread of %v %d, want %d", user, got, kind, peer, want)
	}
}

// wantPage checks the newest messages of a talk, newest first, by id and text.
func (m mixed) wantPage(user uint32, kind impb.SessionType, peer uint32, want ...string) {
	m.t.Helper()
	answer := call[*impb.IMGetMsgListRsp](m.t, m.Client, page(user, kind, peer, 0, 100))
	var got []string
	for _, i := range answer.GetMsgList() {
		got = append(got, fmt.Sprint(i.GetMsgId(), " ", string(i.GetMsgData())))
	}
	if !slices.Equal(got, want) {
		m.t.Errorf("user %d sees %q of %v %d, want %q", user, got, kind, peer, want)
	}
}

// sessions are the peers in a user's list of recent sessions.
func (m mixed) sessions(user uint32) (peers []uint32) {
	m.t.Helper()
	answer := call[*impb.IMRecentContactSessionRsp](m.t, m.Client,
		&impb.IMRecentContactSessionReq{UserId: &user, LatestUpdateTime: proto.Uint32(0)})
	for _, s := range answer.GetContactSessionList() {
		peers = append(peers, s.GetSessionId())
	}
	slices.Sort(peers)
	return peers
}

// groupInfo asks for one group; nil when there is none.
func (m mixed) groupInfo(id uint32) *impb.GroupInfo {
	m.t.Helper()
	answer := call[*impb.IMGroupInfoListRsp](m.t, m.Client, &impb.IMGroupInfoListReq{UserId: proto.Uint32(1),
		GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &id, Version: proto.Uint32(0)}}})
	if list := answer.GetGroupInfoList(); len(list) > 0 {
		return list[0]
	}
	return nil
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantList(t *testing.T, what string, got []uint32, want ...uint32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// TestBesideOriginal has a proxy and an original server work on the same talks, groups and users in turn.
func TestBesideOriginal(t *testing.T) {
	for name, play := range map[string]func(*testing.T, mixed){
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
			play(t, newMixed(t))
		})
	}
}

func playIDs(t *testing.T, m mixed) {
	wantEqual(t, "first id", m.say(pairText(1, 2, "a")), 1)
	wantEqual(t, "the original's", m.send(1, 2, 1, "b"), 2)
	wantEqual(t, "the original's", m.send(1, 1, 2, "c"), 3)
	wantEqual(t, "next id", m.say(pairText(1, 2, "d")), 4)
	wantEqual(t, "the original's", m.send(1, 1, 2, "e"), 5)
	m.wantPage(2, pair, 1, "5 e", "4 d", "3 c", "2 b", "1 a")
	m.wantUnread(2, 1, pair, 4)
	m.wantUnread(1, 2, pair, 1)
	wantEqual(t, "relations", count(t, m.db.Admin, "SELECT COUNT(*) FROM IMRelationShip"), 1)
	wantEqual(t, "sessions", count(t, m.db.Admin, "SELECT COUNT(*) FROM IMRecentSession"), 2)
}

func playSetToZero(t *testing.T, m mixed) {
	for i := range uint32(6) {
		wantEqual(t, "id", m.say(pairText(1, 2, fmt.Sprint("text ", i))), i+1)
		m.redis.do(t, "SET", "msg_id_1", "0") // an original that made the relation at the same time
	}
	wantEqual(t, "id", m.say(pairText(2, 1, "last")), 7)
	wantEqual(t, "msg_id_1", m.number("GET", "msg_id_1"), 7)
	wantEqual(t, "the original's", m.send(1, 2, 1, "x"), 8)
	m.wantUnread(2, 1, pair, 6)

	// What an original stored before it was set back is not overwritten either.
	m.redis.do(t, "SET", "msg_id_1", "0")
	wantEqual(t, "id", m.say(pairText(1, 2, "y")), 9)
	// Where an original failed, it left 4294967295.
	m.redis.do(t, "SET", "msg_id_1", "4294967295")
	wantEqual(t, "id", m.say(pairText(1, 2, "z")), 10)
	wantEqual(t, "msg_id_1", m.number("GET", "msg_id_1"), 10)
}

func playTalk(t *testing.T, m mixed) {
	relation := m.relate(8, 3)
	m.send(relation, 8, 3, "one")
	m.send(relation, 8, 3, "two")
	m.wantUnread(3, 8, pair, 2)
	m.wantPage(3, pair, 8, "2 two", "1 one")
	wantList(t, "sessions", m.sessions(3), 8)

	wantEqual(t, "id", m.say(pairText(8, 3, "three")), 3)
	m.wantUnread(3, 8, pair, 3)
	m.send(relation, 8, 3, "four")
	m.wantUnread(3, 8, pair, 4)
	m.wantPage(3, pair, 8, "4 four", "3 three", "2 two", "1 one")
	wantEqual(t, "relations", count(t, m.db.Admin, "SELECT COUNT(*) FROM IMRelationShip"), 1)
	wantEqual(t, "sessions", count(t, m.db.Admin, "SELECT COUNT(*) FROM IMRecentSession"), 2)
}

// playDuplicates has the rows that an original leaves when two first messages come at once.
func playDuplicates(t *testing.T, m mixed) {
	first, second := m.relate(1, 2), m.relate(1, 2)
	m.exec(t, "UPDATE IMRelationShip SET updated=updated+1 WHERE id=?", second)
	m.send(second, 1, 2, "in use")
	wantEqual(t, "id", m.say(pairText(1, 2, "new")), 2)
	m.wantPage(1, pair, 2, "2 new", "1 in use")
	wantEqual(t, "id in the other relation", m.number("GET", fmt.Sprint("msg_id_", first)), 0)
	wantList(t, "sessions", m.sessions(1), 2)
}

func playSessions(t *testing.T, m mixed) {
	m.say(pairText(1, 2, "a"))
	m.say(pairText(3, 2, "b"))
	m.removeSession(2, 1, pair)
	wantList(t, "sessions after a removal", m.sessions(2), 3)
	m.wantUnread(2, 1, pair, 0)
	m.say(pairText(1, 2, "c"))
	wantList(t, "sessions after a message", m.sessions(2), 1, 3)
	m.wantUnread(2, 1, pair, 1)

	removed := call[*impb.IMRemoveSessionRsp](t, m.Client,
		&impb.IMRemoveSessionReq{UserId: proto.Uint32(2), SessionType: pair.Enum(), SessionId: proto.Uint32(3)})
	wantEqual(t, "result code", removed.GetResultCode(), 0)
	wantEqual(t, "the key", m.number("HGET", "unread_2", "3"), 0)
	m.reviveSession(2, 3, pair)
	m.send(2, 3, 2, "d")
	wantList(t, "sessions after a revival", m.sessions(2), 1, 3)
	m.wantUnread(2, 3, pair, 1)
	wantEqual(t, "sessions", count(t, m.db.Admin, "SELECT COUNT(*) FROM IMRecentSession"), 4)
}

func playReadPairs(t *testing.T, m mixed) {
	for range 3 {
		m.say(pairText(1, 2, "x"))
	}
	m.readPair(2, 1)
	m.wantUnread(2, 1, pair, 0)
	m.say(pairText(1, 2, "y"))
	m.wantUnread(2, 1, pair, 1)
	wantEqual(t, "the key", m.number("HGET", "unread_2", "1"), 1)

	m.send(1, 1, 2, "z")
	m.post(readAck(2, pair, 1))
	m.wantUnread(2, 1, pair, 0)
	wantEqual(t, "the key", m.number("HGET", "unread_2", "1"), 0)
	m.send(1, 1, 2, "z")
	m.wantUnread(2, 1, pair, 1)
}

func playMembers(t *testing.T, m mixed) {
	g := call[*impb.IMGroupCreateRsp](t, m.Client, newGroup(1, 1, 2)).GetGroupId()
	m.say(groupText(1, g, "a"))
	m.add(g, 3)
	m.wantUnread(3, g, group, 0)
	wantEqual(t, "id of a message by whom an original added", m.say(groupText(3, g, "b")), 2)
	info := m.groupInfo(g)
	wantList(t, "members", info.GetGroupMemberList(), 1, 2, 3)
	wantEqual(t, "version", info.GetVersion(), 2)

	m.remove(g, 2)
	wantList(t, "members", m.groupInfo(g).GetGroupMemberList(), 1, 3)
	err := m.Start(within(t), groupText(2, g, "refused"), func(_ proto.Message, err error) {
		if err == nil { // there is no answer, until the connection ends
			t.Error("who was removed was answered")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	back := call[*impb.IMGroupChangeMemberRsp](t, m.Client, &impb.IMGroupChangeMemberReq{UserId: proto.Uint32(1),
		GroupId: &g, ChangeType: impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD.Enum(), MemberIdList: []uint32{2, 3}})
	wantList(t, "added", back.GetChgUserIdList(), 2)
	wantList(t, "members", back.GetCurUserIdList(), 1, 2, 3)
	wantEqual(t, "version", m.groupInfo(g).GetVersion(), 4)
	wantEqual(t, "id", m.say(groupText(2, g, "c")), 3)
	m.wantPage(1, group, g, "3 c", "2 b", "1 a")
	wantEqual(t, "rows of members", count(t, m.db.Admin, "SELECT COUNT(*) FROM IMGroupMember"), 3)
	for _, user := range []uint32{1, 2, 3} {
		if m.number("HGET", fmt.Sprint("group_member_", g), fmt.Sprint(user)) == 0 {
			t.Errorf("user %d is not in the key", user)
		}
	}
}

func playGroupTalk(t *testing.T, m mixed) {
	g := m.createGroup(4, 4, 5, 6)
	wantEqual(t, "the original's id", m.sendGroup(g, 4, "a"), 1)
	m.wantUnread(5, g, group, 1)
	wantEqual(t, "id", m.say(groupText(5, g, "b")), 2)
	m.wantUnread(4, g, group, 1)
	m.wantUnread(5, g, group, 0)
	m.wantUnread(6, g, group, 2)
	wantEqual(t, "the original's id", m.sendGroup(g, 6, "c"), 3)
	m.wantUnread(6, g, group, 0)
	wantEqual(t, "id", m.say(groupText(5, g, "d")), 4)
	m.read(g, 4)
	m.wantUnread(4, g, group, 0)
	m.wantUnread(5, g, group, 0)
	m.wantUnread(6, g, group, 1)
	m.wantPage(4, group, g, "4 d", "3 c", "2 b", "1 a")
	wantEqual(t, "the count", m.number("HGET", fmt.Sprint(g, "_im_group_msg"), "count"), 4)
	wantEqual(t, "the level", m.number("HGET", fmt.Sprintf("5_%d_im_user_group", g), "count"), 4)
	m.post(readAck(6, group, g))
	m.wantUnread(6, g, group, 0)
	m.sendGroup(g, 4, "e")
	m.wantUnread(6, g, group, 1)
	m.wantUnread(4, g, group, 0)
}

func playMutes(t *testing.T, m mixed) {
	g := m.createGroup(1, 1, 2, 3)
	m.redis.do(t, "HSET", fmt.Sprint("group_set_", g), "2_1", "1")
	call[*impb.IMGroupShieldRsp](t, m.Client, &impb.IMGroupShieldReq{UserId: proto.Uint32(3), GroupId: &g,
		ShieldStatus: proto.Uint32(1)})
	m.say(groupText(1, g, "a"))
	wantMutes := func(want ...uint32) {
		t.Helper()
		answer := call[*impb.IMGroupGetShieldRsp](t, m.Client,
			&impb.IMGroupGetShieldReq{GroupId: &g, UserId: []uint32{1, 2, 3}})
		var got []uint32
		for _, s := range answer.GetShieldStatusList() {
			got = append(got, s.GetShieldStatus())
		}
		wantList(t, "mutes", got, want...)
	}
	wantMutes(0, 1, 1)
	m.redis.do(t, "HSET", fmt.Sprint("group_set_", g), "3_1", "0")
	wantMutes(0, 1, 0)
}

func playTokens(t *testing.T, m mixed) {
	m.setToken(5, "old")
	m.setToken(4, "other")
	tokens := func() string {
		t.Helper()
		answer := call[*impb.IMGetDeviceTokenRsp](t, m.Client, &impb.IMGetDeviceTokenReq{UserId: []uint32{4, 5}})
		var all []string
		for _, u := range answer.GetUserTokenInfo() {
			all = append(all, fmt.Sprintf("%d:%s:%d", u.GetUserId(), u.GetToken(), u.GetPushCount()))
		}
		return strings.Join(all, " ")
	}
	wantEqual(t, "tokens", tokens(), "4:other:0 5:old:0")
	call[*impb.IMDeviceTokenRsp](t, m.Client, &impb.IMDeviceTokenReq{UserId: proto.Uint32(5),
		DeviceToken: proto.String("new"), ClientType: impb.ClientType_CLIENT_TYPE_ANDROID.Enum()})
	relation := m.relate(1, 4)
	m.send(relation, 1, 4, "x")
	wantEqual(t, "tokens", tokens(), "4:other:1 5:new:0")
	wantEqual(t, "the old token's user", m.redis.text(t, "GET", "device_old"), "")
	wantEqual(t, "the new token's user", m.redis.text(t, "GET", "device_new"), "5")
	wantEqual(t, "the user's", m.redis.text(t, "GET", "device_5"), "android:new")
}

// playPeople has the back office change people, which tells nobody.
func playPeople(t *testing.T, m mixed) {
	login := func(name, password string) uint32 {
		t.Helper()
		return call[*impb.IMValidateRsp](t, m.Client, &impb.IMValidateReq{UserName: &name,
			Password: proto.String(client.WirePassword(password))}).GetResultCode()
	}
	since := uint32(m.now())
	changed := func() (ids []uint32) {
		t.Helper()
		answer := call[*impb.IMAllUserRsp](t, m.Client, &impb.IMAllUserReq{UserId: proto.Uint32(1), LatestUpdateTime: &since})
		for _, u := range answer.GetUserList() {
			ids = append(ids, u.GetUserId())
		}
		return ids
	}
	wantEqual(t, "login with the old password", login("bob", "new"), 1)
	wantList(t, "changed", changed())
	m.exec(t, "UPDATE IMUser SET nick='Bobby', salt='7', password=MD5(CONCAT(?,'7')), updated=? WHERE id=2",
		client.WirePassword("new"), since)
	m.exec(t, "UPDATE IMUser SET status=3, updated=? WHERE id=3", since)
	m.exec(t, `INSERT INTO IMUser (sex,name,domain,nick,password,salt,phone,email,departId,created,updated,sign_info)
		VALUES (1,'judy','judy','Judy',MD5(CONCAT(?,'123')),'123','','',1,?,?,'')`, client.WirePassword("hers"), since, since)
	wantEqual(t, "login with the new password", login("bob", "new"), 0)
	wantEqual(t, "login of a new user", login("judy", "hers"), 0)
	wantEqual(t, "login of one who left", login("carol", "carol-secret"), 1)
	wantList(t, "changed", changed(), 2, 3, 11)
	users := call[*impb.IMUsersInfoRsp](t, m.Client, usersInfo(1, 2)).GetUserInfoList()
	wantEqual(t, "nick", users[0].GetUserNickName(), "Bobby")
}

func playDepartments(t *testing.T, m mixed) {
	since := uint32(m.now())
	m.exec(t, "UPDATE IMDepart SET departName='R&D', updated=? WHERE id=2", since+1)
	m.exec(t, `INSERT INTO IMDepart (departName,priority,parentId,status,created,updated)
		VALUES ('新',1,1,0,?,?)`, since, since+2)
	answer := call[*impb.IMDepartmentRsp](t, m.Client,
		&impb.IMDepartmentReq{UserId: proto.Uint32(1), LatestUpdateTime: &since})
	var got []string
	for _, d := range answer.GetDeptList() {
		got = append(got, strconv.Itoa(int(d.GetDeptId()))+d.GetDeptName())
	}
	wantEqual(t, "departments", strings.Join(got, " "), "2R&D 5新")
	wantEqual(t, "time", answer.GetLatestUpdateTime(), since+2)
}
