//go:build !race

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

const (
	soakVolley  = 4                      // messages at a time on a connection
	soakRest    = 120 * time.Millisecond // between two of those
	soakGivesUp = 7 * time.Second        // a request has 5 s: what was not answered by then will not be
	soakStays   = 20 * time.Second       // how long a connection stays that was to go to another proxy
	soakPairs   = 200
)

// load starts the load, which ends with s.halt.
func (s *soak) load(running *sync.WaitGroup) {
	n := 0
	begin := func(count int, work func(v *soakVisit, i int)) {
		for i := range count {
			at := n
			n++
			running.Go(func() { s.keep(at, func(v *soakVisit) { work(v, i) }) })
		}
	}
	begin(7, func(v *soakVisit, _ int) { v.volley(s.somePair) })
	begin(3, func(v *soakVisit, _ int) { v.volley(s.someGroup) })
	begin(2, (*soakVisit).speak)
	begin(len(s.readers), func(v *soakVisit, i int) { s.readers[i].turn(v) })
	begin(len(s.crowd.Changing), (*soakVisit).comeAndGo)
	begin(3, func(v *soakVisit, _ int) { v.look() })
}

// keep keeps a connection at work. When it ends, or is told that the proxy stops, another one is made to the next proxy;
// after a while it goes back to where it was first, so that connections do not gather.
func (s *soak) keep(home int, work func(v *soakVisit)) {
	for at := home; s.on(); at++ {
		v := s.visit(s.ctx, at)
		if v == nil {
			s.pause(20 * time.Millisecond)
			continue
		}
		for begun := time.Now(); v.on() && (at == home || time.Since(begun) < soakStays); s.pause(soakRest) {
			work(v)
		}
		if v.on() {
			at = home - 1
		}
		v.leave()
	}
}

func (s *soak) on() bool {
	select {
	case <-s.halt:
		return false
	case <-s.ctx.Done():
		return false
	default:
		return true
	}
}

// soakVisit is one connection.
type soakVisit struct {
	s    *soak
	c    *client.Client
	line uint64
}

// visit makes a connection to a proxy; nil: it does not take it.
func (s *soak) visit(ctx context.Context, at int) *soakVisit {
	s.mu.Lock()
	addr := s.addrs[at%len(s.addrs)]
	s.mu.Unlock()
	c, err := client.Dial(ctx, addr)
	if err != nil {
		return nil
	}
	return &soakVisit{s, c, s.lines.Add(1)}
}

func (v *soakVisit) leave() { _ = v.c.Close() }

// on says that more may be sent.
func (v *soakVisit) on() bool {
	select {
	case <-v.c.Stopping():
		return false
	case <-v.c.Done():
		return false
	default:
		return v.s.on()
	}
}

func (s *soak) somePair() (bench.Talk, *impb.IMMsgData) {
	if rand.IntN(2) == 0 {
		return load.SomePair()
	}
	n := rand.Uint32N(soakPairs)
	return load.InPair(bench.PairTalk(10000+n, 11000+n))
}

func (s *soak) someGroup() (bench.Talk, *impb.IMMsgData) {
	if g := s.crowd.Group; rand.IntN(4) == 0 {
		return bench.GroupTalk(g), rig.GroupText(s.crowd.Members[rand.IntN(len(s.crowd.Members))], g, "")
	}
	return load.SomeGroup(s.groups)
}

// volley sends some messages at a time, and waits for their answers.
func (v *soakVisit) volley(some func() (bench.Talk, *impb.IMMsgData)) {
	var wait [soakVolley]func() uint32
	for i := range wait {
		k, req := some()
		wait[i] = v.send(k, req)
	}
	for i := range wait {
		wait[i]()
	}
}

// store sends a message and waits for its id; 0: it has none.
func (v *soakVisit) store(k bench.Talk, req *impb.IMMsgData) uint32 { return v.send(k, req)() }

// send sends a message; what it returns waits for its id. Its text is made here; a voice message has it as its sound.
func (v *soakVisit) send(k bench.Talk, req *impb.IMMsgData) func() uint32 {
	s, kind := v.s, "message"
	if !v.on() {
		return func() uint32 { return 0 }
	}
	text := fmt.Sprintf("%s %d %d", rig.Secret, v.line, s.serial.Add(1))
	voice := req.GetMsgType() == impb.MsgType_MSG_TYPE_SINGLE_AUDIO
	if voice {
		kind, text = "voice message", "\x00\x00\x00\x05"+text
	}
	req.MsgData = []byte(text)
	above := s.sent.Highest(k)
	s.mu.Lock()
	s.open[text] = k
	s.mu.Unlock()
	wait := v.start(kind, req, func(m proto.Message) bool {
		answer := m.(*impb.IMMsgData)
		id := answer.GetMsgId()
		s.mu.Lock()
		delete(s.open, text)
		switch {
		case id == 0:
			s.refused[text] = k
		case voice:
			if s.sounds[k] == nil {
				s.sounds[k] = make(map[uint32]string)
			}
			s.sounds[k][id] = text
		}
		s.mu.Unlock()
		if id != 0 && id <= above {
			s.sent.Fault(fmt.Sprintf("%v: id %d was given after id %d", k, id, above))
		}
		if id != 0 && !voice {
			s.sent.Answered(k, answer)
		}
		return id != 0
	})
	return func() uint32 {
		m, ok := wait()
		if !ok {
			return 0
		}
		return m.(*impb.IMMsgData).GetMsgId()
	}
}

// start sends a request; what it returns waits for its answer, and says whether it did what it was to do. note looks at an
// answer, also at one for which nobody waits any more, and says that as well.
func (v *soakVisit) start(kind string, req proto.Message, note func(proto.Message) bool) func() (proto.Message, bool) {
	type result struct {
		m  proto.Message
		ok bool
	}
	begun, came := time.Now(), make(chan result, 1)
	if !v.on() { // it was told to go elsewhere
		return func() (proto.Message, bool) { return nil, false }
	}
	err := v.c.Start(v.s.ctx, req, func(m proto.Message, err error) {
		if took := time.Since(begun); err == nil && took > v.s.latest() {
			v.s.sent.Fault(fmt.Sprintf("a %s was answered after %v", kind, took))
		}
		came <- result{m, err == nil && note(m)}
	})
	if err != nil {
		came <- result{}
	}
	return func() (proto.Message, bool) {
		late := time.NewTimer(soakGivesUp)
		defer late.Stop()
		select {
		case r := <-came:
			switch {
			case r.ok:
				v.s.count(kind, begun, func(n *soakTally) { n.done++; n.slowest = max(n.slowest, time.Since(begun)) })
			case r.m != nil:
				v.s.count(kind, begun, func(n *soakTally) { n.refused++ })
			default:
				v.s.count(kind, begun, func(n *soakTally) { n.lost++ })
			}
			return r.m, r.ok
		case <-late.C:
			v.s.count(kind, begun, func(n *soakTally) { n.silent++ })
			return nil, false
		}
	}
}

// latest is how long an answer may take at most: see latestAnswer.
func (s *soak) latest() time.Duration {
	if s.brief {
		return rig.Patience
	}
	return rig.RequestLimit + 10*time.Second
}

func (v *soakVisit) ask(kind string, req proto.Message, note func(proto.Message) bool) (proto.Message, bool) {
	return v.start(kind, req, note)()
}

// speak sends a voice message.
func (v *soakVisit) speak(i int) {
	k := bench.PairTalk(12000+uint32(i), 13000+uint32(i))
	v.store(k, rig.Message(impb.MsgType_MSG_TYPE_SINGLE_AUDIO, k.Low, k.High, ""))
}

// shows says whether a page has a message that this proxy has answered.
func (v *soakVisit) shows(k bench.Talk, id uint32) bool {
	_, ok := v.ask("read", rig.Page(k.Low, rig.Pair, k.High, 0, 10), func(m proto.Message) bool {
		list := m.(*impb.IMGetMsgListRsp).GetMsgList()
		if !slices.ContainsFunc(list, func(m *impb.MsgInfo) bool { return m.GetMsgId() >= id }) {
			v.s.sent.Fault(fmt.Sprintf("%v: id %d was answered, and a page of %d has it not", k, id, len(list)))
		}
		return true
	})
	return ok
}

// look asks for something of every kind.
func (v *soakVisit) look() {
	k := bench.PairTalk(22000+uint32(v.line), 23000)
	if v.line%4 == 0 {
		k = load.CrashPairs[rand.IntN(len(load.CrashPairs))]
	}
	if id := v.store(k, rig.PairText(k.Low, k.High, "")); id != 0 {
		v.shows(k, id)
	}
	g := v.s.groups[rand.IntN(len(v.s.groups))]
	fine := func(proto.Message) bool { return true }
	for _, req := range []proto.Message{
		rig.Unread(k.Low), rig.UsersInfo(1, 1, 2, 3),
		rig.Page(load.CrashMembers[0], rig.Group, g, 0, 20),
		&impb.IMRecentContactSessionReq{UserId: &k.Low, LatestUpdateTime: proto.Uint32(0)},
		&impb.IMGetMsgByIdReq{UserId: &k.Low, SessionType: rig.Pair.Enum(), SessionId: &k.High, MsgIdList: []uint32{1, 2, 3}},
		&impb.IMGetLatestMsgIdReq{UserId: &k.Low, SessionType: rig.Pair.Enum(), SessionId: &k.High},
		&impb.IMAllUserReq{UserId: proto.Uint32(1), LatestUpdateTime: proto.Uint32(0)},
		&impb.IMDepartmentReq{UserId: proto.Uint32(1), LatestUpdateTime: proto.Uint32(0)},
		&impb.IMNormalGroupListReq{UserId: &load.CrashMembers[0]},
		&impb.IMGroupInfoListReq{UserId: &load.CrashMembers[0],
			GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &g, Version: proto.Uint32(0)}}},
		&impb.IMGroupGetShieldReq{GroupId: &g, UserId: load.CrashMembers},
		&impb.IMGetDeviceTokenReq{UserId: load.CrashMembers},
		&impb.IMQueryPushShieldReq{UserId: proto.Uint32(1)},
		&impb.IMFileHasOfflineReq{UserId: proto.Uint32(1)},
	} {
		if v.on() {
			v.ask("read", req, fine)
		}
	}
	login := &impb.IMValidateReq{UserName: proto.String("carol"), Password: proto.String(client.WirePassword("carol-secret"))}
	v.ask("login", login, func(m proto.Message) bool { return m.(*impb.IMValidateRsp).GetResultCode() == 0 })
}

// comeAndGo has a user join a group, and leave it.
func (v *soakVisit) comeAndGo(i int) {
	crowd := v.s.crowd
	for _, kind := range []impb.GroupModifyType{
		impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD, impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL,
	} {
		user := crowd.Changing[i]
		req := &impb.IMGroupChangeMemberReq{UserId: &crowd.Members[0], GroupId: &crowd.Group, ChangeType: kind.Enum(),
			MemberIdList: []uint32{user}}
		v.ask("change of members", req, func(m proto.Message) bool {
			answer := m.(*impb.IMGroupChangeMemberRsp)
			if answer.GetResultCode() != 0 {
				return false
			}
			in := slices.Contains(answer.GetCurUserIdList(), user)
			if in != (kind == impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD) {
				v.s.sent.Fault(fmt.Sprintf("change of user %d by %v was answered %v", user, kind, answer))
			}
			return true
		})
	}
}

// soakReader is a user who reads what another sends on the same connection, and acks.
type soakReader struct {
	from, user uint32
	unsure     int // messages that had no answer, and may be stored at any time
}

// turn sends a few messages, sees that they are unread, acks, and sees that they no longer are.
func (r *soakReader) turn(v *soakVisit) {
	k := bench.PairTalk(r.from, r.user)
	for range 1 + rand.IntN(3) {
		if _, answered := v.open(k, rig.PairText(r.from, r.user, "")); !answered {
			r.unsure++
		}
	}
	if err := v.c.Post(v.s.ctx, rig.ReadAck(r.user, rig.Pair, r.from)); err != nil {
		return
	}
	v.ask("read", rig.Unread(r.user), func(m proto.Message) bool {
		if n := audit.UnreadIn(m.(*impb.IMUnreadMsgCntRsp), r.from, rig.Pair); n > r.unsure {
			v.s.sent.Fault(fmt.Sprintf("%v: %d unread right after an ack, %d messages had no answer", k, n, r.unsure))
		}
		return true
	})
}

// open is store that says whether there was an answer.
func (v *soakVisit) open(k bench.Talk, req *impb.IMMsgData) (id uint32, answered bool) {
	id = v.store(k, req)
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	_, without := v.s.open[string(req.MsgData)]
	return id, !without
}
