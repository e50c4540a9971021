package command

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Results of a login.
const (
	loginOK        = 0
	loginWrong     = 1
	loginError     = 2
	loginLockedOut = 6
)

// loginText is the result_string that goes with a result_code; clients show it.
var loginText = map[uint32]string{
	loginOK:        "成功",
	loginWrong:     "用户名/密码错误",
	loginError:     "服务端内部错误",
	loginLockedOut: "用户名/密码错误次数太多",
}

func loginActions() map[string]action {
	return map[string]action{
		"IMValidateReq": change(
			func(req *impb.IMValidateReq) chat.Lane { return chat.LoginLane(req.GetUserName()) },
			func(ctx context.Context, s *chat.Service, req *impb.IMValidateReq) (proto.Message, error) {
				user, err := s.Login(ctx, req.GetUserName(), req.GetPassword())
				if err != nil {
					return nil, err
				}
				rsp := loginResult(req, loginOK)
				rsp.UserInfo = userInfo(user)
				return rsp, nil
			},
		).refusing(func(req proto.Message, err error) proto.Message {
			code := uint32(loginError)
			switch {
			case errors.Is(err, chat.ErrWrongLogin):
				code = loginWrong
			case errors.Is(err, chat.ErrLockedOut):
				code = loginLockedOut
			}
			return loginResult(req.(*impb.IMValidateReq), code)
		}),
	}
}

// loginResult echoes the name as it was sent: callers find their client by it.
func loginResult(req *impb.IMValidateReq, code uint32) *impb.IMValidateRsp {
	return &impb.IMValidateRsp{UserName: req.UserName, ResultCode: &code, ResultString: new(loginText[code])}
}

// unparsable is the answer to a request whose body does not parse: only a login has one.
func unparsable(e *entry) proto.Message {
	if _, ok := e.Request.(*impb.IMValidateReq); !ok {
		return nil
	}
	return &impb.IMValidateRsp{ResultCode: new(uint32(loginError)), ResultString: new(loginText[loginError])}
}
