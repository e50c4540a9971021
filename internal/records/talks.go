package records

import (
	"cmp"
	"context"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// talkRow is a row of IMProxyTalk. Whoever holds its lock may change the talk's relation, sessions, ids and members.
type talkRow struct {
	relation           uint32 // a pair's; chooses the message table
	sessionA, sessionB uint32 // a pair's sessions: of A and of B
	lastID             uint32 // the largest message id given out
	lastCreated        uint32 // the greatest created time given out
	sentA, sentB       uint32 // messages sent by A and by B; in a group sentA counts all
	readA, readB       uint32 // of sentB, how many A has seen; of sentA, how many B has
	dirty              bool   // changed since it was read
}

var (
	talkKey      = []string{"kind", "a", "b"}
	talkCounters = []string{"lastId", "lastCreated", "sentA", "sentB", "readA", "readB"}
)

const talkColumns = "kind,a,b,relateId,sessionA,sessionB,lastId,lastCreated,sentA,sentB,readA,readB"

func (t *talkRow) values(talk chat.Talk) []any {
	return []any{uint32(talk.Kind), talk.A, talk.B, t.relation, t.sessionA, t.sessionB, t.lastID, t.lastCreated,
		t.sentA, t.sentB, t.readA, t.readB}
}

func compareTalks(x, y chat.Talk) int {
	return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B))
}

// lockTalks reads those of the talks (sorted) that have a row and locks them until the end of the transaction.
func lockTalks(ctx context.Context, q querier, d dialect, talks []chat.Talk) (map[chat.Talk]*talkRow, error) {
	found := make(map[chat.Talk]*talkRow, len(talks))
	err := chunked(talks, func(talks []chat.Talk) error {
		keys := make([]any, 0, 3*len(talks))
		for _, t := range talks {
			keys = append(keys, uint32(t.Kind), t.A, t.B)
		}
		query := "SELECT " + talkColumns + " FROM IMProxyTalk WHERE (kind,a,b) IN " + d.rows(len(talks), 3) + " ORDER BY kind,a,b" + d.lock()
		return each(ctx, q, query, keys, func(scan scanner) error {
			var talk chat.Talk
			t := new(talkRow)
			err := scan(&talk.Kind, &talk.A, &talk.B, &t.relation, &t.sessionA, &t.sessionB, &t.lastID, &t.lastCreated,
				&t.sentA, &t.sentB, &t.readA, &t.readB)
			found[talk] = t
			return err
		})
	})
	return found, err
}

// lockTalk locks one talk, making its row when it is missing.
func lockTalk(ctx context.Context, q querier, d dialect, talk chat.Talk, now uint32) (*talkRow, error) {
	rows, err := lockTalks(ctx, q, d, []chat.Talk{talk})
	if err != nil || rows[talk] != nil {
		return rows[talk], err
	}
	if err := adopt(ctx, q, d, []chat.Talk{talk}, now, rows); err != nil {
		return nil, err
	}
	return rows[talk], insert(ctx, q, d, "IMProxyTalk", talkColumns, rows[talk].values(talk), "")
}

// adopt makes the rows of talks that have none, from what the original server's tables say of them; what is missing
// there (a pair's relation and sessions) is created. The rows are put into talks, to be saved by the caller.
func adopt(ctx context.Context, q querier, d dialect, missing []chat.Talk, now uint32, talks map[chat.Talk]*talkRow) error {
	var pairs, groups []chat.Talk
	for _, t := range missing {
		talks[t] = &talkRow{dirty: true}
		if t.Kind == chat.Pair {
			pairs = append(pairs, t)
		} else {
			groups = append(groups, t)
		}
	}
	if err := adoptPairs(ctx, q, d, pairs, now, talks); err != nil {
		return err
	}
	byTable := make(map[string][]uint32)
	rows := make(map[string]map[uint32]*talkRow)
	note := func(table string, id uint32, t *talkRow) {
		byTable[table] = append(byTable[table], id)
		if rows[table] == nil {
			rows[table] = make(map[uint32]*talkRow)
		}
		rows[table][id] = t
	}
	for _, t := range pairs {
		note(pairTable(talks[t].relation), talks[t].relation, talks[t])
	}
	for _, t := range groups {
		note(groupTable(t.A), t.A, talks[t])
	}
	for table, ids := range byTable {
		if err := lastStored(ctx, q, table, ids, rows[table]); err != nil {
			return err
		}
	}
	return nil
}

// adoptPairs finds or makes the relation and both sessions of pairs.
func adoptPairs(ctx context.Context, q querier, d dialect, pairs []chat.Talk, now uint32, talks map[chat.Talk]*talkRow) error {
	relations, err := findOrMakeRelations(ctx, q, d, pairs, now)
	if err != nil {
		return err
	}
	var keys []sessionKey
	for _, p := range pairs {
		keys = append(keys, sessionKey{p.A, p.B, chat.Pair}, sessionKey{p.B, p.A, chat.Pair})
	}
	sessions, err := findOrMakeSessions(ctx, q, d, keys, now)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		t := talks[p]
		t.relation = relations[p]
		t.sessionA = sessions[sessionKey{p.A, p.B, chat.Pair}]
		t.sessionB = sessions[sessionKey{p.B, p.A, chat.Pair}]
	}
	return nil
}

// lastStored fills in the last id and the last created time from a message table. Ids above chat.MaxMsgID are what the
// original server left where it failed, and are ignored.
func lastStored(ctx context.Context, q querier, table string, ids []uint32, rows map[uint32]*talkRow) error {
	key := "relateId"
	owner := "IMRelationShip"
	if strings.HasPrefix(table, "IMGroup") {
		key, owner = "groupId", "IMGroup"
	}
	// Each subquery reads one entry of an index: the status is fixed, so its end is where the largest id stands.
	last := func(status string) string {
		return "COALESCE((SELECT MAX(m.msgId) FROM " + table + " m WHERE m." + key + "=o.id AND m.status=" + status + " AND m.msgId<=?),0)"
	}
	created := "COALESCE((SELECT MAX(m.created) FROM " + table + " m WHERE m." + key + "=o.id AND m.status=0),0)"
	return chunked(ids, func(ids []uint32) error {
		query := "SELECT o.id," + last("0") + "," + last("1") + "," + created + " FROM " + owner + " o WHERE o.id IN (" + marks(len(ids)) + ")"
		return each(ctx, q, query, append([]any{chat.MaxMsgID, chat.MaxMsgID}, args(ids)...), func(scan scanner) error {
			var id, live, removed, created uint32
			err := scan(&id, &live, &removed, &created)
			if t := rows[id]; t != nil {
				t.lastID, t.lastCreated = max(live, removed), created
			}
			return err
		})
	})
}
