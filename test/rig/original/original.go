// Package original writes as an original server does that runs beside the proxies, for tests of
// both at work on the same database and Redis.
package original

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
)

// Server writes rows and keys as an original server does that runs beside the proxies, and as the
// recordings show them. Each of its methods is what one request leaves.
type Server struct {
	*rig.Fleet
	T *testing.T
}

// New makes one that writes where the proxies of a fleet do.
func New(t *testing.T, f *rig.Fleet) Server { return Server{Fleet: f, T: t} }

// Now is the time as an original stores it, seconds of Unix time.
func (o Server) Now() int64 { return time.Now().Unix() }

// insert inserts a row and returns its id.
func (o Server) insert(query string, args ...any) uint32 {
	o.T.Helper()
	result, err := o.DB.Admin.ExecContext(rig.Within(o.T), query, args...)
	if err != nil {
		o.T.Fatalf("%s: %v", query, err)
	}
	id, err := result.LastInsertId()
	if err != nil {
		o.T.Fatal(err)
	}
	return uint32(id)
}

// next moves a counter of ids on.
func (o Server) next(key string) uint32 {
	o.T.Helper()
	id, err := o.Redis.Exec(o.T, "INCRBY", key, "1").AsInt64()
	if err != nil {
		o.T.Fatal(err)
	}
	return uint32(id)
}

// Relate makes the relation of two users, and both sessions.
func (o Server) Relate(a, b uint32) (relation uint32) {
	o.T.Helper()
	now := o.Now()
	relation = o.insert(
		"INSERT INTO IMRelationShip (smallId,bigId,status,created,updated) VALUES (?,?,0,?,?)",
		min(a, b), max(a, b), now, now)
	o.Redis.Exec(o.T, "SET", fmt.Sprint("msg_id_", relation), "0")
	for _, users := range [][2]uint32{{a, b}, {b, a}} {
		o.insert(
			"INSERT INTO IMRecentSession (userId,peerId,type,status,created,updated) VALUES "+
				"(?,?,1,0,?,?)",
			users[0], users[1], now, now)
	}
	return relation
}

// Send stores a message of a pair and returns its id.
func (o Server) Send(relation, from, to uint32, text string) uint32 {
	o.T.Helper()
	id, now := o.next(fmt.Sprint("msg_id_", relation)), o.Now()
	o.insert(
		fmt.Sprintf(
			"INSERT INTO IMMessage_%d "+
				"(relateId,fromId,toId,msgId,content,type,status,created,updated)"+
				" VALUES (?,?,?,?,?,1,0,?,?)", relation%8), relation, from, to, id, text, now, now)
	o.Exec(o.T,
		"UPDATE IMRecentSession SET updated=? WHERE type=1 AND (userId=? AND peerId=? OR "+
			"userId=? AND peerId=?)",
		now, from, to, to, from)
	o.Redis.Exec(o.T, "HINCRBY", fmt.Sprint("unread_", to), fmt.Sprint(from), "1")
	return id
}

// CreateGroup makes a normal group and returns its id.
func (o Server) CreateGroup(creator uint32, members ...uint32) uint32 {
	o.T.Helper()
	now := o.Now()
	id := o.insert(
		"INSERT INTO IMGroup "+
			"(name,avatar,creator,type,userCnt,status,version,lastChated,updated,created)"+
			" VALUES ('of an original','',?,1,?,0,1,0,?,?)", creator, 2*len(members), now, now)
	o.Redis.Exec(o.T, "SET", fmt.Sprint("group_msg_id_", id), "0")
	for _, user := range members {
		o.join(id, user)
	}
	return id
}

// join makes a user a member of a group.
func (o Server) join(group, user uint32) {
	o.T.Helper()
	now := o.Now()
	back := o.update("UPDATE IMGroupMember SET status=0, updated=? WHERE groupId=? AND userId=?",
		now, group, user)
	if back == 0 {
		o.insert(
			"INSERT INTO IMGroupMember (groupId,userId,status,created,updated) VALUES (?,?,0,?,?)",
			group, user, now, now)
	}
	o.Redis.Exec(o.T, "HSET", fmt.Sprint("group_member_", group), fmt.Sprint(user), fmt.Sprint(now))
}

// Add is join in a group that there is.
func (o Server) Add(group, user uint32) {
	o.T.Helper()
	o.join(group, user)
	o.Read(group, user)
	o.Exec(o.T, "UPDATE IMGroup SET version=version+1 WHERE id=?", group)
}

// Remove takes a user out of a group.
func (o Server) Remove(group, user uint32) {
	o.T.Helper()
	o.Exec(o.T, "UPDATE IMGroupMember SET status=1 WHERE groupId=? AND userId=?", group, user)
	o.Redis.Exec(o.T, "HDEL", fmt.Sprint("group_member_", group), fmt.Sprint(user))
	o.Read(group, user)
	o.Exec(o.T, "UPDATE IMGroup SET version=version+1 WHERE id=?", group)
}

// update changes rows and says how many there are of them.
func (o Server) update(query string, args ...any) int64 {
	o.T.Helper()
	result, err := o.DB.Admin.ExecContext(rig.Within(o.T), query, args...)
	if err != nil {
		o.T.Fatalf("%s: %v", query, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		o.T.Fatal(err)
	}
	return n
}

// SendGroup stores a message of a group and returns its id.
func (o Server) SendGroup(group, from uint32, text string) uint32 {
	o.T.Helper()
	id, now := o.next(fmt.Sprint("group_msg_id_", group)), o.Now()
	o.insert(
		fmt.Sprintf(
			"INSERT INTO IMGroupMessage_%d "+
				"(groupId,userId,msgId,content,type,status,created,updated)"+
				" VALUES (?,?,?,?,17,0,?,?)", group%8), group, from, id, text, now, now)
	o.Exec(o.T, "UPDATE IMGroup SET lastChated=? WHERE id=?", now, group)
	o.Redis.Exec(o.T, "HINCRBY", fmt.Sprintf("%d_im_group_msg", group), "count", "1")
	o.Read(group, from)
	return id
}

// Read notes that a user has seen all there is of a group: it copies the group's count, if there is
// one.
func (o Server) Read(group, user uint32) {
	o.T.Helper()
	if count := o.Redis.Text(o.T, "HGET", fmt.Sprintf("%d_im_group_msg", group),
		"count"); count != "" {
		o.Redis.Exec(o.T, "HSET", fmt.Sprintf("%d_%d_im_user_group", user, group), "count", count)
	}
}

// ReadPair notes that a user has seen all that another sent.
func (o Server) ReadPair(user, peer uint32) {
	o.T.Helper()
	o.Redis.Exec(o.T, "HDEL", fmt.Sprint("unread_", user), fmt.Sprint(peer))
}

// SetToken sets the push token of a user who had none.
func (o Server) SetToken(user uint32, token string) {
	o.T.Helper()
	o.Redis.Exec(o.T, "SET", fmt.Sprint("device_", user), "ios:"+token)
	o.Redis.Exec(o.T, "SET", "device_"+token, fmt.Sprint(user))
}

// RemoveSession takes a session out of a user's list.
func (o Server) RemoveSession(user, peer uint32, kind impb.SessionType) {
	o.T.Helper()
	o.Exec(o.T,
		"UPDATE IMRecentSession SET status=1, updated=? WHERE userId=? AND peerId=? AND type=?",
		o.Now(), user, peer, int(kind))
	if kind == rig.Group {
		o.Read(peer, user)
		return
	}
	o.ReadPair(user, peer)
}

// ReviveSession brings it back, as a message does.
func (o Server) ReviveSession(user, peer uint32, kind impb.SessionType) {
	o.T.Helper()
	o.Exec(o.T,
		"UPDATE IMRecentSession SET status=0, updated=? WHERE userId=? AND peerId=? AND type=?",
		o.Now(), user, peer, int(kind))
}

// Number is a counter in Redis, 0 when there is none.
func (o Server) Number(args ...string) int {
	o.T.Helper()
	text := o.Redis.Text(o.T, args...)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		o.T.Errorf("redis %v: %v", args, err)
	}
	return n
}
