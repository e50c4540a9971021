package records

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/newest"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Page implements chat.Archive: it reads one page with queries of its own.
func (s *Store) Page(ctx context.Context, q chat.PageQuery) ([]chat.Message, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.Message, error) {
		shard, where, id, err := r.locate(ctx, q.Talk)
		if err != nil || id == 0 {
			return nil, err
		}
		params := []any{id}
		if q.Since > 0 {
			where += " AND created>=?"
			params = append(params, q.Since)
		}
		if q.UpTo > 0 {
			latest, err := r.latest(ctx, shard, where, append(params, q.UpTo))
			if err != nil || latest < 0 {
				return nil, err
			}
			// +0 keeps SQLite from the key on msgId, which has another order.
			where += " AND msgId+0<=? AND created<=?"
			params = append(params, q.UpTo, latest)
		}
		p := pager{r: r, ctx: ctx, shard: shard, count: q.Count, limit: q.Bytes,
			key: shard.KeyByTime(), whole: !q.Cuts}
		if q.IDs == nil {
			err = p.read(where, params)
			return p.messages, cmp.Or(err, p.tooLong(q))
		}
		p.key = shard.KeyByID() // the newest ids first, until there are enough
		ids := slices.Clone(q.IDs)
		slices.Reverse(ids)
		err = sqldb.Chunked(ids, func(ids []uint32) error {
			if len(p.messages) >= int(q.Count) || p.size > p.limit {
				return nil
			}
			among := where + " AND msgId IN (" + sqldb.Params(len(ids)) + ")"
			return p.read(among, slices.Concat(params, sqldb.Args(ids)))
		})
		slices.SortStableFunc(p.messages, func(a, b chat.Message) int {
			return cmp.Compare(b.Created, a.Created)
		})
		return p.messages[:min(len(p.messages), int(q.Count))], cmp.Or(err, p.tooLong(q))
	}, replica.AboutTalk(q.Talk))
}

// pager gathers the messages of a page.
type pager struct {
	r     reader
	ctx   context.Context // of the page
	shard tables.Shard
	key   string // by which the messages are read
	count uint32 // how many messages one read takes at most
	limit int    // how many bytes all messages may have; a single one may have more
	whole bool   // a page that has more is of no use, a single message neither

	messages []chat.Message
	size     int // of messages, in bytes
}

// tooLong is the error of a page that has more bytes than its query allows; nil: it has not, or it
// is cut.
func (p *pager) tooLong(q chat.PageQuery) error {
	if p.size > p.limit {
		return q.TooLong()
	}
	return nil
}

// read adds the first messages in paging order under a condition. As a rule all are of types that
// are told to peers; the database is asked for these alone only where it has found others.
func (p *pager) read(where string, params []any) error {
	messages, size := p.messages, p.size
	others, err := p.readOnce(where, params)
	if err != nil || !others {
		return err
	}
	p.messages, p.size = messages, size
	_, err = p.readOnce(where+" AND type IN "+p.r.messageTypes.in(), params)
	return err
}

// readOnce adds messages, but for those of types that are not told to peers. others is whether
// there were any.
func (p *pager) readOnce(where string, params []any) (others bool, err error) {
	query := "SELECT msgId," + p.shard.Sender() + ",type,created,content FROM " + p.shard.Table() +
		p.r.ForceIndex(p.key) + " WHERE " + where + " ORDER BY created DESC, id DESC LIMIT ?"
	params = slices.Concat(params, []any{p.count})
	err = p.r.Query(p.ctx, "messages", query, params, func(scan sqldb.Scanner) error {
		var m chat.Message
		var typ int64
		if err := scan(&m.ID, &m.From, &typ, &m.Created, &m.Data); err != nil {
			return err
		}
		if m.Type = chat.MsgType(p.r.messageTypes.pass(typ)); m.Type == 0 {
			others = true
			return nil
		}
		if p.size += messageSize(&m); p.size > p.limit && (len(p.messages) > 0 || p.whole) {
			if !p.whole {
				p.r.log.Info("a page is cut; its reader asks on",
					"messages", len(p.messages), "max_bytes", p.limit)
			}
			return sqldb.ErrEnough
		}
		p.messages = append(p.messages, m)
		return nil
	})
	return others, err
}

// latest returns the time (Unix seconds) at which a page begins that is to end with some id: the
// latest among the ids below; -1 when there are none. With it the key on created is entered at the
// right position and read in order. It is a query of its own, as not every engine enters a key at
// what a subquery returns. Times rise with ids, but for those that original servers stored under
// several clocks, which disagree over skewWindow messages at most.
func (r reader) latest(
	ctx context.Context, shard tables.Shard, where string, params []any,
) (at int64, err error) {
	at = -1
	query := "SELECT COALESCE(MAX(created),-1) FROM (SELECT created FROM " + shard.Table() +
		r.ForceIndex(shard.KeyByID()) + " WHERE " + where +
		" AND msgId<=? ORDER BY msgId DESC LIMIT ?) AS w"
	err = r.Query(ctx, "the time of a message", query, append(params, skewWindow),
		func(scan sqldb.Scanner) error { return scan(&at) })
	return at, err
}

// skewWindow is over how many messages of a talk the order of times may differ from that of ids.
const skewWindow = 1000

// locate returns where the messages of a talk are: the shard, the condition on its rows, and the id
// that the condition takes. The id is 0 when the talk does not exist, or was removed.
func (r reader) locate(
	ctx context.Context, talk chat.Talk,
) (shard tables.Shard, where string, id uint32, err error) {
	owners, err := r.ownersOf(ctx, []chat.Talk{talk})
	owner := owners[talk]
	return owner.Shard(), owner.Shard().OwnerColumn() + "=? AND status=0", owner.ID, err
}

// findPairs returns the relation of those pairs that have one which was not removed: what the
// talk's row says, else what is found in the original's table. Where it was removed, which is
// status 1, there is nothing to be read until a message gives it status 0 again.
func (r reader) findPairs(ctx context.Context, pairs []chat.Talk) (map[chat.Talk]uint32, error) {
	found := make(map[chat.Talk]uint32, len(pairs))
	known := make(map[chat.Talk]bool, len(pairs))
	err := sqldb.Chunked(pairs, func(pairs []chat.Talk) error {
		const columns = "a,b,relateId," +
			"COALESCE((SELECT r.status FROM IMRelationShip r WHERE r.id=t.relateId),0)"
		query := r.Lookup(columns, "IMProxyTalk", talk.Key, len(pairs))
		return r.Query(ctx, "talks", query, talk.KeyArgs(pairs), func(scan sqldb.Scanner) error {
			t := chat.Talk{Kind: chat.Pair}
			var id, status uint32
			err := scan(&t.A, &t.B, &id, &status)
			if known[t] = id != 0; known[t] && status == 0 {
				found[t] = id
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var missing []chat.Talk
	for _, p := range pairs {
		if !known[p] {
			missing = append(missing, p)
		}
	}
	ctx, cancel := r.Bounded(ctx)
	defer cancel()
	others, err := talk.Relations(ctx, r.Session, true, missing)
	maps.Copy(found, others)
	return found, r.Fail("reading relations", err)
}

// Last implements chat.Archive.
func (s *Store) Last(
	ctx context.Context, talks []chat.Talk,
) (map[chat.Talk]chat.Newest, error) {
	kept := s.keptOf(ctx, talks)
	var load []chat.Talk
	for _, t := range talks {
		if kept[t] == nil {
			load = append(load, t)
		}
	}
	loaded, mixed, err := s.loadNewest(ctx, load, 1)
	if err != nil {
		return nil, err
	}
	last := make(map[chat.Talk]chat.Newest, len(talks))
	for _, found := range []map[chat.Talk]*newest.Messages{kept, loaded} {
		for t, m := range found {
			if len(m.List) > 0 {
				last[t] = chat.Newest{ID: m.List[0].ID, Shown: m.List[0]}
			}
		}
	}
	if len(mixed) == 0 {
		return last, nil
	}
	shown, err := s.newestOf(ctx, slices.Collect(maps.Keys(mixed)), 1,
		" AND type IN "+s.messageTypes.in())
	for t, id := range mixed {
		end := chat.Newest{ID: id}
		if m := shown[t]; m != nil && len(m.List) > 0 {
			end.Shown = m.List[0]
		}
		last[t] = end
	}
	return last, err
}

// Sounds implements chat.Archive.
func (s *Store) Sounds(ctx context.Context, ids []uint32) (map[uint32]chat.Sound, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[uint32]chat.Sound, error) {
		sounds := make(map[uint32]chat.Sound, len(ids))
		const query = "SELECT id,COALESCE(path,''),size,duration FROM IMAudio WHERE id IN (%s)"
		row := func(scan sqldb.Scanner) error {
			var id uint32
			var so chat.Sound
			err := scan(&id, &so.Path, &so.Size, &so.Duration)
			sounds[id] = so
			return err
		}
		return sounds, sqldb.QueryIn(ctx, r.Pool, "sounds", query, ids, row)
	}, replica.AboutEach(ids, replica.AboutSound)...)
}
