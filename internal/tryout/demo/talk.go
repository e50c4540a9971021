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
func (p *play) latest(ctx context.Context) (uint32, error) {
	answer, err := ask[*impb.IMGetLatestMsgIdRsp](ctx, p.Client, &impb.IMGetLatestMsgIdReq{
		UserId: &p.emma.id, SessionType: pair.Enum(), SessionId: &p.frank.id,
	})
	return answer.GetLatestMsgId(), err
}

func (p *play) send(ctx context.Context) (string, error) {
	before, err := p.latest(ctx)
	if err != nil {
		return "", err
	}
	answer, err := ask[*impb.IMMsgData](ctx, p.Client, text(p.emma, p.frank, "Hi Frank, 你好!"))
	if err != nil {
		return "", err
	}
	p.first = before + 1
	p.last = answer.GetMsgId()
	return fmt.Sprintf("emma writes \"Hi Frank, 你好!\" to frank: stored as %d", p.last),
		expect(nil, "msg_id", p.last, p.first)
}

// order sends many messages without waiting. Their ids and their answers must come in the order in
// which they were sent.
func (p *play) order(ctx context.Context) (string, error) {
	began := time.Now()
	ids, err := burst(ctx, p.Client, func(i int) *impb.IMMsgData {
		return text(p.emma, p.frank, fmt.Sprintf("message %d of %d", i+1, inFlight))
	})
	took := time.Since(began)
	for i, id := range ids {
		err = expect(err, fmt.Sprintf("msg_id of answer %d", i+1), id, p.last+uint32(i)+1)
	}
	if err != nil {
		return "", err
	}
	p.last += inFlight
	return fmt.Sprintf("%d more, sent at once: ids %d to %d, in order, in %d ms",
		inFlight, ids[0], p.last, took.Milliseconds()), nil
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
) (uint32, error) {
	req := &impb.IMUnreadMsgCntReq{UserId: &who.id}
	answer, err := ask[*impb.IMUnreadMsgCntRsp](ctx, p.Client, req)
	for _, u := range answer.GetUnreadinfoList() {
		if u.GetSessionType() == kind && u.GetSessionId() == talk {
			return u.GetUnreadCnt(), err
		}
	}
	return 0, err
}

func (p *play) unread(ctx context.Context) (string, error) {
	n, err := p.unreadOf(ctx, p.frank, pair, p.emma.id)
	err = expect(err, "unread messages", n, p.unreadBefore+p.last-p.first+1)
	return fmt.Sprintf("frank has %d unread messages from emma", n), err
}

// markRead has somebody read a talk up to the message last.
func (p *play) markRead(
	ctx context.Context, who person, kind impb.SessionType, talk, last uint32,
) error {
	return p.tell(ctx, &impb.IMMsgDataReadAck{
		UserId: &who.id, SessionId: &talk, MsgId: &last, SessionType: &kind,
	})
}

func (p *play) read(ctx context.Context) (string, error) {
	if err := p.markRead(ctx, p.frank, pair, p.emma.id, p.last); err != nil {
		return "", err
	}
	n, err := p.unreadOf(ctx, p.frank, pair, p.emma.id)
	err = expect(err, "unread messages after reading", n, 0)
	return "frank reads them: none is unread any more", err
}

// pageFor is a page of the talk of emma and frank as frank sees it.
func (p *play) pageFor(ctx context.Context, begin, count uint32) ([]*impb.MsgInfo, error) {
	answer, err := ask[*impb.IMGetMsgListRsp](ctx, p.Client, &impb.IMGetMsgListReq{
		UserId: &p.frank.id, SessionType: pair.Enum(), SessionId: &p.emma.id,
		MsgIdBegin: &begin, MsgCnt: &count,
	})
	return answer.GetMsgList(), err
}

func (p *play) page(ctx context.Context) (string, error) {
	const size = 40
	var pages []string
	for next := p.last; next >= p.first; {
		messages, err := p.pageFor(ctx, next, min(size, next-p.first+1))
		if err != nil {
			return "", err
		}
		if len(messages) == 0 {
			return "", fmt.Errorf("the page from message %d on: expected messages, got none", next)
		}
		for _, m := range messages {
			err := expect(nil, "next message on the page", m.GetMsgId(), next)
			if i := int(next) - int(p.first); i > 0 {
				want := fmt.Sprintf("message %d of %d", i, inFlight)
				err = expect(err, fmt.Sprintf("message %d", next), string(m.GetMsgData()), want)
			}
			if err != nil {
				return "", err
			}
			next--
		}
		pages = append(pages, fmt.Sprint(len(messages)))
	}
	return fmt.Sprintf("frank pages back %s messages: none is missing",
		strings.Join(pages, " + ")), nil
}

// session is an entry of somebody's list of recent talks; nil when it is not there.
func (p *play) session(ctx context.Context, who, peer person) (*impb.ContactSessionInfo, error) {
	req := &impb.IMRecentContactSessionReq{UserId: &who.id, LatestUpdateTime: proto.Uint32(0)}
	answer, err := ask[*impb.IMRecentContactSessionRsp](ctx, p.Client, req)
	for _, s := range answer.GetContactSessionList() {
		if s.GetSessionType() == pair && s.GetSessionId() == peer.id {
			return s, err
		}
	}
	return nil, err
}

func (p *play) recent(ctx context.Context) (string, error) {
	for _, who := range [][2]person{{p.emma, p.frank}, {p.frank, p.emma}} {
		s, err := p.session(ctx, who[0], who[1])
		err = expect(err, "last message in "+who[0].name+"'s list", s.GetLatestMsgId(), p.last)
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("both have the talk among their recent ones, at message %d", p.last), nil
}

func (p *play) voice(ctx context.Context) (string, error) {
	data := company.VoiceData(company.ChimeSeconds, company.Chime())
	sent := message(p.emma.id, p.frank.id, impb.MsgType_MSG_TYPE_SINGLE_AUDIO, data)
	answer, err := ask[*impb.IMMsgData](ctx, p.Client, sent)
	err = expect(err, "msg_id", answer.GetMsgId(), p.last+1)
	if err != nil {
		return "", err
	}
	p.last++
	page, err := p.pageFor(ctx, p.last, 1)
	err = expect(err, "messages on a page of one", len(page), 1)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(page[0].GetMsgData(), data) {
		return "", fmt.Errorf("the sound: expected the %d bytes sent, got %d others",
			len(data), len(page[0].GetMsgData()))
	}
	return fmt.Sprintf("emma sends a chime, a WAV of %d bytes; frank gets the same",
		len(data)-4), nil
}

func (p *play) refused(ctx context.Context) (string, error) {
	before, err := p.latest(ctx)
	if err != nil {
		return "", err
	}
	for _, bad := range []struct {
		what string
		m    *impb.IMMsgData
	}{
		{"a text of 4097 characters", text(p.emma, p.frank, strings.Repeat("长", 4097))},
		{"a message to oneself", text(p.emma, p.emma, "note to self")},
	} {
		answer, err := ask[*impb.IMMsgData](ctx, p.Client, bad.m)
		err = expect(err, "msg_id of "+bad.what, answer.GetMsgId(), 0)
		if err != nil {
			return "", err
		}
	}
	after, err := p.latest(ctx)
	err = expect(err, "newest message", after, before)
	return "4097 characters, and a message to oneself: not stored, id 0", err
}

// tidy leaves the lists of emma and frank as they were found.
func (p *play) tidy(ctx context.Context) (string, error) {
	if err := p.markRead(ctx, p.frank, pair, p.emma.id, p.last); err != nil {
		return "", err
	}
	said := "nothing of it is unread"
	for _, who := range [][2]person{{p.emma, p.frank}, {p.frank, p.emma}} {
		if p.hadTalk[who[0].id] {
			continue
		}
		answer, err := ask[*impb.IMRemoveSessionRsp](ctx, p.Client, &impb.IMRemoveSessionReq{
			UserId: &who[0].id, SessionType: pair.Enum(), SessionId: &who[1].id,
		})
		what := "result_code of removing the talk from " + who[0].name + "'s list"
		if err := expect(err, what, answer.GetResultCode(), 0); err != nil {
			return "", err
		}
		said = "nothing of it is unread; the talk is off both lists again"
	}
	n, err := p.unreadOf(ctx, p.frank, pair, p.emma.id)
	err = expect(err, "unread messages", n, 0)
	return said, err
}
