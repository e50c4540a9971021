package takeover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Summary is how much differs, and is taken over.
type Summary struct {
	Unread         int // unread counters of pairs
	Levels, Groups int // members, and the groups that they are in
	Mutes, Tokens  int
	IDs            int // talks whose ids go on after what the records know
	Impossible     int // numbers and tokens that cannot be, and are passed over
}

// Nothing reports whether the records know all.
func (s Summary) Nothing() bool {
	s.Impossible = 0
	return s == Summary{}
}

// How many are read at a time, and how many talks are changed in one transaction.
const (
	pageUsers  = 500
	pageGroups = 50 // with all of their members
	// pageMembers is about how many members the groups of a page have, unless it is one group.
	pageMembers = 20_000
	pagePairs   = 1000
	mostTakes   = 200
)

// mostAgain is how often a page is read again.
const mostAgain = 5

// plan is what is to be taken over of a page.
type plan struct {
	takes   map[chat.Talk]*talk.Take
	devices []chat.Device
}

// take is the plan of a talk, whose row has a revision.
func (p *plan) take(t chat.Talk, rev uint32) *talk.Take {
	if p.takes[t] == nil {
		p.takes[t] = &talk.Take{Talk: t, Rev: rev, Unread: make(map[uint32]uint32)}
	}
	return p.takes[t]
}

// pass goes through all users, groups and relations. It has sum (may be nil) told of all that
// stands in Redis, and apply (may be nil) called for what differs of each page. A page of which
// apply says that talks have moved since is read again.
func (t *Takeover) pass(
	ctx context.Context, what string, sum func(form string, id uint32, sum uint64),
	apply func(context.Context, plan) (moved []chat.Talk, err error),
) (s Summary, err error) {
	if sum == nil {
		sum = func(string, uint32, uint64) {}
	}
	type page func(ctx context.Context, after uint32, p *plan) (last uint32, err error)
	for _, part := range []struct {
		name string
		page page
	}{
		{"users", func(ctx context.Context, after uint32, p *plan) (uint32, error) {
			return t.users(ctx, after, p, &s, sum)
		}},
		{"groups", func(ctx context.Context, after uint32, p *plan) (uint32, error) {
			return t.groups(ctx, after, p, &s, sum)
		}},
		{"relations", func(ctx context.Context, after uint32, p *plan) (uint32, error) {
			return t.relations(ctx, after, p, &s, sum)
		}},
	} {
		for after, again := uint32(0), 0; ; {
			p := plan{takes: make(map[chat.Talk]*talk.Take)}
			var moved []chat.Talk
			last, err := part.page(ctx, after, &p)
			if err == nil && apply != nil {
				moved, err = apply(ctx, p)
			}
			if err != nil {
				return s, err
			}
			if again++; len(moved) > 0 {
				if again > mostAgain {
					return s, chat.Errorf(chat.NotAllowed, "somebody is at work, as %s moves all "+
						"the time: stop all originals and proxies", moved[0])
				}
				continue
			}
			again = 0
			if last == 0 {
				break
			}
			after = last
			t.Progress(fmt.Sprintf("%s: %s up to %d", what, part.name, last))
		}
	}
	return s, nil
}

// apply stores what is to be taken over of a page, and notes in Redis that it was. It returns the
// talks that have moved since they were planned, which it passes over. If it is killed between the
// two, and proxies go on with Redis instead, then what originals have counted of those few talks is
// added there once more, until their users read it.
func (t *Takeover) apply(ctx context.Context, p plan) (moved []chat.Talk, err error) {
	takes := slices.Collect(maps.Values(p.takes))
	for some := range slices.Chunk(takes, mostTakes) {
		each := make([]talk.Take, len(some))
		for i := range some {
			each[i] = *some[i]
		}
		if err := counting(ctx, t.Records, fleet.InRedis); err != nil {
			return nil, err
		}
		changed, over, err := talk.TakeOver(ctx, t.Records.DB(), each, t.Records.Unix())
		if err == nil {
			err = t.stands.Taken(ctx, changed)
		}
		if err != nil {
			return nil, err
		}
		moved = append(moved, over...)
	}
	for some := range slices.Chunk(p.devices, mostTakes) {
		if err := counting(ctx, t.Records, fleet.InRedis); err != nil {
			return nil, err
		}
		if err := t.Records.TakeTokens(ctx, some); err != nil {
			return nil, err
		}
	}
	return moved, nil
}

// possible reports whether a number can be a count of messages.
func possible(n uint32) bool { return n <= chat.MaxMsgID }

// answer is what a proxy with Redis answers: what stands there, unless the records count it and
// Redis has lost something, or it cannot be.
func (s *Summary) answer(there redis.Value, counted bool, recorded uint32) uint32 {
	switch {
	case counted && !there.Sure:
		return recorded
	case !possible(there.N):
		s.Impossible++
		return recorded
	default:
		return there.N
	}
}

// users plans a page of users: what they have unread of pairs, and their push tokens.
func (t *Takeover) users(
	ctx context.Context, after uint32, p *plan, s *Summary, sum func(string, uint32, uint64),
) (last uint32, err error) {
	users, err := talk.Users(ctx, t.Records.DB(), after, pageUsers)
	if err != nil || len(users) == 0 {
		return 0, err
	}
	stands, err := t.stands.Users(ctx, users)
	if err != nil {
		return 0, err
	}
	pairs, err := t.Records.PairsNow(ctx, users)
	if err != nil {
		return 0, err
	}
	recorded := make(map[uint32]map[uint32]uint32, len(users)) // by user and peer
	revs := make(map[chat.Talk]uint32, len(pairs))
	for _, c := range pairs {
		revs[c.Talk] = c.Rev
		for _, u := range c.Users {
			if recorded[u.User] == nil {
				recorded[u.User] = make(map[uint32]uint32)
			}
			if !possible(u.Unread) {
				u.Unread = 0 // as more is read than was sent
			}
			recorded[u.User][c.Talk.Peer(u.User)] = u.Unread
		}
	}
	for i, user := range users {
		sum("unread_%d", user, stands[i].PairsSum)
		sum("device_%d", user, stands[i].DeviceSum)
		p.pairs(user, stands[i], recorded[user], revs, s)
	}
	if err := t.dropUnrelated(ctx, p); err != nil {
		return 0, err
	}
	for _, take := range p.takes {
		s.Unread += len(take.Unread)
	}
	if err := t.otherSides(ctx, p); err != nil {
		return 0, err
	}
	return users[len(users)-1], t.devices(ctx, users, stands, p, s)
}

// pairs plans what a user has unread of pairs.
func (p *plan) pairs(
	user uint32, u redis.UserStands, recorded map[uint32]uint32, revs map[chat.Talk]uint32,
	s *Summary,
) {
	peers := maps.Clone(u.Pairs)
	for peer := range recorded {
		peers[peer] = u.Pairs[peer]
	}
	for peer, n := range peers {
		has, counted := recorded[peer]
		if want := s.answer(redis.Value{N: n, Sure: u.PairsSure}, counted, has); want != has {
			of := chat.PairTalk(user, peer)
			p.take(of, revs[of]).Unread[user] = want
		}
	}
}

// dropUnrelated leaves out pairs that have no relation, and so no messages.
func (t *Takeover) dropUnrelated(ctx context.Context, p *plan) error {
	var unknown []chat.Talk
	for of, take := range p.takes {
		if take.Rev == 0 {
			unknown = append(unknown, of)
		}
	}
	relations, err := talk.Relations(ctx, t.Records.DB().Session, false, unknown)
	for _, of := range unknown {
		if relations[of] == 0 {
			delete(p.takes, of)
		}
	}
	return err
}

// otherSides plans what the other users have unread of pairs that the records do not count yet.
// Once they do, they are believed, and the others may be on another page.
func (t *Takeover) otherSides(ctx context.Context, p *plan) error {
	var takes []*talk.Take
	var users, peers []uint32
	for of, take := range p.takes {
		for _, user := range []uint32{of.A, of.B} {
			if _, planned := take.Unread[user]; !planned && take.Rev == 0 {
				takes = append(takes, take)
				users, peers = append(users, user), append(peers, of.Peer(user))
			}
		}
	}
	unread, err := t.stands.Unread(ctx, users, peers)
	for i, n := range unread {
		if n > 0 && possible(n) {
			takes[i].Unread[users[i]] = n
		}
	}
	return err
}

// devices plans the push tokens of users.
func (t *Takeover) devices(
	ctx context.Context, users []uint32, stands []redis.UserStands, p *plan, s *Summary,
) error {
	known, err := t.Records.DevicesNow(ctx, users)
	if err != nil {
		return err
	}
	recorded := make(map[uint32]string, len(known))
	for _, d := range known {
		recorded[d.User] = d.Device
	}
	for i, user := range users {
		u := stands[i]
		has, set := recorded[user]
		switch {
		case u.Device == has || set && !u.DeviceSure:
		case !utf8.ValidString(u.Device), utf8.RuneCountInString(u.Device) > chat.MaxToken:
			s.Impossible++
		default:
			s.Tokens++
			_, name, _ := chat.SplitDevice(u.Device)
			if !u.Owns {
				name = ""
			}
			p.devices = append(p.devices, chat.Device{User: user, Device: u.Device, Token: name})
		}
	}
	return nil
}

// groups plans a page of groups: counts, levels, mutes and ids.
func (t *Takeover) groups(
	ctx context.Context, after uint32, p *plan, s *Summary, sum func(string, uint32, uint64),
) (last uint32, err error) {
	rows, err := talk.GroupRows(ctx, t.Records.DB(), after, pageGroups, pageMembers)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	groups := make([]chat.Change, len(rows))
	for i, row := range rows {
		groups[i] = row.Change
	}
	stands, err := t.stands.Groups(ctx, groups)
	if err != nil {
		return 0, err
	}
	for i, row := range rows {
		id, g := row.Talk.A, stands[i]
		sum("the counts of group %d", id, g.CountsSum)
		sum("group_set_%d", id, g.MutesSum)
		p.counts(row, g, s)
		p.mutes(row, g, s)
		p.lastID(row.Talk, row.Rev, row.LastID, row.Stored, g.LastID, s)
	}
	return rows[len(rows)-1].Talk.A, nil
}

// lastID plans after which id a talk goes on: after what Redis has given out, and what is stored.
// Where the records do not count the talk, they begin with what is stored.
func (p *plan) lastID(of chat.Talk, rev, given, stored, there uint32, s *Summary) {
	if rev == 0 {
		given = stored
	}
	want := stored
	if there < chat.MaxMsgID {
		want = max(want, there)
	}
	if want > given {
		s.IDs++
		take := p.take(of, rev)
		take.LastID = max(take.LastID, want)
	}
}

// counts plans how many messages a group has had, and how many of them its members have not seen.
func (p *plan) counts(row talk.GroupRow, g redis.GroupStands, s *Summary) {
	counted := row.Rev > 0
	count := s.answer(g.Count, counted, row.Count)
	unread, differ := make(map[uint32]uint32, len(row.Members)), 0
	for _, m := range row.Members {
		has := row.Count - min(row.Levels[m.User], row.Count)
		level := s.answer(g.Levels[m.User], counted, min(row.Levels[m.User], row.Count))
		unread[m.User] = count - min(level, count)
		if unread[m.User] != has {
			differ++
		}
	}
	if count <= row.Count && differ == 0 {
		return
	}
	s.Groups++
	s.Levels += differ
	take := p.take(row.Talk, row.Rev)
	take.Count, take.Unread = max(count, row.Count), unread
}

// mutes plans what members have set.
func (p *plan) mutes(row talk.GroupRow, g redis.GroupStands, s *Summary) {
	if row.Rev > 0 && !g.MutesSure {
		return
	}
	recorded := make(map[uint32]uint32, len(row.Mutes))
	for _, m := range row.Mutes {
		recorded[m.User] = m.Value
		if _, there := g.Mutes[m.User]; !there {
			g.Mutes[m.User] = 0
		}
	}
	for _, user := range slices.Sorted(maps.Keys(g.Mutes)) {
		if value := g.Mutes[user]; value != recorded[user] {
			s.Mutes++
			take := p.take(row.Talk, row.Rev)
			take.Mutes = append(take.Mutes, chat.Mute{User: user, Value: value})
		}
	}
}

// relations plans the ids of a page of pairs.
func (t *Takeover) relations(
	ctx context.Context, after uint32, p *plan, s *Summary, sum func(string, uint32, uint64),
) (last uint32, err error) {
	rows, err := talk.PairRows(ctx, t.Records.DB(), after, pagePairs)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	relations := make([]uint32, len(rows))
	for i, row := range rows {
		relations[i] = row.Relation
	}
	ids, err := t.stands.PairIDs(ctx, relations)
	if err != nil {
		return 0, err
	}
	for i, row := range rows {
		sum("msg_id_%d", row.Relation, uint64(ids[i]))
		if row.Used != 0 && row.Used != row.Relation || row.Talk.A >= row.Talk.B {
			continue // it has another one
		}
		p.lastID(row.Talk, row.Rev, row.LastID, row.Stored, ids[i], s)
	}
	return relations[len(relations)-1], nil
}
