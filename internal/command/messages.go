package command

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func messageActions() map[string]action {
	return map[string]action{
		"IMMsgData":           {start: send, refusal: notStored},
		"IMMsgDataReadAck":    {start: readAck},
		"IMGetMsgListReq":     together(short, pages),
		"IMGetMsgByIdReq":     together(short, messagesByID),
		"IMGetLatestMsgIdReq": together(few, latestIDs),
		"IMUnreadMsgCntReq":   counting(unreadOf, together(short, unread)),
	}
}

func pages(
	ctx context.Context, s *chat.Service, batch []asked[*impb.IMGetMsgListReq],
) []reply {
	all := make([]chat.PageAsked, len(batch))
	for i, a := range batch {
		all[i] = chat.PageAsked{User: a.req.GetUserId(), Talk: talkOf(a.req),
			UpTo: a.req.GetMsgIdBegin(), Count: a.req.GetMsgCnt(), Limit: a.limit,
			Cuts: a.last}
	}
	return messageLists(s, all, s.Pages(ctx, all), func(i int, list []chat.Message) fields {
		req := batch[i].req
		head := headOf(req) // of an IMGetMsgListRsp
		head.number(4, req.GetMsgIdBegin())
		return head.messageList(5, list)
	})
}

func messagesByID(
	ctx context.Context, s *chat.Service, batch []asked[*impb.IMGetMsgByIdReq],
) []reply {
	all := make([]chat.PageAsked, len(batch))
	for i, a := range batch {
		all[i] = chat.PageAsked{User: a.req.GetUserId(), Talk: talkOf(a.req),
			IDs: append([]uint32{}, a.req.GetMsgIdList()...), Limit: a.limit, Cuts: a.last}
	}
	return messageLists(s, all, s.Pages(ctx, all), func(i int, list []chat.Message) fields {
		return headOf(batch[i].req).messageList(4, list) // of an IMGetMsgByIdRsp
	})
}

// messageLists makes replies of messages, by answer. Those that take longer are made alone: pages
// that have to be, and those with voice messages, as their sounds may take a while.
func messageLists(
	s *chat.Service, asked []chat.PageAsked, results []chat.Result[[]chat.Message],
	answer func(i int, list []chat.Message) fields,
) []reply {
	replies := answers(results, func(i int, messages []chat.Message) proto.Message {
		return encoded{body: answer(i, messages)}
	})
	for i, r := range results {
		if !errors.Is(r.Err, chat.ErrAlone) && !chat.HasVoice(r.Value) {
			continue
		}
		replies[i].alone = func(ctx context.Context) (proto.Message, error) {
			messages, err := s.Page(ctx, asked[i])
			return encoded{body: answer(i, messages)}, err
		}
	}
	return replies
}

func latestIDs(
	ctx context.Context, s *chat.Service, batch []asked[*impb.IMGetLatestMsgIdReq],
) []reply {
	talks := make([]chat.Talk, len(batch))
	for i, a := range batch {
		talks[i] = talkOf(a.req)
	}
	ids, err := s.LatestIDs(ctx, talks)
	replies := make([]reply, len(batch))
	for i, a := range batch {
		replies[i] = reply{err: err, answer: &impb.IMGetLatestMsgIdRsp{
			UserId: a.req.UserId, SessionType: a.req.SessionType, SessionId: a.req.SessionId,
			LatestMsgId: new(ids[talks[i]]),
		}}
	}
	return replies
}

// unreadOf are the users whose unread messages are counted.
func unreadOf(req *impb.IMUnreadMsgCntReq) []uint32 { return []uint32{req.GetUserId()} }

func unread(
	ctx context.Context, s *chat.Service, batch []asked[*impb.IMUnreadMsgCntReq],
) []reply {
	all := make([]chat.UnreadAsked, len(batch))
	for i, a := range batch {
		all[i] = chat.UnreadAsked{User: a.req.GetUserId(), Limit: a.limit}
	}
	return answers(s.Unread(ctx, all), func(i int, u chat.Unread) proto.Message {
		return encoded{body: unreadList(batch[i].req.GetUserId(), u)}
	})
}

// send stores a message. The answer is the request itself with the id filled in.
func send(h *Handler, c *call, done func(proto.Message, error)) {
	req := c.req.(*impb.IMMsgData)
	if len(req.GetMsgData()) == 0 {
		done(nil, errNoData)
		return
	}
	h.chat.Send(c.ctx, chat.NewMessage{
		From: req.GetFromUserId(),
		To:   req.GetToSessionId(),
		Type: chat.MsgType(req.GetMsgType()),
		Time: req.GetCreateTime(),
		Data: req.GetMsgData(),
	}, func(id uint32, err error) {
		req.MsgId = &id
		done(req, err)
	})
}

// errNoData refuses an empty message, which gets no answer.
var errNoData = chat.Errorf(chat.NotAllowed, "message without data")

// notStored answers a message with an id of 0, which says that it is not stored, but only if that
// is certain. Whoever may not send to a group gets no answer.
func notStored(m proto.Message, err error) proto.Message {
	switch chat.KindOf(err) {
	case chat.Invalid, chat.Unavailable:
		m.(*impb.IMMsgData).MsgId = new(uint32(0))
		return m
	default:
		return nil
	}
}

func readAck(h *Handler, c *call, done func(proto.Message, error)) {
	req := c.req.(*impb.IMMsgDataReadAck)
	h.chat.ReadAck(c.ctx, req.GetUserId(), talkOf(req), func(err error) { done(nil, err) })
}
