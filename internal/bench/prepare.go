package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

const (
	// How many texts each talk is given.
	ringTextCount   = 25
	circleTextCount = 5
	// How the store is read and filled. What is read may be long: of many such questions at once
	// the last would wait for longer than a request may.
	fillConns    = 4
	readInFlight = 16
	fillInFlight = 256
)

// Prepare looks at the store behind a server and writes into it what the profiles ask for and it
// lacks. It writes nothing if the store has messages of others between the users, unless it was
// told to do so anyway.
func Prepare(ctx context.Context, o Options, profiles []Profile) (*Bench, error) {
	if err := o.Check(profiles); err != nil {
		return nil, err
	}
	var n needs
	for i := range profiles {
		n = n.and(profiles[i].needs)
	}
	return prepareFor(ctx, o, n)
}

// prepareFor prepares the store for what is needed.
func prepareFor(ctx context.Context, o Options, n needs) (*Bench, error) {
	f, err := newFiller(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if err := f.prepare(ctx, n); err != nil {
		return nil, err
	}
	return f.Bench, nil
}

// filler prepares a store.
type filler struct {
	*Bench
	conns []*client.Client
	next  atomic.Uint32 // which connection takes the next request
}

// newFiller connects to the servers. Close it.
func newFiller(ctx context.Context, o Options) (*filler, error) {
	f := &filler{Bench: &Bench{Options: o}}
	for i := range fillConns {
		c, err := client.Dial(ctx, o.Addrs[i%len(o.Addrs)])
		if err != nil {
			f.close()
			return nil, err
		}
		f.conns = append(f.conns, c)
	}
	return f, nil
}

func (f *filler) close() {
	for _, c := range f.conns {
		c.Close()
	}
}

func (f *filler) prepare(ctx context.Context, n needs) error {
	if n.people {
		if err := f.findPeople(ctx); err != nil {
			return err
		}
	}
	if n.logins {
		if err := f.tryLogin(ctx); err != nil {
			return err
		}
	}
	if err := f.survey(ctx); err != nil {
		return err
	}
	for _, talks := range []struct {
		wanted bool
		of     func() []pair
		texts  int
	}{
		{n.ring, f.Users.ring, ringTextCount}, {n.circle, f.Users.circle, circleTextCount},
		{n.spread, f.Users.spread, 1},
	} {
		if talks.wanted {
			if err := f.fill(ctx, talks.of(), talks.texts); err != nil {
				return err
			}
		}
	}
	if n.groups {
		return errors.Join(f.findGroups(ctx, mark, f.Users.groups()), f.setTokens(ctx))
	}
	return nil
}

// ask sends a request and waits for its answer.
func ask[A proto.Message](ctx context.Context, f *filler, req proto.Message) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	return client.Call[A](ctx, f.conns[f.next.Add(1)%uint32(len(f.conns))], req)
}

// all calls do with the numbers below n, so many at once, until one fails, and shows how far it has
// come.
func (f *filler) all(
	ctx context.Context, what string, n, atOnce int, do func(context.Context, int) error,
) error {
	var done atomic.Int64
	stop := f.showing(what, func() string {
		return Digits(float64(done.Load())) + " of " + Digits(float64(n))
	})
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			defer done.Add(1)
			return do(ctx, i)
		})
	}
	return errors.Join(g.Wait())
}

// findPeople finds out who of the users exists.
func (f *filler) findPeople(ctx context.Context) error {
	const atOnce = 100
	var mu sync.Mutex
	err := f.all(ctx, "looking for users", (f.Users.Count()+atOnce-1)/atOnce, readInFlight,
		func(ctx context.Context, i int) error {
			req := &impb.IMUsersInfoReq{UserId: &f.Users.First}
			for id := uint64(f.Users.at(i * atOnce)); id <= uint64(f.Users.Last) &&
				len(req.UserIdList) < atOnce; id++ {
				req.UserIdList = append(req.UserIdList, uint32(id))
			}
			answer, err := ask[*impb.IMUsersInfoRsp](ctx, f, req)
			mu.Lock()
			defer mu.Unlock()
			for _, u := range answer.GetUserInfoList() {
				f.people = append(f.people, person{u.GetUserId(), u.GetUserRealName()})
			}
			return err
		})
	slices.SortFunc(f.people, func(a, b person) int { return int(a.id) - int(b.id) })
	if err == nil && len(f.people) == 0 {
		err = fmt.Errorf("none of the users %d to %d exists; \"dbproxy user import\" makes some",
			f.Users.First, f.Users.Last)
	}
	return err
}

// tryLogin logs the first of the people in, once: a load of logins with a wrong password would have
// the server lock all their names out.
func (f *filler) tryLogin(ctx context.Context) error {
	name := f.people[0].name
	answer, err := ask[*impb.IMValidateRsp](ctx, f, &impb.IMValidateReq{
		UserName: &name, Password: new(client.WirePassword(f.Password))})
	if err == nil && answer.GetResultCode() != 0 {
		err = fmt.Errorf("nothing was loaded: %s, who was to log in first: %w", name,
			refusedLogin(uint64(answer.GetResultCode())))
	}
	return err
}

// ErrForeign says that a store has messages of others.
var ErrForeign = errors.New("the store has messages that no load has sent")

// survey refuses a store with messages of others between the users.
func (f *filler) survey(ctx context.Context) error {
	if f.Anyway {
		return nil
	}
	return f.all(ctx, "looking for messages of others", f.Users.Count(), readInFlight,
		func(ctx context.Context, i int) error {
			user := f.Users.at(i)
			answer, err := ask[*impb.IMRecentContactSessionRsp](ctx, f,
				&impb.IMRecentContactSessionReq{UserId: &user, LatestUpdateTime: new(uint32(0))})
			if err != nil {
				return err
			}
			for _, s := range answer.GetContactSessionList() {
				if !strings.HasPrefix(string(s.GetLatestMsgData()), mark) {
					return fmt.Errorf("%w: one of user %d in a talk with %s", ErrForeign, user,
						named(s))
				}
			}
			return nil
		})
}

// named names whom a session is with.
func named(s *impb.ContactSessionInfo) string {
	if s.GetSessionType() == impb.SessionType_SESSION_TYPE_GROUP {
		return fmt.Sprintf("group %d", s.GetSessionId())
	}
	return fmt.Sprintf("user %d", s.GetSessionId())
}

// fill gives each of these talks as many texts as it wants, a second apart, as if people had
// written them. Before the others each is given its first one: an original that is sent the first
// two of a talk at once makes two talks of them.
func (f *filler) fill(ctx context.Context, talks []pair, texts int) error {
	there := make([]int, len(talks))
	err := f.all(ctx, "looking at talks", len(talks), readInFlight, func(
		ctx context.Context, i int,
	) (err error) {
		there[i], err = f.latest(ctx, talks[i])
		return err
	})
	if err != nil {
		return err
	}
	type text struct{ from, to, created uint32 }
	var first, more []text
	begun := uint32(time.Now().Unix()) - uint32(texts)
	for number := range texts {
		for i, talk := range talks {
			sides := talk.sides()
			t := text{sides[number%2], sides[1-number%2], begun + uint32(number)}
			switch {
			case number < there[i]:
			case number == 0:
				first = append(first, t)
			default:
				more = append(more, t)
			}
		}
	}
	f.Filled.Texts += len(first) + len(more)
	for _, part := range []struct {
		what  string
		texts []text
	}{{"beginning talks", first}, {"filling talks", more}} {
		err := f.all(ctx, part.what, len(part.texts), fillInFlight, func(
			ctx context.Context, i int,
		) error {
			return f.send(ctx, part.texts[i].from, part.texts[i].to, part.texts[i].created)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// latest is the id of the last message of a talk; 0: it has none.
func (f *filler) latest(ctx context.Context, talk pair) (int, error) {
	answer, err := ask[*impb.IMGetLatestMsgIdRsp](ctx, f, &impb.IMGetLatestMsgIdReq{
		UserId: &talk.low, SessionId: &talk.high,
		SessionType: impb.SessionType_SESSION_TYPE_SINGLE.Enum()})
	return int(answer.GetLatestMsgId()), err
}

// send stores a text.
func (f *filler) send(ctx context.Context, from, to, created uint32) error {
	answer, err := ask[*impb.IMMsgData](ctx, f, &impb.IMMsgData{
		FromUserId: &from, ToSessionId: &to, MsgId: new(uint32(0)),
		CreateTime: &created, MsgData: f.text(),
		MsgType: impb.MsgType_MSG_TYPE_SINGLE_TEXT.Enum(),
	})
	if err == nil && answer.GetMsgId() == 0 {
		err = fmt.Errorf("%w: a text from user %d to %d was not stored", errRefused, from, to)
	}
	return err
}

// findGroups finds the groups of a former load, by their names, and makes those that are missing.
// In their names their numbers follow on prefix.
func (f *filler) findGroups(ctx context.Context, prefix string, groups []group) error {
	f.groups = groups
	var made atomic.Int64
	err := f.all(ctx, "looking for groups", len(groups), readInFlight, func(
		ctx context.Context, i int,
	) error {
		g := &groups[i]
		name := fmt.Sprintf("%s%d", prefix, i)
		id, err := f.findGroup(ctx, g.members, name)
		if err != nil || id != 0 {
			g.id = id
			return err
		}
		made.Add(1)
		answer, err := ask[*impb.IMGroupCreateRsp](ctx, f, &impb.IMGroupCreateReq{
			UserId: &g.members[0], GroupType: impb.GroupType_GROUP_TYPE_NORMAL.Enum(),
			GroupName: &name, GroupAvatar: new(""), MemberIdList: g.members,
		})
		if err == nil && (answer.GetResultCode() != 0 || answer.GetGroupId() == 0) {
			err = fmt.Errorf("%w: a group was not made", errRefused)
		}
		g.id = answer.GetGroupId()
		return err
	})
	f.Filled.Groups += int(made.Load())
	return err
}

// findGroup finds a group by its name, its creator, who is the first of its members, and their
// number; 0: there is none.
func (f *filler) findGroup(ctx context.Context, members []uint32, name string) (uint32, error) {
	list, err := ask[*impb.IMNormalGroupListRsp](ctx, f,
		&impb.IMNormalGroupListReq{UserId: &members[0]})
	if err != nil || len(list.GetGroupVersionList()) == 0 {
		return 0, err
	}
	req := &impb.IMGroupInfoListReq{UserId: &members[0]}
	for _, g := range list.GetGroupVersionList() {
		req.GroupVersionList = append(req.GroupVersionList,
			&impb.GroupVersionInfo{GroupId: g.GroupId, Version: new(uint32(0))})
	}
	infos, err := ask[*impb.IMGroupInfoListRsp](ctx, f, req)
	for _, g := range infos.GetGroupInfoList() {
		if g.GetGroupName() == name && g.GetGroupCreatorId() == members[0] &&
			len(g.GetGroupMemberList()) == len(members) {
			return g.GetGroupId(), nil
		}
	}
	return 0, err
}

// setTokens gives push tokens to the members of groups.
func (f *filler) setTokens(ctx context.Context) error {
	f.Filled.Tokens = groupCount
	return f.all(ctx, "setting push tokens", groupCount, readInFlight, func(
		ctx context.Context, i int,
	) error {
		user := f.Users.at(groupFirst + i)
		_, err := ask[*impb.IMDeviceTokenRsp](ctx, f, &impb.IMDeviceTokenReq{
			UserId: &user, DeviceToken: new(tokenOf(user)),
			ClientType: impb.ClientType_CLIENT_TYPE_ANDROID.Enum(),
		})
		return err
	})
}
