package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// ChangedGroups returns the groups in use with talk at or after since (Unix seconds), ascending by
// id.
//
// IMGroup has no index of lastChated, so all of it is read: of 100,000 groups that takes 25 ms
// (MariaDB 10.11), and one proxy does it every few seconds. With an index it would take nothing,
// but each message to a group would move an entry.
func (s *Store) ChangedGroups(
	ctx context.Context, since uint32,
) (groups []chat.GroupNews, err error) {
	const query = "SELECT id,lastChated,version FROM IMGroup" +
		" WHERE status=0 AND lastChated>=? AND lastChated>0 ORDER BY id"
	err = s.db.Query(ctx, "groups with news", query, []any{since}, sqldb.Onto(&groups,
		func(g *chat.GroupNews) []any { return []any{&g.Group, &g.At, &g.Version} }))
	return groups, err
}

// Members returns the members of a group, in any order.
func (s *Store) Members(ctx context.Context, group uint32) (users []uint32, err error) {
	const query = "SELECT DISTINCT userId FROM IMGroupMember WHERE groupId=? AND status=0"
	err = s.db.Query(ctx, "members", query, []any{group}, sqldb.Onto(&users,
		func(user *uint32) []any { return []any{user} }))
	return users, err
}

// Behind returns, in any order, those members of a group for whom SyncSessions has something to do.
// at is the time of the group's last talk, in Unix seconds.
func (s *Store) Behind(ctx context.Context, group, at uint32) (users []uint32, err error) {
	sessions := make(map[uint32]memberSession)
	err = s.db.Query(ctx, "sessions of members", memberSessions, []any{at, group},
		addMemberSession(sessions))
	for user, se := range sessions {
		if se.missing() || se.moves() {
			users = append(users, user)
		}
	}
	return users, err
}

// SyncSessions brings the sessions of some members of a group up to at (Unix seconds): a session in
// the member's list moves to that time, a member who has none gets one, and one that was removed
// stays removed. New ones are made in the order of users. Users who are no members any more are
// left alone.
//
// It holds the talk's lock, as everybody does who makes sessions of a group or changes its members.
// So what it finds stays true until the commit, and many may do this at the same time: each sees
// what the one before has made.
func (s *Store) SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error {
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		if _, err := s.Talking(tx).LockOne(ctx, chat.GroupTalk(group), at); err != nil {
			return err
		}
		sessions := make(map[uint32]memberSession, len(users))
		err := sqldb.Chunked(users, func(users []uint32) error {
			query := memberSessions + " AND m.userId IN (" + sqldb.Params(len(users)) + ")"
			params := append([]any{at, group}, sqldb.Args(users)...)
			return sqldb.Each(ctx, tx, query, params, addMemberSession(sessions))
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
		err = sqldb.Insert(ctx, tx.Session, "IMRecentSession", talk.SessionColumns, fresh, "")
		if err != nil {
			return err
		}
		// The conditions hold still, unless an original server has changed the rows: it holds no
		// lock.
		return sqldb.ExecIn(ctx, tx.Session, "UPDATE IMRecentSession SET updated=?"+
			" WHERE COALESCE(status,0)=0 AND updated<? AND id IN (%s)", ids, at, at)
	})
	return s.wrote(err, replica.AboutEach(users, replica.AboutUser)...)
}

// memberSession is a member's session with the group; of several it is the one in use.
type memberSession struct {
	id    uint32 // 0: there is none
	live  bool   // it is in the member's list
	older bool   // it was last moved before the group's last talk
}

func (m memberSession) missing() bool { return m.id == 0 }
func (m memberSession) moves() bool   { return m.live && m.older }

// memberSessions has two parameters: a time, in Unix seconds, and a group.
const memberSessions = `SELECT m.userId,COALESCE(s.id,0),CASE WHEN COALESCE(s.status,0)=0 THEN 1 ELSE 0 END,CASE WHEN s.updated<? THEN 1 ELSE 0 END
 FROM IMGroupMember m LEFT JOIN IMRecentSession s ON s.userId=m.userId AND s.peerId=m.groupId AND s.type=2
 WHERE m.groupId=? AND m.status=0`

// addMemberSession returns a function that puts what memberSessions finds into sessions. Of several
// of one user the one of status 0 stays, then the one of the greatest id, as in talk.Sessions.
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
