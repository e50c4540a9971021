package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// ChangedGroups returns the groups in use with talk at or after since (Unix seconds), ascending by id.
//
// IMGroup has no index of lastChated, so all of it is read: of 100,000 groups that takes 25 ms (MariaDB 10.11), and one
// proxy does it every few seconds. With an index it would take nothing, but each message to a group would move an entry.
func (s *Store) ChangedGroups(ctx context.Context, since uint32) (groups []chat.GroupNews, err error) {
	err = s.db.Query(ctx, "groups with news", "SELECT id,lastChated,version FROM IMGroup WHERE status=0 AND lastChated>=? AND lastChated>0 ORDER BY id",
		[]any{since}, func(scan sqldb.Scanner) error {
			var g chat.GroupNews
			err := scan(&g.Group, &g.At, &g.Version)
			groups = append(groups, g)
			return err
		})
	return groups, err
}

// Members returns the members of a group, in any order.
func (s *Store) Members(ctx context.Context, group uint32) (users []uint32, err error) {
	err = s.db.Query(ctx, "members", "SELECT DISTINCT userId FROM IMGroupMember WHERE groupId=? AND status=0", []any{group}, func(scan sqldb.Scanner) error {
		var user uint32
		err := scan(&user)
		users = append(users, user)
		return err
	})
	return users, err
}

// Behind returns, in any order, those members of a group for whom SyncSessions has something to do.
func (s *Store) Behind(ctx context.Context, group, at uint32) (users []uint32, err error) {
	sessions := make(map[uint32]memberSession)
	err = s.db.Query(ctx, "sessions of members", memberSessions, []any{at, group}, addMemberSession(sessions))
	for user, se := range sessions {
		if se.missing() || se.moves() {
			users = append(users, user)
		}
	}
	return users, err
}

// SyncSessions brings the sessions of some members of a group up to at (Unix seconds): those in the list move to it,
// who has none gets one, and one that was removed stays removed. New ones are made in the order of users. Those who are
// no members any more are left alone.
//
// It holds the talk's lock, as everybody does who makes sessions of a group or changes its members. So what is found
// here stays true until the commit, and many may do this at the same time: each sees what the one before has made.
func (s *Store) SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error {
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		if _, err := s.Talking(tx).LockOne(ctx, chat.GroupTalk(group), at); err != nil {
			return err
		}
		sessions := make(map[uint32]memberSession, len(users))
		err := sqldb.Chunked(users, func(users []uint32) error {
			query := memberSessions + " AND m.userId IN (" + sqldb.Params(len(users)) + ")"
			return sqldb.Each(ctx, tx, query, append([]any{at, group}, sqldb.Args(users)...), addMemberSession(sessions))
		})
		if err != nil {
			return err
		}
		var fresh []any
		var ids []uint32
		for _, user := range users {
			switch se, in := sessions[user]; {
			case in && se.missing():
				fresh = append(fresh, user, group, uint32(chat.Group), 0, at, at)
			case in && se.moves():
				ids = append(ids, se.id)
			}
			delete(sessions, user) // once is enough
		}
		if err := sqldb.Insert(ctx, tx.Session, "IMRecentSession", talk.SessionColumns, fresh, ""); err != nil {
			return err
		}
		return sqldb.Chunked(ids, func(ids []uint32) error { // original servers beside us hold no lock
			_, err := sqldb.Exec(ctx, tx, "UPDATE IMRecentSession SET updated=? WHERE COALESCE(status,0)=0 AND updated<? AND id IN ("+sqldb.Params(len(ids))+")",
				append([]any{at, at}, sqldb.Args(ids)...)...)
			return err
		})
	})
	return s.wrote(err, replica.AboutEach(users, replica.AboutUser)...)
}

// memberSession is a member's session with the group: of several the one in use.
type memberSession struct {
	id    uint32 // 0: there is none
	live  bool   // in the member's list
	older bool   // than the talk
}

func (m memberSession) missing() bool { return m.id == 0 }
func (m memberSession) moves() bool   { return m.live && m.older }

// memberSessions asks for a time and a group.
const memberSessions = `SELECT m.userId,COALESCE(s.id,0),CASE WHEN COALESCE(s.status,0)=0 THEN 1 ELSE 0 END,CASE WHEN s.updated<? THEN 1 ELSE 0 END
 FROM IMGroupMember m LEFT JOIN IMRecentSession s ON s.userId=m.userId AND s.peerId=m.groupId AND s.type=2
 WHERE m.groupId=? AND m.status=0`

// addMemberSession puts what memberSessions finds into sessions: of several of one user the one of status 0, then the one
// of the greatest id, as sessionsOf does.
func addMemberSession(sessions map[uint32]memberSession) func(sqldb.Scanner) error {
	return func(scan sqldb.Scanner) error {
		var user uint32
		var se memberSession
		if err := scan(&user, &se.id, &se.live, &se.older); err != nil {
			return err
		}
		known, there := sessions[user]
		if !there || se.live && !known.live || se.live == known.live && se.id > known.id {
			sessions[user] = se
		}
		return nil
	}
}
