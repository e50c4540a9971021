package demo

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
)

// inFlight is how many messages are sent without waiting for answers.
const inFlight = 100

// message is a message that is sent now.
func message(from, to uint32, kind impb.MsgType, data []byte) *impb.IMMsgData {
	return &impb.IMMsgData{
		FromUserId: &from, ToSessionId: &to, MsgId: proto.Uint32(0), MsgType: &kind, MsgData: data,
		CreateTime: proto.Uint32(uint32(time.Now().Unix())),
	}
}

func text(from, to person, s string) *impb.IMMsgData {
	return message(from.id, to.id, impb.MsgType_MSG_TYPE_SINGLE_TEXT, []byte(s))
}

// latest is the newest message id of emma and frank.
func (p *play) latest(ctx context.Context) uint32 {
	return ask[*impb.IMGetLatestMsgIdRsp](ctx, p, &impb.IMGetLatestMsgIdReq{
		UserId: &p.emma.id, SessionType: pair.Enum(), SessionId: &p.frank.id,
	}).GetLatestMsgId()
}

func (p *play) send(ctx context.Context) string {
	before := p.latest(ctx)
	answer := ask[*impb.IMMsgData](ctx, p, text(p.emma, p.frank, "Hi Frank, 你好!"))
	if p.differs == nil {
		p.first, p.last = before+1, answer.GetMsgId()
	}
	expect(p, "msg_id", p.last, p.first)
	return fmt.Sprintf("emma writes \"Hi Frank, 你好!\" to frank: stored as %d", p.last)
}

// order sends many messages without waiting. Their ids and their answers must come in the order in
// which they were sent.
func (p *play) order(ctx context.Context) string {
	began := time.Now()
	ids, err := burst(ctx, p.Client, func(i int) *impb.IMMsgData {
		return text(p.emma, p.frank, fmt.Sprintf("message %d of %d", i+1, inFlight))
	})
	took := time.Since(began)
	p.fail(err)
	for i, id := range ids {
		expect(p, fmt.Sprintf("msg_id of answer %d", i+1), id, p.last+uint32(i)+1)
	}
	if p.differs != nil {
		return ""
	}
	p.last += inFlight
	return fmt.Sprintf("%d more, sent at once: ids %d to %d, in order, in %d ms",
		inFlight, ids[0], p.last, took.Milliseconds())
}

// burst sends messages without waiting, and returns their ids in the order in which the answers
// came.
func burst(
	ctx context.Context, c *client.Client, next func(i int) *impb.IMMsgData,
) (ids []uint32, err error) {
	type outcome struct {
		id  uint32
		err error
	}
	came := make(chan outcome, inFlight)
	for i := range inFlight {
		err := c.Start(ctx, next(i), func(m proto.Message, err error) {
			answer, _ := m.(*impb.IMMsgData)
			came <- outcome{answer.GetMsgId(), err}
		})
		if err != nil {
			return nil, err
		}
	}
	late := time.After(answerWithin)
	for range inFlight {
		select {
		case o := <-came:
			if o.err != nil {
				return ids, o.err
			}
			ids = append(ids, o.id)
		case <-ctx.Done():
			return ids, context.Cause(ctx)
		case <-late:
			return ids, fmt.Errorf("only %d of %d messages were answered within %v",
				len(ids), inFlight, answerWithin)
		}
	}
	return ids, nil
}

// unreadOf is how many messages of a talk somebody has not read.
func (p *play) unreadOf(
	ctx context.Context, who person, kind impb.SessionType, talk uint32,
) uint32 {
	answer := ask[*impb.IMUnreadMsgCntRsp](ctx, p, &impb.IMUnreadMsgCntReq{UserId: &who.id})
	for _, u := range answer.GetUnreadinfoList() {
		if u.GetSessionType() == kind && u.GetSessionId() == talk {
			return u.GetUnreadCnt()
		}
	}
	return 0
}

func (p *play) unread(ctx context.Context) string {
	n := p.unreadOf(ctx, p.frank, pair, p.emma.id)
	expect(p, "unread messages", n, p.unreadBefore+p.last-p.first+1)
	return fmt.Sprintf("frank has %d unread messages from emma", n)
}

// markRead has somebody read a talk up to the message last.
func (p *play) markRead(ctx context.Context, who person, kind impb.SessionType, talk, last uint32) {
	p.tell(ctx, &impb.IMMsgDataReadAck{
		UserId: &who.id, SessionId: &talk, MsgId: &last, SessionType: &kind,
	})
}

func (p *play) read(ctx context.Context) string {
	p.markRead(ctx, p.frank, pair, p.emma.id, p.last)
	n := p.unreadOf(ctx, p.frank, pair, p.emma.id)
	expect(p, "unread messages after reading", n, 0)
	return "frank reads them: none is unread any more"
}

// pageFor is a page of the talk of emma and frank as frank sees it.
func (p *play) pageFor(ctx context.Context, begin, count uint32) []*impb.MsgInfo {
	return ask[*impb.IMGetMsgListRsp](ctx, p, &impb.IMGetMsgListReq{
		UserId: &p.frank.id, SessionType: pair.Enum(), SessionId: &p.emma.id,
		MsgIdBegin: &begin, MsgCnt: &count,
	}).GetMsgList()
}

func (p *play) page(ctx context.Context) string {
	const size = 40
	var pages []string
	for next := p.last; next >= p.first && p.differs == nil; {
		messages := p.pageFor(ctx, next, min(size, next-p.first+1))
		if len(messages) == 0 {
			p.fail(fmt.Errorf("the page from message %d on: expected messages, got none", next))
		}
		for _, m := range messages {
			expect(p, "next message on the page", m.GetMsgId(), next)
			if i := int(next) - int(p.first); i > 0 {
				want := fmt.Sprintf("message %d of %d", i, inFlight)
				expect(p, fmt.Sprintf("message %d", next), string(m.GetMsgData()), want)
			}
			next--
		}
		pages = append(pages, fmt.Sprint(len(messages)))
	}
	return fmt.Sprintf("frank pages back %s messages: none is missing",
		strings.Join(pages, " + "))
}

// session is an entry of somebody's list of recent talks; nil when it is not there.
func (p *play) session(ctx context.Context, who, peer person) *impb.ContactSessionInfo {
	req := &impb.IMRecentContactSessionReq{UserId: &who.id, LatestUpdateTime: proto.Uint32(0)}
	answer := ask[*impb.IMRecentContactSessionRsp](ctx, p, req)
	for _, s := range answer.GetContactSessionList() {
		if s.GetSessionType() == pair && s.GetSessionId() == peer.id {
			return s
		}
	}
	return nil
}

func (p *play) recent(ctx context.Context) string {
	for _, who := range [][2]person{{p.emma, p.frank}, {p.frank, p.emma}} {
		s := p.session(ctx, who[0], who[1])
		expect(p, "last message in "+who[0].name+"'s list", s.GetLatestMsgId(), p.last)
	}
	return fmt.Sprintf("both have the talk among their recent ones, at message %d", p.last)
}

func (p *play) voice(ctx context.Context) string {
	data := company.VoiceData(company.ChimeSeconds, company.Chime())
	sent := message(p.emma.id, p.frank.id, impb.MsgType_MSG_TYPE_SINGLE_AUDIO, data)
	answer := ask[*impb.IMMsgData](ctx, p, sent)
	expect(p, "msg_id", answer.GetMsgId(), p.last+1)
	if p.differs == nil {
		p.last++
	}
	page := p.pageFor(ctx, p.last, 1)
	expect(p, "messages on a page of one", len(page), 1)
	for _, m := range page {
		if !bytes.Equal(m.GetMsgData(), data) {
			p.fail(fmt.Errorf("the sound: expected the %d bytes sent, got %d others", len(data),
				len(m.GetMsgData())))
		}
	}
	return fmt.Sprintf("emma sends a chime, a WAV of %d bytes; frank gets the same", len(data)-4)
}

func (p *play) refused(ctx context.Context) string {
	before := p.latest(ctx)
	for _, bad := range []struct {
		what string
		m    *impb.IMMsgData
	}{
		{"a text of 4097 characters", text(p.emma, p.frank, strings.Repeat("长", 4097))},
		{"a message to oneself", text(p.emma, p.emma, "note to self")},
	} {
		answer := ask[*impb.IMMsgData](ctx, p, bad.m)
		expect(p, "msg_id of "+bad.what, answer.GetMsgId(), 0)
	}
	expect(p, "newest message", p.latest(ctx), before)
	return "4097 characters, and a message to oneself: not stored, id 0"
}

// tidy leaves the lists of emma and frank as they were found.
func (p *play) tidy(ctx context.Context) string {
	p.markRead(ctx, p.frank, pair, p.emma.id, p.last)
	said := "nothing of it is unread"
	for _, who := range [][2]person{{p.emma, p.frank}, {p.frank, p.emma}} {
		if p.hadTalk[who[0].id] {
			continue
		}
		answer := ask[*impb.IMRemoveSessionRsp](ctx, p, &impb.IMRemoveSessionReq{
			UserId: &who[0].id, SessionType: pair.Enum(), SessionId: &who[1].id,
		})
		expect(p, "result_code of removing the talk from "+who[0].name+"'s list",
			answer.GetResultCode(), 0)
		said = "nothing of it is unread; the talk is off both lists again"
	}
	expect(p, "unread messages", p.unreadOf(ctx, p.frank, pair, p.emma.id), 0)
	return said
}
