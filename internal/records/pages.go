package records

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/newest"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// togetherBytes is how long pages may be, in bytes, that are read from the tables together.
const togetherBytes = 64 << 10

// Pages implements chat.Archive. What is asked for is mostly the newest messages of talks: these
// are kept (see package newest), or read for all queries together. Other pages, further back in
// their talks, by ids, or long, are asked for alone: one of them may take as long as a hundred.
func (s *Store) Pages(
	ctx context.Context, queries []chat.PageQuery,
) []chat.Result[[]chat.Message] {
	results := make([]chat.Result[[]chat.Message], len(queries))
	var talks []chat.Talk
	for _, q := range queries {
		if q.IDs == nil {
			talks = append(talks, q.Talk)
		}
	}
	kept := s.keptOf(ctx, talks)
	var load []chat.Talk
	var left []int // the queries whose talks are loaded
	for i, q := range queries {
		m := kept[q.Talk]
		if page, ok := pageOf(m, q); ok {
			results[i] = page
			continue
		}
		if startsNewest(q, m) && q.Bytes <= togetherBytes {
			left, load = append(left, i), append(load, q.Talk)
		} else {
			results[i].Err = chat.ErrAlone
		}
	}
	loaded, _, err := s.loadNewest(ctx, load, newest.Most)
	for _, i := range left {
		q := queries[i]
		page, ok := pageOf(loaded[q.Talk], q)
		switch {
		case err != nil:
			page.Err = err
		case !ok:
			page.Err = chat.ErrAlone
		}
		results[i] = page
	}
	return results
}

// startsNewest says whether a page may begin with the newest messages of its talk, of which m is
// what is kept, or nil.
func startsNewest(q chat.PageQuery, m *newest.Messages) bool {
	return q.IDs == nil && q.Count <= newest.Most &&
		(q.UpTo == 0 || m == nil || q.UpTo >= m.List[0].ID)
}

// pageOf makes a page of a talk's newest messages; ok is false if it takes others, too, or m is
// nil. The page may share its messages with m.
func pageOf(m *newest.Messages, q chat.PageQuery) (_ chat.Result[[]chat.Message], ok bool) {
	if m == nil || q.IDs != nil {
		return chat.Result[[]chat.Message]{}, false
	}
	page := m.List
	if q.UpTo > 0 && slices.ContainsFunc(page, func(m chat.Message) bool { return m.ID > q.UpTo }) {
		page = slices.DeleteFunc(slices.Clone(page),
			func(m chat.Message) bool { return m.ID > q.UpTo })
	}
	whole := m.Whole
	if q.Since > 0 {
		n, _ := slices.BinarySearchFunc(page, chat.Message{Created: q.Since - 1}, laterFirst)
		if n == 0 && len(page) > 0 || !slices.IsSortedFunc(page, laterFirst) {
			// The first rows may be odd ones, whose times are no numbers: the database decides.
			return chat.Result[[]chat.Message]{}, false
		}
		whole = whole || n < len(page)
		page = page[:n]
	}
	size := 0
	for i := range page {
		if i == int(q.Count) {
			return chat.Result[[]chat.Message]{Value: page[:i]}, true
		}
		if size += messageSize(&page[i]); size > q.Bytes && (i > 0 || !q.Cuts) {
			return chat.Result[[]chat.Message]{Value: page[:i], Err: q.TooLong()}, true
		}
	}
	return chat.Result[[]chat.Message]{Value: page}, whole || len(page) == int(q.Count)
}

// laterFirst compares messages by the times at which they were created.
func laterFirst(a, b chat.Message) int { return cmp.Compare(b.Created, a.Created) }

// messageSize is how many bytes a message takes in a page.
func messageSize(m *chat.Message) int { return len(m.Data) + 32 }

// keptOf returns what is kept of talks and counts: see package newest.
func (s *Store) keptOf(ctx context.Context, talks []chat.Talk) map[chat.Talk]*newest.Messages {
	looked := make(map[chat.Talk]newest.Kept, len(talks))
	asked := make([]chat.Reserve, 0, len(talks))
	now := s.now()
	for _, t := range talks {
		if _, twice := looked[t]; twice {
			continue
		}
		if k, ok := s.newest.Get(t, now); ok {
			looked[t] = k
			asked = append(asked, chat.Reserve{Talk: t, Relation: k.Owner})
		}
	}
	if len(asked) == 0 {
		return nil
	}
	counters, epoch, err := s.lastIDs.LastIDs(ctx, asked)
	if err != nil {
		return nil // then the tables are read
	}
	kept := make(map[chat.Talk]*newest.Messages, len(asked))
	for i, a := range asked {
		k, ok := s.newest.Get(a.Talk, now)
		if ok && k.Counts(looked[a.Talk], counters[i], epoch) {
			kept[a.Talk] = k.Messages
		}
	}
	return kept
}

// loadNewest reads the newest messages of talks, at most so many of each, and keeps them. Talks
// that have messages among them of types that are not told are not in loaded but in mixed, each
// with the id of its newest message.
func (s *Store) loadNewest(
	ctx context.Context, talks []chat.Talk, most int,
) (loaded map[chat.Talk]*newest.Messages, mixed map[chat.Talk]uint32, err error) {
	if len(talks) == 0 {
		return nil, nil, nil
	}
	epoch := s.lastIDs.Epoch()
	read, moment := s.now(), s.newest.Moment()
	if loaded, err = s.newestOf(ctx, talks, most, ""); err != nil {
		return nil, nil, err
	}
	mixed = make(map[chat.Talk]uint32)
	for t, m := range loaded {
		switch m.Epoch, m.Read = epoch, read; {
		case slices.ContainsFunc(m.List, func(m chat.Message) bool { return m.Type == 0 }):
			mixed[t] = m.List[0].ID
			delete(loaded, t)
		default:
			s.newest.Put(t, m, moment)
		}
	}
	return loaded, mixed, nil
}

// newestOf reads the newest messages of talks; where is a further condition on them, or empty.
func (s *Store) newestOf(
	ctx context.Context, talks []chat.Talk, most int, where string,
) (map[chat.Talk]*newest.Messages, error) {
	talks = slices.Compact(slices.SortedFunc(slices.Values(talks), talk.Compare))
	return readEach(ctx, s, talks, replica.AboutTalk, func(
		r reader, ctx context.Context, talks []chat.Talk,
	) (map[chat.Talk]*newest.Messages, error) {
		return r.newestOf(ctx, talks, most, where)
	})
}

// newestOf is Store.newestOf for one server. Messages of types that are not told have type 0.
func (r reader) newestOf(
	ctx context.Context, talks []chat.Talk, most int, where string,
) (map[chat.Talk]*newest.Messages, error) {
	owners, err := r.ownersOf(ctx, talks)
	if err != nil {
		return nil, err
	}
	of := make(map[tables.Owner]*newest.Messages, len(owners))
	all := make(map[chat.Talk]*newest.Messages, len(talks))
	for _, t := range talks {
		all[t] = &newest.Messages{Owner: owners[t].ID}
		of[owners[t]] = all[t]
	}
	delete(of, tables.Owner{Kind: chat.Pair}) // who has no relation
	sorted := slices.SortedFunc(maps.Keys(of), tables.CompareOwners)
	err = r.readNewest(ctx, sorted, most, where, func(o tables.Owner, m chat.Message) {
		of[o].List = append(of[o].List, m)
	})
	for _, m := range all {
		m.Whole = len(m.List) < most
	}
	return all, err
}

// ownersOf returns where the messages of talks are. A pair without a relation, or whose relation
// was removed, has an owner without id.
func (r reader) ownersOf(
	ctx context.Context, talks []chat.Talk,
) (map[chat.Talk]tables.Owner, error) {
	owners := make(map[chat.Talk]tables.Owner, len(talks))
	var pairs []chat.Talk
	for _, t := range talks {
		if owners[t] = (tables.Owner{Kind: t.Kind, ID: t.A}); t.Kind == chat.Pair {
			pairs = append(pairs, t)
		}
	}
	relations, err := r.findPairs(ctx, pairs)
	for _, t := range pairs {
		owners[t] = tables.Owner{Kind: chat.Pair, ID: relations[t]}
	}
	return owners, err
}

// newestTogether is of how many talks one statement reads the newest messages at most.
const newestTogether = 256

// manyTalks is of how many talks the last messages are found by lists of their owners, where each
// statement is a round trip. For fewer a SELECT for each talk is quicker: with MariaDB 10.11 it
// takes 70 µs of 16, but 140 of 256; in a list each talk takes 30.
const manyTalks = 32

// readNewest reads the newest messages of owners, in paging order. Where each statement is a round
// trip, one reads those of many. It is a text of numbers alone: which shards it names differs each
// time, so that it would be prepared in vain. Elsewhere the last messages of a shard are one
// statement.
func (r reader) readNewest(
	ctx context.Context, owners []tables.Owner, most int, where string,
	found func(tables.Owner, chat.Message),
) error {
	row := func(scan sqldb.Scanner) error {
		var o tables.Owner
		var m chat.Message
		var typ int64
		err := scan(&o.Kind, &o.ID, &m.ID, &m.From, &typ, &m.Created, &m.Data)
		m.Type = chat.MsgType(r.messageTypes.pass(typ))
		found(o, m)
		return err
	}
	switch {
	case r.Remote():
	case most == 1:
		return eachShard(owners, func(shard tables.Shard, ids []uint32) error {
			return sqldb.QueryIn(ctx, r.Pool, "last messages", r.lastSelect(shard, where), ids, row)
		})
	default:
		for _, o := range owners {
			query := r.newestSelect(o, "?", "?", where)
			if err := r.Query(ctx, "messages", query, []any{o.ID, most}, row); err != nil {
				return err
			}
		}
		return nil
	}
	for some := range slices.Chunk(owners, newestTogether) {
		var selects []string
		if most == 1 && len(some) > manyTalks {
			_ = eachShard(some, func(shard tables.Shard, ids []uint32) error {
				selects = append(selects, fmt.Sprintf(r.lastSelect(shard, where), decimals(ids)))
				return nil
			})
		} else {
			for _, o := range some {
				id := decimals([]uint32{o.ID})
				selects = append(selects, "("+r.newestSelect(o, id, strconv.Itoa(most), where)+")")
			}
		}
		text := strings.Join(selects, " UNION ALL ")
		if err := r.Query(ctx, "messages", text, nil, row); err != nil {
			return err
		}
	}
	return nil
}

// decimals is a list of numbers as a statement has it.
func decimals(ids []uint32) string {
	var list []byte
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendUint(list, uint64(id), 10)
	}
	return string(list)
}

// newestSelect finds the newest messages of an owner, with its kind and id before each.
func (r reader) newestSelect(o tables.Owner, id, limit, where string) string {
	shard := o.Shard()
	return "SELECT " + strconv.Itoa(int(o.Kind)) + "," + shard.OwnerColumn() + ",msgId," +
		shard.Sender() + ",type,created,content FROM " + shard.Table() +
		r.ForceIndex(shard.KeyByTime()) + " WHERE " +
		shard.OwnerColumn() + "=" + id + " AND status=0" + where +
		" ORDER BY created DESC, id DESC LIMIT " + limit
}

// lastSelect finds the last message of each owner in a list. The inner query reads one entry of the
// key for each owner, and more only where the condition does not hold for the last messages.
func (r reader) lastSelect(shard tables.Shard, where string) string {
	return fmt.Sprintf(`SELECT %[6]d,m.%[1]s,m.msgId,m.%[2]s,m.type,m.created,m.content FROM %[3]s m
 JOIN (SELECT (SELECT id FROM %[3]s%[7]s WHERE %[1]s=o.id AND status=0%[5]s
  ORDER BY created DESC, id DESC LIMIT 1) AS last
 FROM %[4]s o WHERE o.id IN (%%s)) x ON m.id=x.last`,
		shard.OwnerColumn(), shard.Sender(), shard.Table(), shard.OwnerTable(), where, shard.Kind,
		r.ForceIndex(shard.KeyByTime()))
}

// eachShard calls f with the ids of the owners in each shard.
func eachShard(owners []tables.Owner, f func(tables.Shard, []uint32) error) error {
	shards := make(map[tables.Shard][]uint32)
	for _, o := range owners {
		shards[o.Shard()] = append(shards[o.Shard()], o.ID)
	}
	for shard, ids := range shards {
		if err := f(shard, ids); err != nil {
			return err
		}
	}
	return nil
}
