package records

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// sessionKey names a session: user's entry for a peer or a group.
type sessionKey struct {
	user, peer uint32
	kind       chat.TalkKind
}

// findOrMake returns the relation in use of every pair and the session in use of every key; missing ones are made, in the
// order given.
func findOrMake(
	ctx context.Context, q querier, d dialect, pairs []chat.Talk, keys []sessionKey, now uint32,
) (relations map[chat.Talk]uint32, sessions map[sessionKey]uint32, err error) {
	relations, sessions = make(map[chat.Talk]uint32, len(pairs)), make(map[sessionKey]uint32, len(keys))
	err = fetchAll(ctx, q, d,
		slices.Concat(relationsOf(d, "", pairs, relations), sessionsOf(d, keys, sessions)))
	if err != nil {
		return nil, nil, err
	}
	var apart []chat.Talk
	var rows []any
	for _, p := range pairs {
		if relations[p] == 0 {
			apart = append(apart, p)
			rows = append(rows, p.A, p.B, 0, now, now)
		}
	}
	if err := insert(ctx, q, d, "IMRelationShip", "smallId,bigId,status,created,updated", rows, ""); err != nil {
		return nil, nil, err
	}
	missing, err := makeSessions(ctx, q, d, keys, sessions, now)
	if err != nil {
		return nil, nil, err
	}
	err = fetchAll(ctx, q, d, slices.Concat(relationsOf(d, "", apart, relations), sessionsOf(d, missing, sessions)))
	for _, p := range apart {
		_, err = madeID("IMRelationShip", int64(relations[p]), err)
	}
	for _, k := range missing {
		_, err = madeID("IMRecentSession", int64(sessions[k]), err)
	}
	return relations, sessions, err
}

// notRemoved is the condition that a relation was not removed. A pair whose relation was has
// nothing to be read, until a message brings it back to life.
const notRemoved = " WHERE COALESCE(status,0)=0"

// relationsOf fetches the relation in use of those pairs that have one, of those under a condition,
// if it is not empty: of several, one of status 0 before others, then the latest updated, then the
// greatest id.
func relationsOf(d dialect, where string, pairs []chat.Talk, found map[chat.Talk]uint32) []fetch {
	return fetches(pairs, func(pairs []chat.Talk) fetch {
		keys := make([]any, 0, 2*len(pairs))
		for _, p := range pairs {
			keys = append(keys, p.A, p.B)
		}
		query := d.lookup("id,smallId,bigId", "IMRelationShip", []string{"smallId", "bigId"}, len(pairs)) +
			where + // the last row of a pair wins:
			" ORDER BY CASE WHEN COALESCE(status,0)=0 THEN 1 ELSE 0 END, updated, id"
		return fetch{query, keys, func(scan scanner) error {
			t := chat.Talk{Kind: chat.Pair}
			var id uint32
			err := scan(&id, &t.A, &t.B)
			found[t] = id
			return err
		}}
	})
}

func findRelations(
	ctx context.Context, q querier, d dialect, where string, pairs []chat.Talk,
) (map[chat.Talk]uint32, error) {
	found := make(map[chat.Talk]uint32, len(pairs))
	return found, fetchAll(ctx, q, d, relationsOf(d, where, pairs, found))
}

// reviveRelations brings relations of status 1 back to life.
func reviveRelations(ctx context.Context, q querier, ids []uint32, now uint32) error {
	return chunked(ids, func(ids []uint32) error {
		_, err := exec(ctx, q, "UPDATE IMRelationShip SET status=0, updated=? WHERE COALESCE(status,0)<>0 AND id IN ("+marks(len(ids))+")",
			append([]any{now}, args(ids)...)...)
		return err
	})
}

// makeSessions makes the sessions of those keys that were not found, in the order given, and returns these.
func makeSessions(
	ctx context.Context, q querier, d dialect, keys []sessionKey, found map[sessionKey]uint32, now uint32,
) (missing []sessionKey, err error) {
	var rows []any
	for _, k := range keys {
		if _, ok := found[k]; !ok {
			found[k] = 0
			missing = append(missing, k)
			rows = append(rows, k.user, k.peer, uint32(k.kind), 0, now, now)
		}
	}
	return missing, insert(ctx, q, d, "IMRecentSession", sessionColumns, rows, "")
}

const sessionColumns = "userId,peerId,type,status,created,updated"

// sessionsOf fetches the session in use for those keys that have one: of several, one of status 0 before others, then
// the greatest id.
func sessionsOf(d dialect, keys []sessionKey, found map[sessionKey]uint32) []fetch {
	return fetches(keys, func(keys []sessionKey) fetch {
		params := make([]any, 0, 3*len(keys))
		for _, k := range keys {
			params = append(params, k.user, k.peer, uint32(k.kind))
		}
		query := d.lookup("id,userId,peerId,type", "IMRecentSession", []string{"userId", "peerId", "type"}, len(keys)) +
			" ORDER BY CASE WHEN COALESCE(status,0)=0 THEN 1 ELSE 0 END, id" // the last row of a key wins
		return fetch{query, params, func(scan scanner) error {
			var k sessionKey
			var id uint32
			err := scan(&id, &k.user, &k.peer, &k.kind)
			found[k] = id
			return err
		}}
	})
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
		n := d.insertRows(fewRows(rows, width))
		query := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s%s", table, columns, tuples(n, width), tail)
		if _, err := q.ExecContext(ctx, query, rows[:n*width]...); err != nil {
			return err
		}
		rows = rows[n*width:]
	}
	return nil
}

// fewRows is how many rows of a width there are, or of many as many as have maxInsert of text; at least one.
func fewRows(rows []any, width int) (n int) {
	size := 0
	for n*width < len(rows) {
		if size += textSize(rows[n*width : (n+1)*width]); size > maxInsert && n > 0 {
			break
		}
		n++
	}
	return n
}
