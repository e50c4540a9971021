package records

import (
	"context"
	"fmt"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// sessionKey names a session: user's entry for a peer or a group.
type sessionKey struct {
	user, peer uint32
	kind       chat.TalkKind
}

// findOrMakeRelations returns the relation in use of every pair; missing ones are made, in the order given.
func findOrMakeRelations(ctx context.Context, q querier, d dialect, pairs []chat.Talk, now uint32) (map[chat.Talk]uint32, error) {
	found, err := findRelations(ctx, q, d, pairs)
	if err != nil {
		return nil, err
	}
	var missing []chat.Talk
	var rows []any
	for _, p := range pairs {
		if found[p] == 0 {
			missing = append(missing, p)
			rows = append(rows, p.A, p.B, 0, now, now)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	if err := insert(ctx, q, d, "IMRelationShip", "smallId,bigId,status,created,updated", rows, ""); err != nil {
		return nil, err
	}
	made, err := findRelations(ctx, q, d, missing)
	for p, id := range made {
		found[p] = id
	}
	return found, err
}

// findRelations returns the relation in use of those pairs that have one: of several, one of status 0 before others,
// then the latest updated, then the greatest id.
func findRelations(ctx context.Context, q querier, d dialect, pairs []chat.Talk) (map[chat.Talk]uint32, error) {
	found := make(map[chat.Talk]uint32, len(pairs))
	err := chunked(pairs, func(pairs []chat.Talk) error {
		keys := make([]any, 0, 2*len(pairs))
		for _, p := range pairs {
			keys = append(keys, p.A, p.B)
		}
		query := d.lookup("id,smallId,bigId", "IMRelationShip", []string{"smallId", "bigId"}, len(pairs)) +
			" ORDER BY CASE WHEN COALESCE(status,0)=0 THEN 1 ELSE 0 END, updated, id" // the last row of a pair wins
		return each(ctx, q, query, keys, func(scan scanner) error {
			t := chat.Talk{Kind: chat.Pair}
			var id uint32
			err := scan(&id, &t.A, &t.B)
			found[t] = id
			return err
		})
	})
	return found, err
}

// reviveRelations brings relations of status 1 back to life.
func reviveRelations(ctx context.Context, q querier, ids []uint32, now uint32) error {
	return chunked(ids, func(ids []uint32) error {
		_, err := exec(ctx, q, "UPDATE IMRelationShip SET status=0, updated=? WHERE COALESCE(status,0)<>0 AND id IN ("+marks(len(ids))+")",
			append([]any{now}, args(ids)...)...)
		return err
	})
}

// findOrMakeSessions returns the session in use for every key; missing ones are made, in the order given.
func findOrMakeSessions(ctx context.Context, q querier, d dialect, keys []sessionKey, now uint32) (map[sessionKey]uint32, error) {
	found, err := findSessions(ctx, q, d, keys)
	if err != nil {
		return nil, err
	}
	var missing []sessionKey
	var rows []any
	for _, k := range keys {
		if _, ok := found[k]; !ok {
			found[k] = 0
			missing = append(missing, k)
			rows = append(rows, k.user, k.peer, uint32(k.kind), 0, now, now)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	if err := insert(ctx, q, d, "IMRecentSession", sessionColumns, rows, ""); err != nil {
		return nil, err
	}
	made, err := findSessions(ctx, q, d, missing)
	for k, id := range made {
		found[k] = id
	}
	return found, err
}

const sessionColumns = "userId,peerId,type,status,created,updated"

// findSessions returns the session in use for those keys that have one: of several, one of status 0 before others,
// then the greatest id.
func findSessions(ctx context.Context, q querier, d dialect, keys []sessionKey) (map[sessionKey]uint32, error) {
	found := make(map[sessionKey]uint32, len(keys))
	err := chunked(keys, func(keys []sessionKey) error {
		params := make([]any, 0, 3*len(keys))
		for _, k := range keys {
			params = append(params, k.user, k.peer, uint32(k.kind))
		}
		query := d.lookup("id,userId,peerId,type", "IMRecentSession", []string{"userId", "peerId", "type"}, len(keys)) +
			" ORDER BY CASE WHEN COALESCE(status,0)=0 THEN 1 ELSE 0 END, id" // the last row of a key wins
		return each(ctx, q, query, params, func(scan scanner) error {
			var k sessionKey
			var id uint32
			err := scan(&id, &k.user, &k.peer, &k.kind)
			found[k] = id
			return err
		})
	})
	return found, err
}

// reviveSessions puts sessions into their users' lists and on top of them.
func reviveSessions(ctx context.Context, q querier, ids []uint32, now uint32) error {
	return chunked(ids, func(ids []uint32) error {
		_, err := exec(ctx, q, "UPDATE IMRecentSession SET status=0, updated=? WHERE (COALESCE(status,0)<>0 OR updated<>?) AND id IN ("+
			marks(len(ids))+")", append([]any{now, now}, args(ids)...)...)
		return err
	})
}

// insert writes rows, given flat, with as few statements as suit the engine. tail ends each statement.
func insert(ctx context.Context, q querier, d dialect, table, columns string, rows []any, tail string) error {
	width := 1 + strings.Count(columns, ",")
	for len(rows) > 0 {
		n := d.insertRows(len(rows) / width)
		query := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s%s", table, columns, tuples(n, width), tail)
		if _, err := q.ExecContext(ctx, query, rows[:n*width]...); err != nil {
			return err
		}
		rows = rows[n*width:]
	}
	return nil
}
