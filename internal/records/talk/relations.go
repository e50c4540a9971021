package talk

import (
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// SessionKey names a session: a user's entry for a peer or a group.
type SessionKey struct {
	User, Peer uint32
	Kind       chat.TalkKind
}

// findOrMake returns the relation in use of every pair and the session in use of every key; missing
// ones are made, in the order given.
func findOrMake(
	ctx context.Context, s sqldb.Session, pairs []chat.Talk, keys []SessionKey, now uint32,
) (relations map[chat.Talk]uint32, sessions map[SessionKey]uint32, err error) {
	relations = make(map[chat.Talk]uint32, len(pairs))
	sessions = make(map[SessionKey]uint32, len(keys))
	err = sqldb.FetchAll(ctx, s,
		slices.Concat(relationsOf(s, false, pairs, relations), Sessions(s, keys, sessions)))
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
	const relation = "smallId,bigId,status,created,updated"
	if err := sqldb.Insert(ctx, s, "IMRelationShip", relation, rows, ""); err != nil {
		return nil, nil, err
	}
	missing, err := MakeSessions(ctx, s, keys, sessions, now)
	if err != nil {
		return nil, nil, err
	}
	err = sqldb.FetchAll(ctx, s,
		slices.Concat(relationsOf(s, false, apart, relations), Sessions(s, missing, sessions)))
	for _, p := range apart {
		_, err = sqldb.NewID("IMRelationShip", int64(relations[p]), err)
	}
	for _, k := range missing {
		_, err = sqldb.NewID("IMRecentSession", int64(sessions[k]), err)
	}
	return relations, sessions, err
}

// relationsOf fetches the relation in use of those pairs that have one; with live, of those whose
// relation was not removed. Of several, one of status 0 comes before others, then the one updated
// last, then the greatest id.
func relationsOf(
	d sqldb.Dialect, live bool, pairs []chat.Talk, found map[chat.Talk]uint32,
) []sqldb.Fetch {
	and := ""
	if live {
		and = " AND COALESCE(status,0)=0"
	}
	return sqldb.Fetches(d, pairs, func(pairs []chat.Talk) sqldb.Fetch {
		keys := sqldb.ArgsOf(pairs, func(p chat.Talk) []any { return []any{p.A, p.B} })
		query := d.Lookup("id,smallId,bigId", "IMRelationShip", []string{"smallId", "bigId"},
			len(pairs)) + and + // the last row of a pair wins:
			" ORDER BY CASE WHEN COALESCE(status,0)=0 THEN 1 ELSE 0 END, updated, id"
		return sqldb.Fetch{Text: query, Args: keys, Row: func(scan sqldb.Scanner) error {
			t := chat.Talk{Kind: chat.Pair}
			var id uint32
			err := scan(&id, &t.A, &t.B)
			found[t] = id
			return err
		}}
	})
}

// Relations returns the relation in use of those pairs that have one. With live it is of those
// pairs whose relation was not removed: of others there is nothing to be read, until a message
// brings the relation back to life.
func Relations(
	ctx context.Context, s sqldb.Session, live bool, pairs []chat.Talk,
) (map[chat.Talk]uint32, error) {
	found := make(map[chat.Talk]uint32, len(pairs))
	return found, sqldb.FetchAll(ctx, s, relationsOf(s, live, pairs, found))
}

// ReviveRelations brings relations of status 1 back to life.
func ReviveRelations(ctx context.Context, s sqldb.Session, ids []uint32, now uint32) error {
	return sqldb.ExecIn(ctx, s, "UPDATE IMRelationShip SET status=0, updated=?"+
		" WHERE COALESCE(status,0)<>0 AND id IN (%s)", ids, now)
}

// MakeSessions makes the sessions of those keys that are not in found, in the order given, and
// returns these keys. It puts them into found with the id 0, as their ids are not known yet.
func MakeSessions(
	ctx context.Context, s sqldb.Session, keys []SessionKey, found map[SessionKey]uint32,
	now uint32,
) (missing []SessionKey, err error) {
	var rows []any
	for _, k := range keys {
		if _, ok := found[k]; !ok {
			found[k] = 0
			missing = append(missing, k)
			rows = append(rows, k.User, k.Peer, uint32(k.Kind), 0, now, now)
		}
	}
	return missing, sqldb.Insert(ctx, s, "IMRecentSession", SessionColumns, rows, "")
}

// SessionColumns are those of a new session: user, peer, kind, status, created, updated.
const SessionColumns = "userId,peerId,type,status,created,updated"

// Sessions fetches the session in use for those keys that have one: of several, one of status 0
// before others, then the greatest id.
func Sessions(d sqldb.Dialect, keys []SessionKey, found map[SessionKey]uint32) []sqldb.Fetch {
	return sqldb.Fetches(d, keys, func(keys []SessionKey) sqldb.Fetch {
		params := sqldb.ArgsOf(keys,
			func(k SessionKey) []any { return []any{k.User, k.Peer, uint32(k.Kind)} })
		query := d.Lookup("id,userId,peerId,type", "IMRecentSession",
			[]string{"userId", "peerId", "type"}, len(keys)) +
			" ORDER BY CASE WHEN COALESCE(status,0)=0 THEN 1 ELSE 0 END, id" // the last row wins
		return sqldb.Fetch{Text: query, Args: params, Row: func(scan sqldb.Scanner) error {
			var k SessionKey
			var id uint32
			err := scan(&id, &k.User, &k.Peer, &k.Kind)
			found[k] = id
			return err
		}}
	})
}

// ReviveSessions puts sessions into their users' lists and on top of them.
func ReviveSessions(ctx context.Context, s sqldb.Session, ids []uint32, now uint32) error {
	return sqldb.ExecIn(ctx, s, "UPDATE IMRecentSession SET status=0, updated=?"+
		" WHERE (COALESCE(status,0)<>0 OR updated<>?) AND id IN (%s)", ids, now, now)
}
