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
	loginOK        uint32 = 0
	loginWrong     uint32 = 1
	loginError     uint32 = 2
	loginLockedOut uint32 = 6
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
		"IMValidateReq": together(few, logins).refusing(loginRefused).naming(loginName),
	}
}

func loginName(req proto.Message) string { return req.(*impb.IMValidateReq).GetUserName() }

func logins(ctx context.Context, s *chat.Service, batch []asked[*impb.IMValidateReq]) []reply {
	tries := make([]chat.LoginTry, len(batch))
	for i, a := range batch {
		tries[i] = chat.LoginTry{Name: a.req.GetUserName(), Password: a.req.GetPassword()}
	}
	return answers(s.Logins(ctx, tries), func(i int, user chat.User) proto.Message {
		rsp := loginResult(batch[i].req, loginOK)
		rsp.UserInfo = userInfo(&user)
		return rsp
	})
}

func loginRefused(req proto.Message, err error) proto.Message {
	code := loginError
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
