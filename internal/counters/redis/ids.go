package redis

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

func idKey(r chat.Reserve) string {
	if r.Talk.Kind == chat.Group {
		return groupIDKey(r.Talk.A)
	}
	return pairIDKey(r.Relation)
}

func pairIDKey(relation uint32) string { return "msg_id_" + decimal(relation) }
func groupIDKey(group uint32) string   { return "group_msg_id_" + decimal(group) }

// Next implements chat.Sequencer, in one pipeline, from the keys in which original servers count.
// It asks nothing of the records, as it is called within a transaction of theirs. It gives out an
// id only if the key is not below the floor, and nothing was lost since the key was last checked
// against the message tables. Otherwise, and while Redis is away, the answer is 0. Then the caller
// reads the tables: original servers may have written there meanwhile.
func (r *Copy) Next(ctx context.Context, want []chat.Reserve) []uint32 {
	first := make([]uint32, len(want))
	at := r.unread.known()
	commands := make([]link.Command, len(want))
	for i, w := range want {
		commands[i] = link.Run(nextIDs, idKey(w), decimal(at), decimal(w.Count), decimal(w.Floor),
			flag(w.Checked), decimal(uint32(chat.MaxMsgID)))
	}
	got, err := r.ask(ctx, r.unread, at, commands)
	var unsure []chat.Reserve
	for i, w := range want {
		if err == nil {
			if n, ok := number(got.results[i]); ok {
				first[i] = uint32(n)
			}
		}
		switch {
		case w.Checked:
			if first[i] <= w.Floor {
				first[i] = w.Floor + 1
			}
		case first[i] != 0 && !got.sound:
			w.Floor = first[i] - 1
			unsure = append(unsure, w)
			first[i] = 0
		}
	}
	if len(unsure) > 0 {
		r.GiveBack(ctx, unsure)
	}
	return first
}

// GiveBack implements chat.Sequencer: keys go back if they are still where Next left them.
func (r *Copy) GiveBack(ctx context.Context, unused []chat.Reserve) (gone []bool) {
	commands := make([]link.Command, len(unused))
	for i, u := range unused {
		commands[i] = link.Run(giveBack, idKey(u), decimal(u.Floor+u.Count), decimal(u.Count))
	}
	gone = make([]bool, len(unused))
	results, err := r.unread.Do(ctx, commands...)
	if err != nil {
		return gone // there is a gap in the ids, which does no harm
	}
	for i := range gone {
		n, ok := number(results[i])
		gone[i] = ok && n == 1
	}
	return gone
}

// Epoch implements records.Follower.
func (r *Copy) Epoch() uint32 { return r.unread.known() }

// LastIDs implements records.Follower: the keys in which ids are counted. They tell what was given
// out only while nothing was lost since they were checked, which was never needed in the first
// epoch. The error says that this is not so, or not known.
func (r *Copy) LastIDs(
	ctx context.Context, of []chat.Reserve,
) (ids []uint32, epoch uint32, err error) {
	keys := make([]string, len(of))
	for i, t := range of {
		keys[i] = idKey(t)
	}
	q := about(r.unread)
	q.commands = r.unread.GetAll(keys)
	values := len(q.commands)
	if q.width() > 1 {
		for _, key := range keys {
			q.commands = append(q.commands, link.Plain("HGET", link.Companion(key), "epoch"))
		}
	}
	if err = r.consult(ctx, &q); err == nil && !q.got.sound {
		err = errLost
	}
	if err != nil {
		return nil, 0, err
	}
	for _, answer := range q.got.results[:values] {
		ids = append(ids, counts(answer)...)
	}
	for i, answer := range q.got.results[values:] {
		if text(answer) != decimal(q.at) {
			ids[i] = 0
		}
	}
	return ids, q.at, nil
}

// blind is the first revision of a talk that was taken over while Redis did not answer. The records
// count such a talk from 0. Redis may do later what it was asked for, and note that the records
// begin with what it had counted. The revision tells that they did not.
const blind = 1 << 31

// Counted implements records.Follower: what original servers have counted of talks.
func (r *Copy) Counted(ctx context.Context, talks []chat.Known) []chat.Counted {
	counted := make([]chat.Counted, len(talks))
	var unread, mutes []link.Command
	none := revision(r.unread.known(), 0)
	for _, k := range talks {
		if k.Talk.Kind == chat.Pair {
			unread = append(unread, link.Run(adopt, unreadKey(k.Talk.A), none, decimal(k.Talk.B)),
				link.Run(adopt, unreadKey(k.Talk.B), none, decimal(k.Talk.A)))
			continue
		}
		unread = append(unread, link.Run(adopt, countKey(k.Talk.A), none, "count"))
		for _, user := range k.Members {
			unread = append(unread, link.Plain("HGET", levelKey(user, k.Talk.A), "count"))
		}
		mutes = append(mutes, link.Plain("HGETALL", mutesKey(k.Talk.A)))
	}
	if results, err := r.unread.Do(ctx, unread...); err == nil {
		for i, k := range talks {
			if k.Talk.Kind == chat.Pair {
				a, b := adoptedOf(results[0]), adoptedOf(results[1])
				counted[i].UnreadA, counted[i].UnreadB = a.begin, b.begin
				counted[i].Rev = max(a.rev, b.rev)
				results = results[2:]
				continue
			}
			group := adoptedOf(results[0])
			counted[i].Count, counted[i].Rev = group.begin, group.rev
			counted[i].Levels = make(map[uint32]uint32, len(k.Members))
			for m, user := range k.Members {
				if level := group.level(count(text(results[1+m]))); level > 0 {
					counted[i].Levels[user] = level
				}
			}
			results = results[1+len(k.Members):]
		}
	} else {
		for i := range counted {
			counted[i].Rev = blind
		}
	}
	if len(mutes) == 0 {
		return counted
	}
	if results, err := r.groupSet.Do(ctx, mutes...); err == nil {
		for i, k := range talks {
			if k.Talk.Kind == chat.Group {
				counted[i].Mutes = parseMutes(results[0])
				results = results[1:]
			}
		}
	}
	return counted
}

// adopted is what the script adopt says: what is counted there, and from which count and revision
// the records begin.
type adopted struct{ there, begin, rev uint32 }

func adoptedOf(r rueidis.RedisMessage) adopted {
	values, err := r.AsStrSlice()
	if err != nil || len(values) != 3 {
		return adopted{}
	}
	return adopted{count(values[0]), count(values[1]), count(values[2])}
}

// level is the level that the records begin with, given the one that stands there.
func (a adopted) level(there uint32) uint32 {
	unread := a.there - min(there, a.there)
	return a.begin - min(unread, a.begin)
}
