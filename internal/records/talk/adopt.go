package talk

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// Adopt fills the rows of talks that say nothing yet with what the original server's tables say of
// them. What is missing there (a pair's relation and sessions) is created, in the order given, at
// now (Unix seconds). The rows are in talks; the caller saves them. Where others are at work, they
// must be there, and locked.
func (w Work) Adopt(
	ctx context.Context, missing []chat.Talk, now uint32, talks map[chat.Talk]*Row,
) error {
	var pairs, groups []chat.Talk
	for _, t := range missing {
		if talks[t] == nil {
			if w.ManyWriters() {
				return fmt.Errorf("%s has no row to lock", t)
			}
			talks[t] = new(Row)
		}
		if t.Kind == chat.Pair {
			pairs = append(pairs, t)
		} else {
			groups = append(groups, t)
		}
	}
	adopted := slices.Concat(pairs, groups)
	if err := w.adoptPairs(ctx, pairs, now, talks); err != nil {
		return err
	}
	if err := w.LastStored(ctx, adopted, talks); err != nil {
		return err
	}
	for _, talk := range adopted {
		talks[talk].Dirty, talks[talk].Checked = true, true
	}
	return w.takeOver(ctx, adopted, talks)
}

// adoptPairs finds or makes the relation and both sessions of pairs.
func (w Work) adoptPairs(
	ctx context.Context, pairs []chat.Talk, now uint32, talks map[chat.Talk]*Row,
) error {
	var keys []SessionKey
	for _, p := range pairs {
		keys = append(keys, SessionKey{p.A, p.B, chat.Pair}, SessionKey{p.B, p.A, chat.Pair})
	}
	relations, sessions, err := findOrMake(ctx, w.Session, pairs, keys, now)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		t := talks[p]
		t.Relation = relations[p]
		t.SessionA = sessions[SessionKey{p.A, p.B, chat.Pair}]
		t.SessionB = sessions[SessionKey{p.B, p.A, chat.Pair}]
	}
	return nil
}

// takeOver begins the counts of talks with what is counted of them elsewhere, and the mutes of
// groups likewise.
func (w Work) takeOver(
	ctx context.Context, adopted []chat.Talk, talks map[chat.Talk]*Row,
) error {
	for _, talk := range adopted {
		talks[talk].Rev = 1
	}
	if w.Elsewhere == nil {
		return nil
	}
	known := make([]chat.Known, len(adopted))
	members := make([]map[uint32]MemberRow, len(adopted)) // of groups
	var asked []sqldb.Fetch
	for i, talk := range adopted {
		known[i].Talk = talk
		if talk.Kind == chat.Group {
			members[i] = make(map[uint32]MemberRow)
			asked = append(asked, membersOf(talk.A, members[i]))
		}
	}
	if err := sqldb.FetchAll(ctx, w.Session, asked); err != nil {
		return err
	}
	for i, rows := range members {
		known[i].Members = Current(rows)
	}
	var levels, mutes []any
	for i, c := range w.Elsewhere.Counted(ctx, known) {
		talk, t := adopted[i], talks[adopted[i]]
		t.SentA, t.SentB, t.Rev = c.UnreadB, c.UnreadA, max(t.Rev, c.Rev)
		if talk.Kind == chat.Group {
			t.SentA = c.Count
		}
		t.Before = t.Counts
		for _, user := range slices.Sorted(maps.Keys(c.Levels)) {
			levels = append(levels, user, talk.A, min(c.Levels[user], c.Count))
		}
		for _, user := range slices.Sorted(maps.Keys(c.Mutes)) {
			mutes = append(mutes, talk.A, user, c.Mutes[user])
		}
	}
	if err := SaveLevels(ctx, w.Session, levels); err != nil {
		return err
	}
	return SaveMutes(ctx, w.Session, mutes)
}

// LastStored brings the last ids and created times of talks up to what the message tables have.
func (w Work) LastStored(ctx context.Context, talks []chat.Talk, rows map[chat.Talk]*Row) error {
	owners := make(map[tables.Owner]*Row, len(talks))
	for _, t := range talks {
		owners[rows[t].Owner(t)] = rows[t]
	}
	return LastStored(ctx, w.Session, owners)
}

// LastStored brings the last ids and created times of rows, by what their messages are stored
// under, up to what the message tables have. Ids above chat.MaxMsgID are what the original server
// left where it failed, and are ignored.
func LastStored(ctx context.Context, s sqldb.Session, owners map[tables.Owner]*Row) error {
	ids := make(map[tables.Shard][]uint32)
	for o := range owners {
		ids[o.Shard()] = append(ids[o.Shard()], o.ID)
	}
	var all []sqldb.Fetch
	for _, shard := range slices.SortedFunc(maps.Keys(ids), tables.CompareShards) {
		all = append(all, sqldb.Fetches(s, ids[shard], func(ids []uint32) sqldb.Fetch {
			return lastOf(s, shard, ids, owners)
		})...)
	}
	return sqldb.FetchAll(ctx, s, all)
}

// lastOf fetches the last messages of owners in a shard.
func lastOf(
	d sqldb.Dialect, shard tables.Shard, ids []uint32, owners map[tables.Owner]*Row,
) sqldb.Fetch {
	// Each subquery reads one entry of a key, where the largest stands: MAX would read all of them.
	// In the key of pairs the status stands before the id, so there is a subquery for each status;
	// in that of groups it stands after.
	largest := func(column, key, where string) string {
		return fmt.Sprintf("COALESCE((SELECT m.%[1]s FROM %[2]s m%[5]s WHERE m.%[3]s=o.id%[4]s"+
			" ORDER BY m.%[1]s DESC LIMIT 1),0)", column, shard.Table(), shard.OwnerColumn(), where,
			d.ForceIndex(key))
	}
	live := largest("msgId", shard.KeyByID(), " AND m.status=0 AND m.msgId<=?")
	removed := largest("msgId", shard.KeyByID(), " AND m.status=1 AND m.msgId<=?")
	if shard.Kind == chat.Group {
		live, removed = largest("msgId", shard.KeyByID(), " AND m.msgId<=?"), "?*0"
	}
	query := "SELECT o.id," + live + "," + removed + "," +
		largest("created", shard.KeyByTime(), " AND m.status=0") +
		" FROM " + shard.OwnerTable() + " o WHERE o.id IN (" + sqldb.Params(len(ids)) + ")"
	args := append([]any{chat.MaxMsgID, chat.MaxMsgID}, sqldb.Args(ids)...)
	return sqldb.Fetch{Text: query, Args: args, Row: func(scan sqldb.Scanner) error {
		var id, live, removed, created uint32
		err := scan(&id, &live, &removed, &created)
		if t := owners[tables.Owner{Kind: shard.Kind, ID: id}]; t != nil {
			t.LastID = max(t.LastID, live, removed)
			t.LastCreated = max(t.LastCreated, created)
		}
		return err
	}}
}
