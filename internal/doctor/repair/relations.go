package repair

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// relation is a row of IMRelationShip.
type relation struct {
	id   uint32
	live bool
}

// relations finds pairs with more than one relation, where another than the one in use is alive or
// has messages.
func (c *Examination) relations(
	ctx context.Context, after, upTo int64,
) (faults []Fault, err error) {
	other := "EXISTS (SELECT 1 FROM IMRelationShip d" +
		" WHERE d.smallId=r.smallId AND d.bigId=r.bigId AND d.id"
	query := "SELECT r.smallId,r.bigId FROM IMRelationShip r WHERE r.id>? AND r.id<=? AND " +
		other + "<r.id) AND NOT " + other + ">r.id)"
	var pairs []chat.Talk
	err = c.query(ctx, "relations", query, []any{after, upTo}, func(scan sqldb.Scanner) error {
		t := chat.Talk{Kind: chat.Pair}
		err := scan(&t.A, &t.B)
		pairs = append(pairs, t)
		return err
	})
	if err != nil || len(pairs) == 0 {
		return nil, err
	}
	all, err := c.relationsOf(ctx, c.db, pairs)
	if err != nil {
		return nil, err
	}
	used, err := c.used(ctx, pairs)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, rs := range all {
		for _, r := range rs {
			ids = append(ids, r.id)
		}
	}
	full, err := c.withMessages(ctx, ids)
	for _, p := range pairs {
		if f, split := splitTalk(p, all[p], used[p], full); split {
			faults = append(faults, f)
		}
	}
	return faults, err
}

// splitTalk describes a talk if it is split. used is the relation that its row names; 0 when it has
// no row.
func splitTalk(
	p chat.Talk, rs []relation, used uint32, full map[uint32]bool,
) (f Fault, split bool) {
	if used == 0 && len(rs) > 0 {
		used = rs[len(rs)-1].id
	}
	var others []string
	for _, r := range rs {
		if r.id != used {
			others = append(others, strconv.FormatUint(uint64(r.id), 10))
			split = split || r.live || full[r.id]
		}
	}
	text := fmt.Sprintf("%s uses relation %d and has also %s", p, used, strings.Join(others, ", "))
	return Fault{Kind: finding.SplitTalk, Talk: p, Text: text}, split
}

// relationsOf returns all relations of pairs. Of each pair the one that the suite's tables say is
// in use comes last.
func (c *Examination) relationsOf(
	ctx context.Context, q sqldb.Querier, pairs []chat.Talk,
) (map[chat.Talk][]relation, error) {
	all := make(map[chat.Talk][]relation)
	// Not sqldb.Chunked: it may repeat a key, whose rows would be found twice. There are at most
	// scanRows pairs.
	keys := make([]any, 0, 2*len(pairs))
	for _, p := range pairs {
		keys = append(keys, p.A, p.B)
	}
	query := c.db.Lookup(
		"id,smallId,bigId,CASE WHEN COALESCE(status,0)=0 THEN 1 ELSE 0 END AS live",
		"IMRelationShip", []string{"smallId", "bigId"}, len(pairs)) + " ORDER BY live, updated, id"
	err := sqldb.Each(ctx, q, query, keys, func(scan sqldb.Scanner) error {
		t := chat.Talk{Kind: chat.Pair}
		var r relation
		err := scan(&r.id, &t.A, &t.B, &r.live)
		all[t] = append(all[t], r)
		return err
	})
	return all, c.db.Fail("looking at relations", err)
}

// used returns the relations that rows of talks name.
func (c *Examination) used(ctx context.Context, pairs []chat.Talk) (map[chat.Talk]uint32, error) {
	found := make(map[chat.Talk]uint32)
	if !c.there("IMProxyTalk") {
		return found, nil
	}
	err := sqldb.Chunked(pairs, func(pairs []chat.Talk) error {
		query := c.db.Lookup("a,b,relateId", "IMProxyTalk", talk.Key, len(pairs))
		return c.query(ctx, "talks", query, talk.KeyArgs(pairs), func(scan sqldb.Scanner) error {
			t := chat.Talk{Kind: chat.Pair}
			var id uint32
			err := scan(&t.A, &t.B, &id)
			found[t] = id
			return err
		})
	})
	return found, err
}

// withMessages returns which relations have messages in their tables.
func (c *Examination) withMessages(
	ctx context.Context, relations []uint32,
) (map[uint32]bool, error) {
	shards := make(map[tables.Shard][]uint32)
	for _, id := range relations {
		shard := tables.Owner{Kind: chat.Pair, ID: id}.Shard()
		shards[shard] = append(shards[shard], id)
	}
	full := make(map[uint32]bool)
	for _, shard := range slices.SortedFunc(maps.Keys(shards), tables.CompareShards) {
		table := shard.Table()
		some, err := c.among(ctx, table, "SELECT r.id FROM IMRelationShip r WHERE r.id IN (%s)"+
			" AND EXISTS (SELECT 1 FROM "+table+" m"+c.by(table, "relateId,status,created")+
			" WHERE m.relateId=r.id)", shards[shard])
		if err != nil {
			return nil, err
		}
		maps.Copy(full, some)
	}
	return full, nil
}

// merge appends the messages of a pair's other relations to those of the relation in use, some at a
// time, and gives the others status 1. why says what kept it from that.
func (c *Examination) merge(
	ctx context.Context, of chat.Talk, seq chat.Sequencer,
) (why string, err error) {
	for more := true; more && why == "" && err == nil; {
		err = c.holding(ctx, of, func(h held) (err error) {
			more, why, err = c.mergeSome(ctx, h, seq)
			return err
		})
	}
	return why, err
}

// mergeSome does a part of merge in one transaction. more reports whether there may be more to do.
func (c *Examination) mergeSome(
	ctx context.Context, h held, seq chat.Sequencer,
) (more bool, why string, err error) {
	all, err := c.relationsOf(ctx, h.tx, []chat.Talk{h.Talk})
	if err != nil {
		return false, "", err
	}
	others := all[h.Talk]
	at := slices.IndexFunc(others, func(r relation) bool { return r.id == h.Relation })
	if at < 0 {
		return false, fmt.Sprintf("its relation %d does not exist", h.Relation), nil
	}
	others = slices.Delete(others, at, at+1)
	for _, r := range others { // from now on nobody stores anything under these
		if !r.live {
			continue
		}
		const set = "UPDATE IMRelationShip SET status="
		_, err := sqldb.Exec(ctx, h.tx, set+"1 WHERE id=?", r.id)
		if err == nil {
			_, err = sqldb.Exec(ctx, h.tx, set+"0 WHERE id=?", h.Relation)
		}
		if err != nil {
			return false, "", err
		}
	}
	rows, err := c.nextToMove(ctx, h, others)
	if err != nil || len(rows) == 0 {
		return false, "", err
	}
	_, why, err = c.move(ctx, h, seq, rows)
	return true, why, err
}

// nextToMove returns the next messages of relations in order of their times: first those that can
// be seen, then removed ones.
func (c *Examination) nextToMove(
	ctx context.Context, h held, from []relation,
) (rows []moving, err error) {
	for _, which := range []string{"status=0 ORDER BY created, id", "status<>0 ORDER BY id"} {
		for _, r := range from {
			table := tables.Owner{Kind: chat.Pair, ID: r.id}.Shard().Table()
			query := "SELECT id,relateId,msgId,created FROM " + table +
				c.by(table, "relateId,status,created") + " WHERE relateId=? AND " + which +
				" LIMIT ?"
			args := []any{r.id, moveRows + 1}
			err := sqldb.Each(ctx, h.tx, query, args, func(scan sqldb.Scanner) error {
				m, err := scanMoving(scan, table)
				rows = append(rows, m)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		if len(rows) > 0 {
			break
		}
	}
	slices.SortFunc(rows, func(x, y moving) int {
		return cmp.Or(cmp.Compare(x.created, y.created), cmp.Compare(x.owner, y.owner),
			cmp.Compare(x.row, y.row))
	})
	return rows[:min(len(rows), moveRows)], nil
}
