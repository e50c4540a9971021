package records

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Page implements chat.Archive.
func (s *Store) Page(ctx context.Context, talk chat.Talk, q chat.PageQuery) ([]chat.Message, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.Message, error) {
		return r.page(ctx, talk, q)
	}, aboutTalk(talk))
}

func (r reader) page(ctx context.Context, talk chat.Talk, q chat.PageQuery) (messages []chat.Message, err error) {
	table, where, id, err := r.locate(ctx, talk)
	if err != nil || id == 0 {
		return nil, err
	}
	params := []any{id}
	if q.Since > 0 {
		where += " AND created>=?"
		params = append(params, q.Since)
	}
	if q.UpTo > 0 {
		// The page begins at the latest time among the ids below: there the key on created is entered, and read in
		// order. Times rise with ids, but for those that original servers stored under several clocks, which disagree
		// over skewWindow messages at most. +0 keeps engines from the key on msgId, which has another order.
		where += " AND msgId+0<=? AND created<=(SELECT MAX(created) FROM (SELECT created FROM " + table + " WHERE " + where +
			" AND msgId<=? ORDER BY msgId DESC LIMIT ?) AS w)"
		params = append(params, slices.Concat([]any{q.UpTo}, params, []any{q.UpTo, skewWindow})...)
	}
	size := 0
	read := func(where string, params []any) error {
		return r.query(ctx, "messages", "SELECT msgId,"+sender(talk.Kind)+",type,created,COALESCE(content,'') FROM "+table+
			" WHERE "+where+" ORDER BY created DESC, id DESC LIMIT ?", append(params, q.Count), func(scan scanner) error {
			var m chat.Message
			err := scan(&m.ID, &m.From, &m.Type, &m.Created, &m.Data)
			if size += len(m.Data) + 32; size > chat.MaxAnswer {
				r.cut("messages of a talk", len(messages))
				return errEnough
			}
			messages = append(messages, m)
			return err
		})
	}
	if q.IDs == nil {
		err = read(where, params)
		return messages, err
	}
	// The newest ids first, until there are enough.
	ids := slices.Clone(q.IDs)
	slices.Reverse(ids)
	err = chunked(ids, func(ids []uint32) error {
		if len(messages) >= int(q.Count) || size > chat.MaxAnswer {
			return nil
		}
		return read(where+" AND msgId IN ("+marks(len(ids))+")", slices.Concat(params, args(ids)))
	})
	slices.SortStableFunc(messages, func(a, b chat.Message) int { return cmp.Compare(b.Created, a.Created) })
	return messages[:min(len(messages), int(q.Count))], err
}

// skewWindow is over how many messages of a talk the order of times may differ from that of ids.
const skewWindow = 1000

// sender is the column of the sender's id.
func sender(kind chat.TalkKind) string {
	if kind == chat.Group {
		return "userId"
	}
	return "fromId"
}

// locate returns where the messages of a talk are: the table, the condition, and the id it takes; 0 when the talk does
// not exist.
func (r reader) locate(ctx context.Context, talk chat.Talk) (table, where string, id uint32, err error) {
	if talk.Kind == chat.Group {
		return groupTable(talk.A), "groupId=? AND status=0", talk.A, nil
	}
	relations, err := r.relations(ctx, []chat.Talk{talk})
	id = relations[talk]
	return pairTable(id), "relateId=? AND status=0", id, err
}

// relations returns the relation of those pairs that have one: what the talk's row says, else what is found in the
// original's table.
func (r reader) relations(ctx context.Context, pairs []chat.Talk) (map[chat.Talk]uint32, error) {
	found := make(map[chat.Talk]uint32, len(pairs))
	err := chunked(pairs, func(pairs []chat.Talk) error {
		params := make([]any, 0, 3*len(pairs))
		for _, p := range pairs {
			params = append(params, uint32(chat.Pair), p.A, p.B)
		}
		query := r.dialect.lookup("a,b,relateId", "IMProxyTalk", talkKey, len(pairs))
		return r.query(ctx, "talks", query, params, func(scan scanner) error {
			t := chat.Talk{Kind: chat.Pair}
			var id uint32
			err := scan(&t.A, &t.B, &id)
			found[t] = id
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var missing []chat.Talk
	for _, p := range pairs {
		if found[p] == 0 {
			missing = append(missing, p)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	others, err := findRelations(ctx, r.db, r.dialect, missing)
	for p, id := range others {
		found[p] = id
	}
	return found, r.failed("reading relations", err)
}

// Last implements chat.Archive.
func (s *Store) Last(ctx context.Context, talks []chat.Talk) (map[chat.Talk]chat.Message, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[chat.Talk]chat.Message, error) {
		return r.last(ctx, talks)
	}, aboutEach(talks, aboutTalk)...)
}

func (r reader) last(ctx context.Context, talks []chat.Talk) (map[chat.Talk]chat.Message, error) {
	var pairs []chat.Talk
	byTable := make(map[string]map[uint32]chat.Talk) // table, then relation or group id
	place := func(table string, id uint32, t chat.Talk) {
		if byTable[table] == nil {
			byTable[table] = make(map[uint32]chat.Talk)
		}
		byTable[table][id] = t
	}
	for _, t := range talks {
		if t.Kind == chat.Pair {
			pairs = append(pairs, t)
		} else {
			place(groupTable(t.A), t.A, t)
		}
	}
	relations, err := r.relations(ctx, pairs)
	if err != nil {
		return nil, err
	}
	for t, id := range relations {
		place(pairTable(id), id, t)
	}
	last := make(map[chat.Talk]chat.Message, len(talks))
	for table, ids := range byTable {
		err := chunked(sortedKeys(ids), func(some []uint32) error {
			return r.lastOf(ctx, table, some, func(id uint32, m chat.Message) { last[ids[id]] = m })
		})
		if err != nil {
			return nil, err
		}
	}
	return last, nil
}

// lastOf finds the last message of each of some talks of one table. The inner query reads one entry of an index for
// each talk.
func (r reader) lastOf(ctx context.Context, table string, ids []uint32, found func(id uint32, m chat.Message)) error {
	key, owner, kind := "relateId", "IMRelationShip", chat.Pair
	if strings.HasPrefix(table, "IMGroup") {
		key, owner, kind = "groupId", "IMGroup", chat.Group
	}
	query := fmt.Sprintf(`SELECT m.%[1]s,m.msgId,m.%[2]s,m.type,m.created,COALESCE(m.content,'') FROM %[3]s m JOIN (
 SELECT (SELECT l.id FROM %[3]s l WHERE l.%[1]s=o.id AND l.status=0 ORDER BY l.created DESC, l.id DESC LIMIT 1) AS last
 FROM %[4]s o WHERE o.id IN (%[5]s)) x ON m.id=x.last`, key, sender(kind), table, owner, marks(len(ids)))
	return r.query(ctx, "last messages", query, args(ids), func(scan scanner) error {
		var id uint32
		var m chat.Message
		err := scan(&id, &m.ID, &m.From, &m.Type, &m.Created, &m.Data)
		found(id, m)
		return err
	})
}

// Sounds implements chat.Archive.
func (s *Store) Sounds(ctx context.Context, ids []uint32) (map[uint32]chat.Sound, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[uint32]chat.Sound, error) {
		return r.sounds(ctx, ids)
	}, aboutEach(ids, aboutSound)...)
}

func (r reader) sounds(ctx context.Context, ids []uint32) (map[uint32]chat.Sound, error) {
	sounds := make(map[uint32]chat.Sound, len(ids))
	err := chunked(ids, func(ids []uint32) error {
		return r.query(ctx, "sounds", "SELECT id,COALESCE(path,''),size,duration FROM IMAudio WHERE id IN ("+marks(len(ids))+")", args(ids),
			func(scan scanner) error {
				var id uint32
				var so chat.Sound
				err := scan(&id, &so.Path, &so.Size, &so.Duration)
				sounds[id] = so
				return err
			})
	})
	return sounds, err
}
