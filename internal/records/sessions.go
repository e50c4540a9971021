package records

import (
	"cmp"
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Recent implements chat.Sessions.
func (s *Store) Recent(
	ctx context.Context, asked []chat.SessionsAsked, max int,
) ([][]chat.Session, error) {
	users := make([]uint32, len(asked))
	for i, a := range asked {
		users[i] = a.User
	}
	all, err := readEach(ctx, s, chat.SortedSet(users), replica.AboutUser, reader.findSessions)
	lists := make([][]chat.Session, len(asked))
	for i, a := range asked {
		for _, row := range all[a.User] {
			if row.at > a.Since && len(lists[i]) < max {
				lists[i] = append(lists[i], row.of(a.User))
			}
		}
	}
	return lists, err
}

// sessionRow is a row of IMRecentSession.
type sessionRow struct {
	kind         chat.TalkKind
	peer, at, id uint32
}

// of is the session as that of its user.
func (r sessionRow) of(user uint32) chat.Session {
	return chat.Session{Talk: chat.TalkOf(user, r.kind, r.peer), Updated: r.at}
}

// findSessions returns all that stand in the lists of users, the latest first. Nothing is left to
// the database but to find the rows: no key has them in this order, and to sort them there, or to
// look for others of the same session, takes longer than to read them.
func (r reader) findSessions(
	ctx context.Context, users []uint32,
) (map[uint32][]sessionRow, error) {
	const query = "SELECT userId,peerId,type,updated,id FROM IMRecentSession WHERE userId IN (%s)" +
		" AND COALESCE(status,0)=0 AND type IN (1,2)"
	found := make(map[uint32][]sessionRow, len(users))
	var user uint32
	var row sessionRow
	columns := []any{&user, &row.peer, &row.kind, &row.at, &row.id}
	err := sqldb.QueryIn(ctx, r.Pool, "sessions", query, users, func(scan sqldb.Scanner) error {
		err := scan(columns...)
		found[user] = append(found[user], row)
		return err
	})
	for user, rows := range found {
		found[user] = latestSessions(rows)
	}
	return found, err
}

// latestSessions sorts the sessions of a user, the latest first. Databases of the original server
// may have several rows for one session; the one with the greatest id counts.
func latestSessions(rows []sessionRow) []sessionRow {
	slices.SortFunc(rows, func(a, b sessionRow) int {
		return cmp.Or(cmp.Compare(a.peer, b.peer), cmp.Compare(a.kind, b.kind),
			cmp.Compare(b.id, a.id))
	})
	rows = slices.CompactFunc(rows, func(a, b sessionRow) bool {
		return a.peer == b.peer && a.kind == b.kind
	})
	slices.SortFunc(rows, func(a, b sessionRow) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.id, a.id))
	})
	return rows
}

// Remove implements chat.Sessions.
func (s *Store) Remove(ctx context.Context, user uint32, talk chat.Talk, now uint32) error {
	err := s.changeFollowed(ctx, now, func(tx sqldb.Tx, c *chat.Commit) error {
		t, err := s.Talking(tx).Lock(ctx, talk)
		if err != nil {
			return err
		}
		n, err := sqldb.Exec(ctx, tx, "UPDATE IMRecentSession SET status=1, updated=?"+
			" WHERE userId=? AND peerId=? AND type=? AND COALESCE(status,0)=0",
			now, user, talk.Peer(user), uint32(talk.Kind))
		switch {
		case err != nil:
			return err
		case n == 0:
			return chat.Errorf(chat.NotFound, "user %d has no session of %s", user, talk)
		}
		moved, err := s.clearUnread(ctx, tx, user, talk, t)
		c.Changes = append(c.Changes, moved)
		return err
	})
	return s.wrote(err, replica.AboutUser(user), replica.AboutTalk(talk))
}

// clearUnread notes that user has seen all of a talk whose row, t, is locked. t is nil when the
// talk has none; then the records count nothing of it.
func (s *Store) clearUnread(
	ctx context.Context, tx sqldb.Tx, user uint32, of chat.Talk, t *talk.Row,
) (chat.Change, error) {
	switch {
	case !t.Counted():
		return new(talk.Row).Change(of, []uint32{user}, nil), nil
	case of.Kind == chat.Group:
		return s.readGroup(ctx, tx, of.A, []uint32{user}, t)
	case user == of.A:
		t.ReadA = t.SentB
	default:
		t.ReadB = t.SentA
	}
	err := s.Talking(tx).Bump(ctx, of, t)
	return t.Change(of, []uint32{user}, nil), err
}
