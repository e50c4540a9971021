package command

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func sessionActions() map[string]action {
	return map[string]action{
		"IMRecentContactSessionReq": together(short, sessions),
		"IMRemoveSessionReq":        change(sessionLane, removeSession).refusing(sessionNotRemoved),
	}
}

func sessions(
	ctx context.Context, s *chat.Service, batch []asked[*impb.IMRecentContactSessionReq],
) []reply {
	all := make([]chat.SessionsAsked, len(batch))
	for i, a := range batch {
		all[i] = chat.SessionsAsked{
			User: a.req.GetUserId(), Since: a.req.GetLatestUpdateTime(), Limit: a.limit,
		}
	}
	return answers(s.RecentSessions(ctx, all),
		func(i int, sessions []chat.RecentSession) proto.Message {
			return encoded{body: sessionList(batch[i].req.GetUserId(), sessions)}
		})
}

func sessionLane(req *impb.IMRemoveSessionReq) chat.Lane { return chat.TalkLane(talkOf(req)) }

func removeSession(
	ctx context.Context, s *chat.Service, req *impb.IMRemoveSessionReq,
) (proto.Message, error) {
	return removedSession(req, resultOK), s.RemoveSession(ctx, req.GetUserId(), talkOf(req))
}

func sessionNotRemoved(req proto.Message, _ error) proto.Message {
	return removedSession(req.(*impb.IMRemoveSessionReq), resultRefused)
}

func removedSession(req *impb.IMRemoveSessionReq, code uint32) proto.Message {
	return &impb.IMRemoveSessionRsp{UserId: req.UserId, ResultCode: &code,
		SessionType: req.SessionType, SessionId: req.SessionId}
}

// ofTalk is any request that names a talk as its user does.
type ofTalk interface {
	GetUserId() uint32
	GetSessionType() impb.SessionType
	GetSessionId() uint32
}

func talkOf(m ofTalk) chat.Talk {
	return chat.TalkOf(m.GetUserId(), chat.TalkKind(m.GetSessionType()), m.GetSessionId())
}

// shownSender is the sender that lists of talks show: of a pair always the peer, whoever sent the
// message.
func shownSender(user uint32, talk chat.Talk, last chat.Message) uint32 {
	if talk.Kind == chat.Pair {
		return talk.Peer(user)
	}
	return last.From
}
