package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
)

// people finds those who play, and how things are between them before.
func (p *play) people(ctx context.Context) (string, error) {
	all, err := ask[*impb.IMAllUserRsp](ctx, p.Client, &impb.IMAllUserReq{
		UserId: proto.Uint32(0), LatestUpdateTime: proto.Uint32(0),
	})
	if err != nil {
		return "", err
	}
	for _, who := range []struct {
		name string
		to   *person
	}{{"emma", &p.emma}, {"frank", &p.frank}, {"王小明", &p.ming}, {"carol", &p.carol}} {
		for _, u := range all.GetUserList() {
			if u.GetUserRealName() == who.name {
				*who.to = person{u.GetUserId(), who.name}
			}
		}
		if who.to.id == 0 {
			return "", fmt.Errorf("%w: nobody there is named %s", ErrNoCompany, who.name)
		}
	}
	if code, err := p.tryLogin(ctx, p.emma.name, company.Password); err != nil {
		return "", err
	} else if code != 0 {
		return "", fmt.Errorf("%w: %s's password is not %q",
			ErrNoCompany, p.emma.name, company.Password)
	}
	departments, err := ask[*impb.IMDepartmentRsp](ctx, p.Client, &impb.IMDepartmentReq{
		UserId: proto.Uint32(0), LatestUpdateTime: proto.Uint32(0),
	})
	if err != nil {
		return "", err
	}
	p.hadTalk = make(map[uint32]bool)
	for _, who := range [][2]person{{p.emma, p.frank}, {p.frank, p.emma}} {
		session, err := p.session(ctx, who[0], who[1])
		if err != nil {
			return "", err
		}
		p.hadTalk[who[0].id] = session != nil
	}
	p.unreadBefore, err = p.unreadOf(ctx, p.frank, pair, p.emma.id)
	return fmt.Sprintf("%d people in %d departments; emma, frank, 王小明, carol play",
		len(all.GetUserList()), len(departments.GetDeptList())), err
}

// tryLogin returns the result_code that a login is answered with.
func (p *play) tryLogin(ctx context.Context, name, password string) (code uint32, err error) {
	answer, err := ask[*impb.IMValidateRsp](ctx, p.Client, &impb.IMValidateReq{
		UserName: &name, Password: proto.String(client.WirePassword(password)),
	})
	return answer.GetResultCode(), err
}

func (p *play) login(ctx context.Context) (string, error) {
	answer, err := ask[*impb.IMValidateRsp](ctx, p.Client, &impb.IMValidateReq{
		UserName: &p.emma.name, Password: proto.String(client.WirePassword(company.Password)),
	})
	err = expect(err, "result_code", answer.GetResultCode(), 0)
	err = expect(err, "user_id", answer.GetUserInfo().GetUserId(), p.emma.id)
	nick := answer.GetUserInfo().GetUserNickName()
	return fmt.Sprintf("emma logs in: %s, user %d", nick, p.emma.id), err
}

func (p *play) wrongPassword(ctx context.Context) (string, error) {
	code, err := p.tryLogin(ctx, p.emma.name, "guess")
	err = expect(err, "code of a wrong password", code, 1)
	if err != nil {
		return "", err
	}
	code, err = p.tryLogin(ctx, p.emma.name, company.Password)
	return "emma's wrong password: code 1; then the right one: code 0",
		expect(err, "code of the right one after it", code, 0)
}

// lockout locks a login name out: one that nobody has, as it stays so for half an hour.
func (p *play) lockout(ctx context.Context) (string, error) {
	const tries = 11
	name := "nobody-" + strings.ToLower(rand.Text()[:8])
	for i := range tries + 1 {
		code, err := p.tryLogin(ctx, name, "guess")
		want := uint32(1)
		if i == tries {
			want = 6
		}
		if err := expect(err, fmt.Sprintf("code of try %d", i+1), code, want); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d wrong tries of %s, then code 6: locked out", tries, name), nil
}

func (p *play) offlineFile(ctx context.Context) (string, error) {
	task := "demo-" + strings.ToLower(rand.Text())
	waits := func() (found *impb.OfflineFileInfo, err error) {
		req := &impb.IMFileHasOfflineReq{UserId: &p.frank.id}
		answer, err := ask[*impb.IMFileHasOfflineRsp](ctx, p.Client, req)
		for _, f := range answer.GetOfflineFileList() {
			if f.GetTaskId() == task {
				found = f
			}
		}
		return found, err
	}
	err := p.tell(ctx, &impb.IMFileAddOfflineReq{
		FromUserId: &p.emma.id, ToUserId: &p.frank.id, TaskId: &task,
		FileName: proto.String("计划 plan.txt"), FileSize: proto.Uint32(1234),
	})
	if err != nil {
		return "", err
	}
	file, err := waits()
	err = expect(err, "file that waits for frank", file.GetFileName(), "计划 plan.txt")
	if err != nil {
		return "", err
	}
	err = p.tell(ctx, &impb.IMFileDelOfflineReq{
		FromUserId: &p.emma.id, ToUserId: &p.frank.id, TaskId: &task,
	})
	if err != nil {
		return "", err
	}
	file, err = waits()
	return "计划 plan.txt waits for frank until he has fetched it",
		expect(err, "a note is left after frank fetched the file", file != nil, false)
}
