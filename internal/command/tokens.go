package command

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func tokenActions() map[string]action {
	return map[string]action{
		"IMDeviceTokenReq":    change(ownLane, setToken),
		"IMGetDeviceTokenReq": counting(tokensOf, together(tokensLength, pushTokens)),
	}
}

func setToken(
	ctx context.Context, s *chat.Service, req *impb.IMDeviceTokenReq,
) (proto.Message, error) {
	platform := chat.NoPlatform
	if req.ClientType != nil { // if it is not set, its getter would say Windows
		platform = chat.Platform(*req.ClientType)
	}
	err := s.SetToken(ctx, req.GetUserId(), platform, req.GetDeviceToken())
	return &impb.IMDeviceTokenRsp{UserId: req.UserId}, err
}

// tokensOf are the users whose tokens are asked for. Their unread messages are counted, too.
func tokensOf(req *impb.IMGetDeviceTokenReq) []uint32 { return req.GetUserId() }

// tokensLength is how many bytes those tokens take.
func tokensLength(req *impb.IMGetDeviceTokenReq) int {
	return items(len(req.GetUserId()), tokenBytes)
}

func pushTokens(
	ctx context.Context, s *chat.Service, batch []asked[*impb.IMGetDeviceTokenReq],
) []reply {
	all := make([]chat.TokensAsked, len(batch))
	for i, a := range batch {
		all[i] = chat.TokensAsked{Users: a.req.GetUserId(), Limit: a.limit}
	}
	return answers(s.PushTokens(ctx, all), func(_ int, tokens []chat.PushToken) proto.Message {
		return encoded{body: tokenList(tokens)}
	})
}
