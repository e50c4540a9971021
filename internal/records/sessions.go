package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Recent implements chat.Sessions. Databases of the original server may have several rows for one session; the one with
// the greatest id counts.
func (s *Store) Recent(ctx context.Context, user, since uint32, max int) (sessions []chat.Session, err error) {
	err = s.query(ctx, "sessions", `SELECT s.peerId,s.type,s.updated FROM IMRecentSession s
 WHERE s.userId=? AND COALESCE(s.status,0)=0 AND s.updated>? AND s.type IN (1,2) AND NOT EXISTS (SELECT 1 FROM IMRecentSession d
  WHERE d.userId=s.userId AND d.peerId=s.peerId AND d.type=s.type AND COALESCE(d.status,0)=0 AND d.id>s.id)
 ORDER BY s.updated DESC, s.id DESC LIMIT ?`, []any{user, since, max}, func(scan scanner) error {
		var peer uint32
		var kind chat.TalkKind
		var se chat.Session
		err := scan(&peer, &kind, &se.Updated)
		se.Talk = chat.TalkOf(user, kind, peer)
		sessions = append(sessions, se)
		return err
	})
	return sessions, err
}

// Remove implements chat.Sessions.
func (s *Store) Remove(ctx context.Context, user uint32, talk chat.Talk, now uint32) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		talks, err := lockTalks(ctx, tx, s.dialect, []chat.Talk{talk})
		if err != nil {
			return err
		}
		n, err := exec(ctx, tx, "UPDATE IMRecentSession SET status=1, updated=? WHERE userId=? AND peerId=? AND type=? AND COALESCE(status,0)=0",
			now, user, talk.Peer(user), uint32(talk.Kind))
		switch {
		case err != nil:
			return err
		case n == 0:
			return chat.Errorf(chat.NotFound, "user %d has no session of %s", user, talk)
		case talks[talk] == nil:
			return nil // nothing was ever counted
		}
		return s.clearUnread(ctx, tx, user, talk, talks[talk])
	})
}

// clearUnread notes that user has seen all of a talk whose row is locked.
func (s *Store) clearUnread(ctx context.Context, tx *sql.Tx, user uint32, talk chat.Talk, t *talkRow) error {
	if talk.Kind == chat.Group {
		return saveLevels(ctx, tx, s.dialect, []any{user, talk.A, t.sentA})
	}
	set := "readA=sentB"
	if user == talk.B {
		set = "readB=sentA"
	}
	_, err := exec(ctx, tx, "UPDATE IMProxyTalk SET "+set+" WHERE kind=1 AND a=? AND b=?", talk.A, talk.B)
	return err
}
