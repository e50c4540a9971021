package original

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
)

// Mixed is a proxy with an original server beside it.
type Mixed struct {
	Server
	*client.Client
}

// NewMixed starts a proxy on a fleet of its own.
func NewMixed(t *testing.T) Mixed {
	t.Helper()
	f, _ := rig.NewRedisFleet(t)
	return Beside(t, f, rig.Dial(t, f.Start(t)))
}

// Beside makes one of a connection to a proxy of a fleet. Without a fleet (nil) only the proxy is
// there.
func Beside(t *testing.T, f *rig.Fleet, c *client.Client) Mixed {
	return Mixed{Server: New(t, f), Client: c}
}

// Say has the proxy store a message and returns its id.
func (m Mixed) Say(msg *impb.IMMsgData) uint32 {
	m.T.Helper()
	return rig.Call[*impb.IMMsgData](m.T, m.Client, msg).GetMsgId()
}

// Post sends what has no answer.
func (m Mixed) Post(msg proto.Message) {
	m.T.Helper()
	if err := m.Client.Post(rig.Within(m.T), msg); err != nil {
		m.T.Fatal(err)
	}
}

// WantUnread checks what the proxy says a user has not read.
func (m Mixed) WantUnread(user, peer uint32, kind impb.SessionType, want int) {
	m.T.Helper()
	answer := rig.Call[*impb.IMUnreadMsgCntRsp](m.T, m.Client, rig.Unread(user))
	if got := audit.UnreadIn(answer, peer, kind); got != want {
		m.T.Errorf("user %d has %d unread of %v %d, want %d", user, got, kind, peer, want)
	}
}

// WantPage checks the newest messages of a talk, newest first, by id and text.
func (m Mixed) WantPage(user uint32, kind impb.SessionType, peer uint32, want ...string) {
	m.T.Helper()
	answer := rig.Call[*impb.IMGetMsgListRsp](m.T, m.Client, rig.Page(user, kind, peer, 0, 100))
	var got []string
	for _, i := range answer.GetMsgList() {
		got = append(got, fmt.Sprint(i.GetMsgId(), " ", string(i.GetMsgData())))
	}
	if !slices.Equal(got, want) {
		m.T.Errorf("user %d sees %q of %v %d, want %q", user, got, kind, peer, want)
	}
}

// Sessions are the peers in a user's list of recent sessions.
func (m Mixed) Sessions(user uint32) (peers []uint32) {
	m.T.Helper()
	answer := rig.Call[*impb.IMRecentContactSessionRsp](m.T, m.Client,
		&impb.IMRecentContactSessionReq{UserId: &user, LatestUpdateTime: proto.Uint32(0)})
	for _, s := range answer.GetContactSessionList() {
		peers = append(peers, s.GetSessionId())
	}
	slices.Sort(peers)
	return peers
}

// GroupInfo asks for one group; nil when there is none.
func (m Mixed) GroupInfo(id uint32) *impb.GroupInfo {
	m.T.Helper()
	answer := rig.Call[*impb.IMGroupInfoListRsp](m.T, m.Client,
		&impb.IMGroupInfoListReq{UserId: proto.Uint32(1),
			GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &id, Version: proto.Uint32(0)}}})
	if list := answer.GetGroupInfoList(); len(list) > 0 {
		return list[0]
	}
	return nil
}

// WantEqual fails the test if two values differ; what names them.
func WantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// WantList fails the test if a list is not as wanted, in its order.
func WantList(t *testing.T, what string, got []uint32, want ...uint32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// CheckAll has a proxy do what it needs Redis for: logins, messages of pairs and groups, what is
// unread of them, and push tokens. user is a number of which there is no user; with those that
// follow it is used up.
func CheckAll(t *testing.T, c *client.Client, user uint32) {
	t.Helper()
	m := Mixed{Server{T: t}, c}
	login := rig.Call[*impb.IMValidateRsp](t, c, &impb.IMValidateReq{UserName: proto.String("bob"),
		Password: proto.String(client.WirePassword("bob-secret"))})
	WantEqual(t, "login", login.GetResultCode(), 0)

	a, b := user, user+1
	for i := range uint32(3) {
		WantEqual(t, "id", m.Say(rig.PairText(a, b, fmt.Sprintf("%d of %d", i, user))), i+1)
	}
	m.WantUnread(b, a, rig.Pair, 3)
	m.Post(rig.ReadAck(b, rig.Pair, a))
	m.WantUnread(b, a, rig.Pair, 0)
	WantEqual(t, "id", m.Say(rig.PairText(b, a, fmt.Sprint("back from ", b))), 4)
	m.WantUnread(a, b, rig.Pair, 1)

	g := rig.Call[*impb.IMGroupCreateRsp](t, c, rig.NewGroup(a, a, b)).GetGroupId()
	for i := range uint32(3) {
		WantEqual(t, "id", m.Say(rig.GroupText(a, g, fmt.Sprintf("%d of %d in group", i, user))),
			i+1)
	}
	m.WantUnread(b, g, rig.Group, 3)
	m.Post(rig.ReadAck(b, rig.Group, g))
	m.WantUnread(b, g, rig.Group, 0)
	WantList(t, "members", m.GroupInfo(g).GetGroupMemberList(), a, b)
	rig.Call[*impb.IMGroupShieldRsp](t, c, &impb.IMGroupShieldReq{UserId: &b, GroupId: &g,
		ShieldStatus: proto.Uint32(1)})
	mutes := rig.Call[*impb.IMGroupGetShieldRsp](t, c,
		&impb.IMGroupGetShieldReq{GroupId: &g, UserId: []uint32{a, b}})
	list := mutes.GetShieldStatusList()
	if len(list) != 2 || list[0].GetShieldStatus() != 0 || list[1].GetShieldStatus() != 1 {
		t.Errorf("mutes: %v", list)
	}

	for _, token := range []string{"first", "second"} {
		rig.Call[*impb.IMDeviceTokenRsp](t, c, &impb.IMDeviceTokenReq{UserId: &a,
			DeviceToken: proto.String(fmt.Sprint(token, user)),
			ClientType:  impb.ClientType_CLIENT_TYPE_ANDROID.Enum()})
	}
	tokens := rig.Call[*impb.IMGetDeviceTokenRsp](t, c,
		&impb.IMGetDeviceTokenReq{UserId: []uint32{a, b}}).GetUserTokenInfo()
	if len(tokens) != 1 || tokens[0].GetToken() != fmt.Sprint("second", user) ||
		tokens[0].GetPushCount() != 1 {
		t.Errorf("tokens: %v", tokens)
	}
}
