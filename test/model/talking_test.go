package model_test

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// voiceLabel stands for a voice message in lists, with the aesKey that the suite comes with.
const voiceLabel = "QhGXlpFjvMFUNrtl1aaPzA=="

func isVoice(t impb.MsgType) bool {
	return t == impb.MsgType_MSG_TYPE_SINGLE_AUDIO || t == impb.MsgType_MSG_TYPE_GROUP_AUDIO
}

// talkOfMessage is the talk that a message goes to.
func talkOfMessage(r *impb.IMMsgData) talk {
	kind := inPair
	if r.GetMsgType() >= impb.MsgType_MSG_TYPE_GROUP_TEXT {
		kind = inGroup
	}
	return talkOf(r.GetFromUserId(), kind, r.GetToSessionId())
}

// storable reports whether a text column of so many characters takes a text.
func storable(text string, max int) bool {
	return utf8.ValidString(text) && !strings.Contains(text, "\x00") &&
		utf8.RuneCountInString(text) <= max
}

// send answers the request itself, with an id: 0 where nothing is stored.
func (m *model) send(r *impb.IMMsgData) proto.Message {
	if len(r.GetMsgData()) == 0 {
		return nil
	}
	from, to, data := r.GetFromUserId(), r.GetToSessionId(), r.GetMsgData()
	at, voice := talkOfMessage(r), isVoice(r.GetMsgType())
	answer := proto.Clone(r).(*impb.IMMsgData)
	answer.MsgId = new(uint32(0))
	if from == 0 || to == 0 || at.kind == inPair && from == to || voice && len(data) <= 4 ||
		!voice && !storable(string(data), 4096) {
		return answer
	}
	created := min(r.GetCreateTime(), m.now+300)
	if before := m.said[at]; len(before) > 0 {
		created = max(created, before[len(before)-1].created)
	}
	if at.kind == inGroup {
		g := m.groups[to]
		if !g.has(from) {
			return nil
		}
		created = max(created, g.latestJoin())
		g.lastTalk = m.now
		g.seen[from] = g.sent + 1
		g.sent++
	} else {
		m.touch(to, at)
		m.unread[userTalk{to, at}]++
	}
	m.touch(from, at)
	m.said[at] = append(m.said[at], said{from, created, r.GetMsgType(), data, false})
	answer.MsgId = new(uint32(len(m.said[at])))
	return answer
}

// touch makes a session, or brings it back, and moves it to now.
func (m *model) touch(user uint32, at talk) {
	s := m.sessions[userTalk{user, at}]
	if s == nil {
		s = &session{row: m.newRow()}
		m.sessions[userTalk{user, at}] = s
	}
	s.live, s.updated = true, m.now
}

// readAll clears what user has not read.
func (m *model) readAll(user uint32, at talk) {
	delete(m.unread, userTalk{user, at})
	if g := m.groups[at.a]; at.kind == inGroup && g != nil {
		g.seen[user] = g.sent
	}
}

func (m *model) read(r *impb.IMMsgDataReadAck) proto.Message {
	m.readAll(r.GetUserId(), talkOf(r.GetUserId(), r.GetSessionType(), r.GetSessionId()))
	return nil
}

// visible are the messages that user may read, the newest first.
func (m *model) visible(user uint32, at talk) (infos []*impb.MsgInfo) {
	since := uint32(0)
	if at.kind == inGroup {
		g := m.groups[at.a]
		if !g.has(user) {
			return nil
		}
		since = g.rows[user].joined
	}
	for i, s := range slices.Backward(m.said[at]) {
		if s.created >= since && !s.removed {
			infos = append(infos, &impb.MsgInfo{
				MsgId: new(uint32(i + 1)), FromSessionId: &s.from, CreateTime: &s.created,
				MsgType: s.typ.Enum(), MsgData: s.data,
			})
		}
	}
	return infos
}

func (m *model) page(r *impb.IMGetMsgListReq) proto.Message {
	rsp := &impb.IMGetMsgListRsp{UserId: r.UserId, SessionType: r.SessionType,
		SessionId: r.SessionId, MsgIdBegin: r.MsgIdBegin}
	for _, info := range m.visible(r.GetUserId(), talkOf(r.GetUserId(), r.GetSessionType(),
		r.GetSessionId())) {
		if r.GetMsgIdBegin() == 0 || info.GetMsgId() <= r.GetMsgIdBegin() {
			rsp.MsgList = append(rsp.MsgList, info)
		}
	}
	rsp.MsgList = rsp.MsgList[:min(uint32(len(rsp.MsgList)), r.GetMsgCnt())]
	return rsp
}

func (m *model) byID(r *impb.IMGetMsgByIdReq) proto.Message {
	rsp := &impb.IMGetMsgByIdRsp{UserId: r.UserId, SessionType: r.SessionType,
		SessionId: r.SessionId}
	for _, info := range m.visible(r.GetUserId(), talkOf(r.GetUserId(), r.GetSessionType(),
		r.GetSessionId())) {
		if slices.Contains(r.GetMsgIdList(), info.GetMsgId()) && len(rsp.MsgList) < 100 {
			rsp.MsgList = append(rsp.MsgList, info)
		}
	}
	return rsp
}

func (m *model) latestID(r *impb.IMGetLatestMsgIdReq) proto.Message {
	at := talkOf(r.GetUserId(), r.GetSessionType(), r.GetSessionId())
	return &impb.IMGetLatestMsgIdRsp{
		UserId: r.UserId, SessionType: r.SessionType, SessionId: r.SessionId,
		LatestMsgId: new(m.lastID(at)),
	}
}

// lastID is the id of the last message that is not removed, 0 when there is none.
func (m *model) lastID(at talk) uint32 {
	for i, s := range slices.Backward(m.said[at]) {
		if !s.removed {
			return uint32(i + 1)
		}
	}
	return 0
}

// lastOf is the last message of a talk, which must have one, as lists show it to user.
func (m *model) lastOf(
	user uint32, at talk,
) (id *uint32, data []byte, typ *impb.MsgType, from *uint32) {
	id = new(m.lastID(at))
	last := m.said[at][*id-1]
	if at.kind == inPair {
		last.from = at.peer(user)
	}
	if isVoice(last.typ) {
		last.data = []byte(voiceLabel)
	}
	return id, last.data, last.typ.Enum(), &last.from
}

// unreadOf is what user has not read, by talk, in the order of the answer.
func (m *model) unreadOf(user uint32) (talks []talk, counts []uint32) {
	var peers []uint32
	for k := range m.unread {
		if k.user == user {
			peers = append(peers, k.talk.peer(user))
		}
	}
	for _, peer := range asText(peers) {
		at := talkOf(user, inPair, peer)
		talks, counts = append(talks, at), append(counts, m.unread[userTalk{user, at}])
	}
	for _, id := range m.groupsOf(user) {
		if g := m.groups[id]; g.sent > g.seen[user] {
			talks, counts = append(talks, talk{inGroup, id, 0}), append(counts, g.sent-g.seen[user])
		}
	}
	return talks, counts
}

func (m *model) unreadTotal(user uint32) (total uint32) {
	_, counts := m.unreadOf(user)
	for _, n := range counts {
		total += n
	}
	return total
}

func (m *model) unreadList(r *impb.IMUnreadMsgCntReq) proto.Message {
	rsp := &impb.IMUnreadMsgCntRsp{UserId: r.UserId, TotalCnt: new(uint32(0))}
	talks, counts := m.unreadOf(r.GetUserId())
	for i, at := range talks {
		if m.lastID(at) == 0 {
			continue
		}
		*rsp.TotalCnt += counts[i]
		id, data, typ, from := m.lastOf(r.GetUserId(), at)
		rsp.UnreadinfoList = append(rsp.UnreadinfoList, &impb.UnreadInfo{
			SessionId: new(at.peer(r.GetUserId())), SessionType: at.kind.Enum(),
			UnreadCnt:   &counts[i],
			LatestMsgId: id, LatestMsgData: data, LatestMsgType: typ, LatestMsgFromUserId: from,
		})
	}
	return rsp
}

// recent lists at most a hundred sessions; see sortSessions.
func (m *model) recent(r *impb.IMRecentContactSessionReq) proto.Message {
	user := r.GetUserId()
	var keys []userTalk
	for k, s := range m.sessions {
		if k.user == user && s.live && s.updated > r.GetLatestUpdateTime() {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b userTalk) int {
		s, t := m.sessions[a], m.sessions[b]
		return cmp.Or(cmp.Compare(t.updated, s.updated), cmp.Compare(t.row, s.row))
	})
	rsp := &impb.IMRecentContactSessionRsp{UserId: r.UserId}
	for _, k := range keys[:min(len(keys), 100)] {
		if m.lastID(k.talk) == 0 {
			continue
		}
		id, data, typ, from := m.lastOf(user, k.talk)
		rsp.ContactSessionList = append(rsp.ContactSessionList, &impb.ContactSessionInfo{
			SessionId: new(k.talk.peer(user)), SessionType: k.talk.kind.Enum(),
			SessionStatus: impb.SessionStatusType_SESSION_STATUS_OK.Enum(),
			UpdatedTime:   &m.sessions[k].updated,
			LatestMsgId:   id, LatestMsgData: data, LatestMsgType: typ, LatestMsgFromUserId: from,
		})
	}
	return rsp
}

func (m *model) removeSession(r *impb.IMRemoveSessionReq) proto.Message {
	at := talkOf(r.GetUserId(), r.GetSessionType(), r.GetSessionId())
	rsp := &impb.IMRemoveSessionRsp{UserId: r.UserId, ResultCode: refused,
		SessionType: r.SessionType, SessionId: r.SessionId}
	if s := m.sessions[userTalk{r.GetUserId(), at}]; s != nil && s.live {
		s.live, s.updated = false, m.now
		m.readAll(r.GetUserId(), at)
		rsp.ResultCode = ok
	}
	return rsp
}

// setToken keeps the platform with the token.
func (m *model) setToken(r *impb.IMDeviceTokenReq) proto.Message {
	token := r.GetDeviceToken()
	if !storable(token, 512) {
		return nil
	}
	if token != "" && r.ClientType != nil {
		switch r.GetClientType() {
		case impb.ClientType_CLIENT_TYPE_IOS:
			token = "ios:" + token
		case impb.ClientType_CLIENT_TYPE_ANDROID:
			token = "android:" + token
		}
	}
	m.devices[r.GetUserId()] = token
	return &impb.IMDeviceTokenRsp{UserId: r.UserId}
}

func (m *model) pushTokens(r *impb.IMGetDeviceTokenReq) proto.Message {
	rsp := &impb.IMGetDeviceTokenRsp{}
	for _, id := range asText(set(r.GetUserId())) {
		platform, token, _ := strings.Cut(m.devices[id], ":")
		typ, known := map[string]impb.ClientType{
			"ios": impb.ClientType_CLIENT_TYPE_IOS, "android": impb.ClientType_CLIENT_TYPE_ANDROID,
		}[platform]
		u := m.users[id]
		if !known || token == "" || platform == "ios" && m.night() && u != nil && u.shield == 1 {
			continue
		}
		rsp.UserTokenInfo = append(rsp.UserTokenInfo, &impb.UserTokenInfo{
			UserId: &id, UserType: &typ, Token: &token, PushCount: new(m.unreadTotal(id)),
			PushType: new(uint32(1)),
		})
	}
	return rsp
}

// syncGroups is the group sync: it shows talk in groups in the sessions of all members, but not
// in those that were removed. It looks back a minute further than it must.
func (m *model) syncGroups() {
	since := m.now
	if m.synced > 0 {
		since = m.synced
	}
	for id, g := range m.groups {
		if g.lastTalk == 0 || g.lastTalk < since-60 {
			continue
		}
		at := talk{inGroup, id, 0}
		for _, user := range asText(g.members()) {
			s := m.sessions[userTalk{user, at}]
			switch {
			case s == nil:
				m.sessions[userTalk{user, at}] = &session{live: true, updated: g.lastTalk,
					row: m.newRow()}
			case s.live:
				s.updated = max(s.updated, g.lastTalk)
			}
		}
	}
	m.synced = m.now
}

// sortSessions puts sessions of the same second into some order: which of them is first is for
// their rows to say.
func sortSessions(list []*impb.ContactSessionInfo) {
	slices.SortFunc(list, func(a, b *impb.ContactSessionInfo) int {
		return cmp.Or(cmp.Compare(b.GetUpdatedTime(), a.GetUpdatedTime()),
			cmp.Compare(a.GetSessionType(), b.GetSessionType()),
			cmp.Compare(a.GetSessionId(), b.GetSessionId()))
	})
}
