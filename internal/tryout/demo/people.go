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
func (p *play) people(ctx context.Context) string {
	all := ask[*impb.IMAllUserRsp](ctx, p, &impb.IMAllUserReq{
		UserId: proto.Uint32(0), LatestUpdateTime: proto.Uint32(0),
	})
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
			p.fail(fmt.Errorf("%w: nobody there is named %s", ErrNoCompany, who.name))
		}
	}
	if p.tryLogin(ctx, p.emma.name, company.Password) != 0 {
		p.fail(fmt.Errorf("%w: %s's password is not %q", ErrNoCompany, p.emma.name,
			company.Password))
	}
	departments := ask[*impb.IMDepartmentRsp](ctx, p, &impb.IMDepartmentReq{
		UserId: proto.Uint32(0), LatestUpdateTime: proto.Uint32(0),
	})
	p.hadTalk = make(map[uint32]bool)
	for _, who := range [][2]person{{p.emma, p.frank}, {p.frank, p.emma}} {
		p.hadTalk[who[0].id] = p.session(ctx, who[0], who[1]) != nil
	}
	p.unreadBefore = p.unreadOf(ctx, p.frank, pair, p.emma.id)
	return fmt.Sprintf("%d people in %d departments; emma, frank, 王小明, carol play",
		len(all.GetUserList()), len(departments.GetDeptList()))
}

// validate asks whether somebody may log in.
func (p *play) validate(ctx context.Context, name, password string) *impb.IMValidateRsp {
	return ask[*impb.IMValidateRsp](ctx, p, &impb.IMValidateReq{
		UserName: &name, Password: proto.String(client.WirePassword(password)),
	})
}

// tryLogin returns the result_code that a login is answered with.
func (p *play) tryLogin(ctx context.Context, name, password string) (code uint32) {
	return p.validate(ctx, name, password).GetResultCode()
}

func (p *play) login(ctx context.Context) string {
	answer := p.validate(ctx, p.emma.name, company.Password)
	expect(p, "result_code", answer.GetResultCode(), 0)
	expect(p, "user_id", answer.GetUserInfo().GetUserId(), p.emma.id)
	nick := answer.GetUserInfo().GetUserNickName()
	return fmt.Sprintf("emma logs in: %s, user %d", nick, p.emma.id)
}

func (p *play) wrongPassword(ctx context.Context) string {
	code := p.tryLogin(ctx, p.emma.name, "guess")
	expect(p, "code of a wrong password", code, 1)
	code = p.tryLogin(ctx, p.emma.name, company.Password)
	expect(p, "code of the right one after it", code, 0)
	return "emma's wrong password: code 1; then the right one: code 0"
}

// lockout locks a login name out: one that nobody has, as it stays so for half an hour.
func (p *play) lockout(ctx context.Context) string {
	const tries = 11
	name := "nobody-" + strings.ToLower(rand.Text()[:8])
	for i := range tries + 1 {
		want := uint32(1)
		if i == tries {
			want = 6
		}
		expect(p, fmt.Sprintf("code of try %d", i+1), p.tryLogin(ctx, name, "guess"), want)
	}
	return fmt.Sprintf("%d wrong tries of %s, then code 6: locked out", tries, name)
}

func (p *play) offlineFile(ctx context.Context) string {
	task := "demo-" + strings.ToLower(rand.Text())
	waits := func() *impb.OfflineFileInfo {
		req := &impb.IMFileHasOfflineReq{UserId: &p.frank.id}
		answer := ask[*impb.IMFileHasOfflineRsp](ctx, p, req)
		for _, f := range answer.GetOfflineFileList() {
			if f.GetTaskId() == task {
				return f
			}
		}
		return nil
	}
	p.tell(ctx, &impb.IMFileAddOfflineReq{
		FromUserId: &p.emma.id, ToUserId: &p.frank.id, TaskId: &task,
		FileName: proto.String("计划 plan.txt"), FileSize: proto.Uint32(1234),
	})
	expect(p, "file that waits for frank", waits().GetFileName(), "计划 plan.txt")
	p.tell(ctx, &impb.IMFileDelOfflineReq{
		FromUserId: &p.emma.id, ToUserId: &p.frank.id, TaskId: &task,
	})
	expect(p, "a note is left after frank fetched the file", waits() != nil, false)
	return "计划 plan.txt waits for frank until he has fetched it"
}
