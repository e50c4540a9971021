package redis

import (
	"context"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Reconcile does once what Run does at its first beat, but raises no beat: it gives the Copy the
// records, as Use does, and applies all commits that were not applied. It is for those who then
// read what stands in Redis while no proxy is at work.
func (r *Copy) Reconcile(ctx context.Context, records Records) error {
	r.Use(ctx, records)
	if err := r.renewEvicted(ctx); err != nil {
		return err
	}
	return r.applyLeft(ctx)
}

// Standing reads what stands in Redis, as proxies answer from it, and changes nothing. It is for
// one goroutine.
type Standing struct {
	copy   *Copy
	epochs map[*role]uint32 // 0: what is there counts only where the records know nothing
	seed   maphash.Seed
}

// Standing begins to read. What is in an instance that does not answer counts as not there; away
// says which, and why.
func (r *Copy) Standing(ctx context.Context, records Marks) (s *Standing, away []error, err error) {
	s = &Standing{copy: r, epochs: make(map[*role]uint32), seed: maphash.MakeSeed()}
	var names []string
	for _, ro := range r.roles {
		names = append(names, epochMark(ro.name), beatMark(ro.name))
	}
	marks, err := records.Marks(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	told := make(map[*link.Link]bool)
	for _, ro := range r.roles {
		results, err := ro.Do(ctx, link.Plain("GET", epochKey(ro.name)))
		switch {
		case err == nil:
			s.epochs[ro] = ro.standing(text(results[0]), marks[epochMark(ro.name)],
				marks[beatMark(ro.name)])
		case !told[ro.Link]:
			told[ro.Link] = true
			away = append(away, err)
		}
	}
	return s, away, nil
}

// standing is the epoch of a role in which a proxy that comes now would begin: its value in Redis
// is given, and its marks. It is 0 if the proxy would begin a new one, as something was lost.
func (ro *role) standing(value string, id, beat uint32) uint32 {
	inRedis, beatInRedis := parseEpoch(value)
	switch {
	case id != 0 && inRedis == id && beatInRedis >= beat &&
		(beat == 0 || beatInRedis <= beat+restored):
		return id
	case value == "" && beat == 0:
		return ro.begins()
	default:
		return 0
	}
}

// Beats are the marks that a proxy at work raises every second, by name.
func (r *Copy) Beats(ctx context.Context, records Marks) (map[string]uint32, error) {
	var names []string
	for _, ro := range r.roles {
		names = append(names, beatMark(ro.name))
	}
	return records.Marks(ctx, names)
}

// Value is a number in Redis.
type Value struct {
	N    uint32
	Sure bool // it counts, whatever the records say; else it counts where they know nothing
}

// UserStands is what stands in Redis of a user.
type UserStands struct {
	Pairs      map[uint32]uint32 // by peer, how many messages are unread; zeros are left out
	PairsSure  bool              // as Value.Sure
	Device     string            // the push token with its platform; empty: there is none
	Owns       bool              // the token is linked to the user
	DeviceSure bool              // as Value.Sure
	// PairsSum and DeviceSum are hashes of all that stands there. They are the same as long as
	// nothing moves, and 0 where nothing is there.
	PairsSum, DeviceSum uint64
}

// about asks for what stands. An instance that does not answer is asked for nothing.
func (s *Standing) about(ro *role) *lookup { return &lookup{role: ro, at: s.epochs[ro]} }

// ask has a lookup answered, some commands at a time.
func (s *Standing) ask(ctx context.Context, q *lookup) error {
	at, there := s.epochs[q.role]
	q.got = answers{make([]rueidis.RedisMessage, len(q.commands)), there && at > 0}
	for n := 0; there && n < len(q.commands); n += perPipeline {
		end := min(n+perPipeline, len(q.commands))
		results, err := q.role.Do(ctx, q.commands[n:end]...)
		if err != nil {
			return err
		}
		copy(q.got.results[n:], results)
	}
	return nil
}

// fieldsOf are the fields of a hash, and a sum of them.
func (s *Standing) fieldsOf(answer *rueidis.RedisMessage) (fields map[string]string, sum uint64) {
	fields, err := answer.AsStrMap()
	if err != nil {
		return nil, 0
	}
	for field, value := range fields {
		sum ^= maphash.String(s.seed, field+"\x00"+value)
	}
	return fields, sum
}

// Users returns what stands there of users, in their order.
func (s *Standing) Users(ctx context.Context, users []uint32) ([]UserStands, error) {
	unread, devices := s.about(s.copy.unread), s.about(s.copy.token)
	for _, user := range users {
		unread.read("HGETALL", unreadKey(user))
		devices.read("GET", deviceKey(user))
	}
	if err := s.ask(ctx, unread); err != nil {
		return nil, err
	}
	if err := s.ask(ctx, devices); err != nil {
		return nil, err
	}
	stand := make([]UserStands, len(users))
	owners := s.about(s.copy.token)
	owners.at = firstEpoch // they have no companions
	var owned []int
	for i, user := range users {
		u := &stand[i]
		var fields map[string]string
		fields, u.PairsSum = s.fieldsOf(unread.answer(i))
		u.PairsSure = unread.complete(i) && readable(unread.answer(i))
		u.Pairs = make(map[uint32]uint32, len(fields))
		for peer, value := range fields {
			id, err := strconv.ParseUint(peer, 10, 32)
			if n := count(value); err == nil && n > 0 && uint32(id) != user {
				u.Pairs[uint32(id)] = n
			}
		}
		if u.Device = text(*devices.answer(i)); u.Device != "" {
			u.DeviceSum = maphash.String(s.seed, u.Device)
		}
		u.DeviceSure = devices.complete(i) && readable(devices.answer(i))
		if _, token, ok := chat.SplitDevice(u.Device); ok && token != "" {
			owned = append(owned, i)
			owners.read("GET", tokenKey(token))
		}
	}
	if err := s.ask(ctx, owners); err != nil {
		return nil, err
	}
	for n, i := range owned {
		stand[i].Owns = text(*owners.answer(n)) == decimal(users[i])
	}
	return stand, nil
}

// Unread returns what users have unread of peers, one peer of each, in their order.
func (s *Standing) Unread(ctx context.Context, users, peers []uint32) ([]uint32, error) {
	q := s.about(s.copy.unread)
	for i, user := range users {
		q.read("HGET", unreadKey(user), decimal(peers[i]))
	}
	if err := s.ask(ctx, q); err != nil {
		return nil, err
	}
	unread := make([]uint32, len(users))
	for i := range users {
		unread[i] = count(text(*q.answer(i)))
	}
	return unread, nil
}

// readable reports whether a key is of the type that it was asked for as, or not there.
func readable(answer *rueidis.RedisMessage) bool { return failure(*answer) == nil }

// GroupStands is what stands in Redis of a group.
type GroupStands struct {
	Count  Value
	Levels map[uint32]Value // by member
	// Mutes are the values that members have set.
	Mutes     map[uint32]uint32
	MutesSure bool // as Value.Sure
	LastID    uint32
	// CountsSum and MutesSum are as UserStands.PairsSum.
	CountsSum, MutesSum uint64
}

// Groups returns what stands there of groups, given their members, in their order.
func (s *Standing) Groups(ctx context.Context, groups []chat.Change) ([]GroupStands, error) {
	counts, mutes := s.about(s.copy.unread), s.about(s.copy.groupSet)
	first := make([]int, len(groups))
	for i, g := range groups {
		first[i] = counts.read("HGET", countKey(g.Talk.A), "count")
		counts.read("GET", groupIDKey(g.Talk.A))
		for _, m := range g.Members {
			counts.read("HGET", levelKey(m.User, g.Talk.A), "count")
		}
		mutes.read("HGETALL", mutesKey(g.Talk.A))
	}
	if err := s.ask(ctx, counts); err != nil {
		return nil, err
	}
	if err := s.ask(ctx, mutes); err != nil {
		return nil, err
	}
	stand := make([]GroupStands, len(groups))
	for i, g := range groups {
		at := &stand[i]
		value := func(n int) Value {
			answer := counts.answer(n)
			if said := text(*answer); said != "" {
				at.CountsSum ^= maphash.String(s.seed, strconv.Itoa(n-first[i])+" "+said)
			}
			return Value{count(text(*answer)), counts.complete(n) && readable(answer)}
		}
		at.Count = value(first[i])
		at.LastID = value(first[i] + 1).N
		at.Levels = make(map[uint32]Value, len(g.Members))
		for j, m := range g.Members {
			at.Levels[m.User] = value(first[i] + 2 + j)
		}
		_, at.MutesSum = s.fieldsOf(mutes.answer(i))
		at.Mutes = parseMutes(*mutes.answer(i))
		at.MutesSure = mutes.complete(i) && readable(mutes.answer(i))
	}
	return stand, nil
}

// PairIDs returns the last ids of pairs, by their relations, in their order; 0 where there is none.
func (s *Standing) PairIDs(ctx context.Context, relations []uint32) ([]uint32, error) {
	q := s.about(s.copy.unread)
	keys := make([]string, len(relations))
	for i, id := range relations {
		keys[i] = pairIDKey(id)
	}
	q.commands = s.copy.unread.GetAll(keys)
	if err := s.ask(ctx, q); err != nil {
		return nil, err
	}
	ids := make([]uint32, 0, len(relations))
	for _, answer := range q.got.results {
		ids = append(ids, counts(answer)...)
	}
	return append(ids, make([]uint32, len(relations)-min(len(ids), len(relations)))...), nil
}

// Times are the keys in which originals note times, by name: an original moves them though nobody
// talks.
func (s *Standing) Times(ctx context.Context) (map[string]string, error) {
	q := s.about(s.copy.unread)
	q.at = firstEpoch
	names := []string{groupsSynced, usersChanged, usersRead}
	for _, name := range names {
		q.read("GET", name)
	}
	if err := s.ask(ctx, q); err != nil {
		return nil, err
	}
	times := make(map[string]string, len(names))
	for i, name := range names {
		times[name] = text(*q.answer(i))
	}
	return times, nil
}

// Taken notes in Redis that the records have taken over what stands there of talks, with what was
// moved, and at which revision: so a proxy that goes on with Redis counts nothing twice.
func (s *Standing) Taken(ctx context.Context, changes []chat.Change) error {
	ro := s.copy.unread
	at := s.epochs[ro]
	if at == 0 {
		return nil // a new epoch begins, in which the records count
	}
	q := &lookup{role: ro}
	for _, c := range changes {
		if c.Talk.Kind == chat.Pair {
			q.commands = append(q.commands, movePairs(at, c)...)
			continue
		}
		fill := func(key string, n uint32) {
			q.commands = append(q.commands,
				link.Run(fillCount, key, decimal(at), decimal(n), revision(at, c.Rev)))
		}
		fill(countKey(c.Talk.A), c.Count)
		for _, u := range c.Users {
			fill(levelKey(u.User, c.Talk.A), c.Count-min(u.Unread, c.Count))
		}
	}
	if err := s.ask(ctx, q); err != nil {
		return err
	}
	s.copy.complain(q.commands, q.got.results)
	return nil
}

// StartAnew begins a new epoch for all roles, and removes what stands in the keys of originals. So
// nothing counts any more that stands there from before the proxies of the database counted without
// Redis. The Copy is in Use. It returns how many keys were removed, with their companions. It may
// be repeated.
func (r *Copy) StartAnew(ctx context.Context) (removed int, err error) {
	if away := r.Away(); len(away) > 0 {
		return 0, chat.Errorf(chat.Unavailable, "%w: %s", away[0], away[0].Mend())
	}
	for _, ro := range r.roles {
		if err := r.renew(ctx, ro); err != nil {
			return removed, err
		}
	}
	err = r.eachOriginals(ctx, func(ro *role, names []string) error {
		commands := make([]link.Command, len(names))
		for i, name := range names {
			commands[i] = link.Plain("DEL", name)
		}
		results, err := ro.Do(ctx, commands...)
		for _, result := range results {
			n, _ := number(result)
			removed += int(n)
		}
		return err
	})
	return removed, err
}

// KeysAt is how many keys are at an instance.
type KeysAt struct {
	Addr string // with the number of the database
	Keys int
}

// KeysOfOriginals counts the keys that StartAnew would remove now. While others change them it is
// about right.
func (r *Copy) KeysOfOriginals(ctx context.Context) ([]KeysAt, error) {
	found := make(map[*link.Link]int)
	err := r.eachOriginals(ctx, func(ro *role, names []string) error {
		found[ro.Link] += len(names)
		return nil
	})
	var at []KeysAt
	for _, l := range r.links {
		at = append(at, KeysAt{l.String(), found[l]})
	}
	return at, err
}

// eachOriginals calls f with the names of keys in which originals count, and of their companions,
// some at a time.
func (r *Copy) eachOriginals(ctx context.Context, f func(*role, []string) error) error {
	for _, ro := range r.roles {
		err := ro.Keys(ctx, "", keysAtOnce, func(names []string) error {
			names = slices.DeleteFunc(names, func(name string) bool { return !ro.counts(name) })
			if len(names) == 0 {
				return nil
			}
			return f(ro, names)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// counts reports whether a key is one in which originals keep what the role is for, or its
// companion.
func (ro *role) counts(key string) bool {
	if original, is := strings.CutPrefix(key, "dbproxy:{"); is {
		key = strings.TrimSuffix(original, "}")
	}
	for _, form := range keyForms[ro.name] {
		first, last, _ := strings.Cut(form, "*")
		if strings.HasPrefix(key, first) && strings.HasSuffix(key, last) {
			return true
		}
	}
	return false
}

// keyForms are the names of these keys, with a * for what differs.
var keyForms = map[string][]string{
	"unread":       {"unread_*", "*_im_group_msg", "*_im_user_group", "msg_id_*", "group_msg_id_*"},
	"group_set":    {"group_set_*"},
	"token":        {"device_*"},
	"group_member": {"group_member_*"},
}
