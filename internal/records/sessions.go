package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Recent implements chat.Sessions. Databases of the original server may have several rows for one
// session; the one with the greatest id counts.
func (s *Store) Recent(
	ctx context.Context, user, since uint32, max int,
) ([]chat.Session, error) {
	const query = `SELECT s.peerId,s.type,s.updated FROM IMRecentSession s
 WHERE s.userId=? AND COALESCE(s.status,0)=0 AND s.updated>? AND s.type IN (1,2) AND NOT EXISTS (SELECT 1 FROM IMRecentSession d
  WHERE d.userId=s.userId AND d.peerId=s.peerId AND d.type=s.type AND COALESCE(d.status,0)=0 AND d.id>s.id)
 ORDER BY s.updated DESC, s.id DESC LIMIT ?`
	return read(ctx, s, func(ctx context.Context, r reader) (sessions []chat.Session, err error) {
		params := []any{user, since, max}
		err = r.Query(ctx, "sessions", query, params, func(scan sqldb.Scanner) error {
			var peer uint32
			var kind chat.TalkKind
			var se chat.Session
			err := scan(&peer, &kind, &se.Updated)
			se.Talk = chat.TalkOf(user, kind, peer)
			sessions = append(sessions, se)
			return err
		})
		return sessions, err
	}, replica.AboutUser(user))
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
