package command

import (
	"context"
	"errors"
	"strconv"

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

// loginText is the result_string for each result_code. Clients show it.
var loginText = map[uint32]string{
	loginOK:        "成功",
	loginWrong:     "用户名/密码错误",
	loginError:     "服务端内部错误",
	loginLockedOut: "用户名/密码错误次数太多",
}

func loginActions() map[string]action {
	return map[string]action{
		"IMValidateReq": change(loginLane, login).refusing(loginRefused).naming(loginName),
	}
}

func loginLane(req *impb.IMValidateReq) chat.Lane { return chat.LoginLane(req.GetUserName()) }

func loginName(req proto.Message) string { return req.(*impb.IMValidateReq).GetUserName() }

func login(
	ctx context.Context, s *chat.Service, req *impb.IMValidateReq,
) (proto.Message, error) {
	user, err := s.Login(ctx, req.GetUserName(), req.GetPassword())
	if err != nil {
		return nil, err
	}
	rsp := loginResult(req, loginOK)
	rsp.UserInfo = userInfo(&user)
	return rsp, nil
}

func loginRefused(req proto.Message, err error) proto.Message {
	code := uint32(loginError)
	switch {
	case errors.Is(err, chat.ErrWrongLogin):
		code = loginWrong
	case errors.Is(err, chat.ErrLockedOut):
		code = loginLockedOut
	}
	return loginResult(req.(*impb.IMValidateReq), code)
}

// maxShown is how many characters of a name the log shows: as many as a user's name may have.
const maxShown = chat.MaxUserName

// shown is a name as the log shows it. Whoever tries to log in chooses it, so it is cut, and all
// that is not plain text is escaped.
func shown(name string) string {
	if cut := []rune(name[:min(len(name), 4*maxShown+4)]); len(cut) > maxShown {
		name = string(cut[:maxShown]) + "…"
	}
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}

// loginResult echoes the name as it was sent: callers find their client by it.
func loginResult(req *impb.IMValidateReq, code uint32) *impb.IMValidateRsp {
	return &impb.IMValidateRsp{UserName: req.UserName, ResultCode: &code,
		ResultString: new(loginText[code])}
}

// unparsable is the answer to a request whose body does not parse. Only a login has one; else it is
// nil.
func unparsable(e *entry) proto.Message {
	if _, ok := e.Request.(*impb.IMValidateReq); !ok {
		return nil
	}
	return loginResult(new(impb.IMValidateReq), loginError)
}
