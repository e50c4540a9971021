package records

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Page implements chat.Archive.
func (s *Store) Page(
	ctx context.Context, talk chat.Talk, q chat.PageQuery,
) ([]chat.Message, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.Message, error) {
		shard, where, id, err := r.locate(ctx, talk)
		if err != nil || id == 0 {
			return nil, err
		}
		params := []any{id}
		if q.Since > 0 {
			where += " AND created>=?"
			params = append(params, q.Since)
		}
		if q.UpTo > 0 {
			latest, err := r.latest(ctx, shard.Table(), where, append(params, q.UpTo))
			if err != nil || latest < 0 {
				return nil, err
			}
			// +0 keeps engines from the key on msgId, which has another order.
			where += " AND msgId+0<=? AND created<=?"
			params = append(params, q.UpTo, latest)
		}
		p := pager{r: r, ctx: ctx, shard: shard, count: q.Count, limit: chat.PageLimit(ctx)}
		if q.IDs == nil {
			err = p.read(where, params)
			return p.messages, err
		}
		// The newest ids first, until there are enough.
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
		return p.messages[:min(len(p.messages), int(q.Count))], err
	}, replica.AboutTalk(talk))
}

// pager gathers the messages of a page.
type pager struct {
	r     reader
	ctx   context.Context // of the page
	shard tables.Shard
	count uint32 // how many messages one read takes at most
	limit int    // how many bytes all messages may have; a single one may have more

	messages []chat.Message
	size     int // of messages, in bytes
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
		" WHERE " + where + " ORDER BY created DESC, id DESC LIMIT ?"
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
		if p.size += len(m.Data) + 32; p.size > p.limit && len(p.messages) > 0 {
			p.r.log.Info("a page is cut; its reader asks on",
				"messages", len(p.messages), "max_bytes", p.limit)
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
	ctx context.Context, table, where string, params []any,
) (at int64, err error) {
	at = -1
	query := "SELECT COALESCE(MAX(created),-1) FROM (SELECT created FROM " + table + " WHERE " +
		where + " AND msgId<=? ORDER BY msgId DESC LIMIT ?) AS w"
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
	owner := tables.Owner{Kind: talk.Kind, ID: talk.A}
	if talk.Kind == chat.Pair {
		var relations map[chat.Talk]uint32
		relations, err = r.pairs.Get(ctx, []chat.Talk{talk})
		owner.ID = relations[talk]
	}
	return owner.Shard(), owner.Shard().OwnerColumn() + "=? AND status=0", owner.ID, err
}

// findPairs returns the relation of those pairs that have one which was not removed: what the
// talk's row says, else what is found in the original's table. Where it was removed, which is
// status 1, there is nothing to be read until a message gives it status 0 again.
func (r reader) findPairs(ctx context.Context, pairs []chat.Talk) (map[chat.Talk]uint32, error) {
	found := make(map[chat.Talk]uint32, len(pairs))
	known := make(map[chat.Talk]bool, len(pairs))
	err := sqldb.Chunked(pairs, func(pairs []chat.Talk) error {
		const columns = "a,b,relateId,COALESCE(r.status,0)"
		query := r.Lookup(columns, "IMProxyTalk", talk.Key, len(pairs)) +
			" LEFT JOIN IMRelationShip r ON r.id=t.relateId"
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
func (s *Store) Last(ctx context.Context, talks []chat.Talk) (map[chat.Talk]chat.Newest, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[chat.Talk]chat.Newest, error) {
		found, err := r.last.Get(ctx, talks)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		last := make(map[chat.Talk]chat.Newest, len(talks))
		for _, t := range talks {
			if m, ok := found[t]; ok {
				last[t] = m
			}
		}
		return last, nil
	}, replica.AboutEach(talks, replica.AboutTalk)...)
}

func (r reader) findLast(
	ctx context.Context, talks []chat.Talk,
) (map[chat.Talk]chat.Newest, error) {
	var pairs []chat.Talk
	owners := make(map[tables.Owner]chat.Talk, len(talks))
	for _, t := range talks {
		if t.Kind == chat.Pair {
			pairs = append(pairs, t)
		} else {
			owners[tables.Owner{Kind: chat.Group, ID: t.A}] = t
		}
	}
	relations, err := r.findPairs(ctx, pairs)
	if err != nil {
		return nil, err
	}
	for t, id := range relations {
		owners[tables.Owner{Kind: chat.Pair, ID: id}] = t
	}
	last := make(map[chat.Talk]chat.Newest, len(talks))
	var others []tables.Owner // whose last message is of a type that is not told to peers
	err = r.lastOf(ctx, slices.Collect(maps.Keys(owners)), "",
		func(o tables.Owner, m chat.Message) {
			if last[owners[o]] = (chat.Newest{ID: m.ID, Shown: m}); m.Type == 0 {
				others = append(others, o)
				last[owners[o]] = chat.Newest{ID: m.ID}
			}
		})
	if err != nil || len(others) == 0 {
		return last, err
	}
	shown := " AND l.type IN " + r.messageTypes.in()
	err = r.lastOf(ctx, others, shown, func(o tables.Owner, m chat.Message) {
		last[owners[o]] = chat.Newest{ID: last[owners[o]].ID, Shown: m}
	})
	return last, err
}

// lastOf finds the last message of each of some owners; where is a further condition on messages,
// or empty.
func (r reader) lastOf(
	ctx context.Context, owners []tables.Owner, where string,
	found func(tables.Owner, chat.Message),
) error {
	slices.SortFunc(owners, tables.CompareOwners)
	for some := range slices.Chunk(owners, sqldb.MaxList) {
		if err := r.lastOfSome(ctx, some, where, found); err != nil {
			return err
		}
	}
	return nil
}

// lastOfSome is lastOf for no more owners than a statement names. There is one SELECT for each
// shard. Where each statement is a round trip, all of them are one statement. Then there is a
// SELECT for every shard of a kind, all with lists of the same length, so that few different
// statements are prepared.
func (r reader) lastOfSome(
	ctx context.Context, owners []tables.Owner, where string,
	found func(tables.Owner, chat.Message),
) error {
	ids := make(map[tables.Shard][]any)
	for _, o := range owners {
		ids[o.Shard()] = append(ids[o.Shard()], o.ID)
	}
	width := 0
	if r.Remote() && len(ids) > 1 {
		kinds := make(map[chat.TalkKind]bool)
		for shard, some := range ids {
			kinds[shard.Kind] = true
			width = max(width, sqldb.ListLength(len(some)))
		}
		for _, shard := range tables.AllShards() {
			if kinds[shard.Kind] && len(ids[shard]) == 0 {
				ids[shard] = nil
			}
		}
	}
	var selects []string
	var params [][]any
	for _, shard := range slices.SortedFunc(maps.Keys(ids), tables.CompareShards) {
		some := ids[shard]
		n := max(width, sqldb.ListLength(len(some)))
		selects = append(selects, lastSelect(shard, where, n))
		nobody := slices.Repeat([]any{uint32(0)}, n-len(some))
		params = append(params, append(some, nobody...))
	}
	if width > 0 {
		selects = []string{strings.Join(selects, " UNION ALL ")}
		params = [][]any{slices.Concat(params...)}
	}
	for i, query := range selects {
		err := r.Query(ctx, "last messages", query, params[i], func(scan sqldb.Scanner) error {
			var o tables.Owner
			var m chat.Message
			var typ int64
			if err := scan(&o.Kind, &o.ID, &m.ID, &m.From, &typ, &m.Created, &m.Data); err != nil {
				return err
			}
			m.Type = chat.MsgType(r.messageTypes.pass(typ))
			found(o, m)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastSelect finds the last message of each of n owners of one shard, among those (named l) that a
// further condition holds for. The inner query reads one entry of an index for each owner, and more
// only where the condition does not hold for the last messages.
func lastSelect(shard tables.Shard, where string, n int) string {
	return fmt.Sprintf(`SELECT %[6]d,m.%[1]s,m.msgId,m.%[2]s,m.type,m.created,m.content FROM %[3]s m
 JOIN (SELECT (SELECT l.id FROM %[3]s l WHERE l.%[1]s=o.id AND l.status=0%[7]s
  ORDER BY l.created DESC, l.id DESC LIMIT 1) AS last
 FROM %[4]s o WHERE o.id IN (%[5]s)) x ON m.id=x.last`,
		shard.OwnerColumn(), shard.Sender(), shard.Table(), shard.OwnerTable(), sqldb.Params(n),
		shard.Kind, where)
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
