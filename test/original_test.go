package test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// original writes rows and keys as an original server does that runs beside the proxies, and as the recordings show
// them. Each of its methods is what one request leaves.
type original struct {
	*fleet
	t *testing.T
}

func (o original) now() int64 { return time.Now().Unix() }

// insert inserts a row and returns its id.
func (o original) insert(query string, args ...any) uint32 {
	o.t.Helper()
	result, err := o.db.Admin.ExecContext(within(o.t), query, args...)
	if err != nil {
		o.t.Fatalf("%s: %v", query, err)
	}
	id, err := result.LastInsertId()
	if err != nil {
		o.t.Fatal(err)
	}
	return uint32(id)
}

// next moves a counter of ids on.
func (o original) next(key string) uint32 {
	o.t.Helper()
	id, err := o.redis.do(o.t, "INCRBY", key, "1").AsInt64()
	if err != nil {
		o.t.Fatal(err)
	}
	return uint32(id)
}

// relate makes the relation of two users, and both sessions.
func (o original) relate(a, b uint32) (relation uint32) {
	o.t.Helper()
	now := o.now()
	relation = o.insert("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated) VALUES (?,?,0,?,?)",
		min(a, b), max(a, b), now, now)
	o.redis.do(o.t, "SET", fmt.Sprint("msg_id_", relation), "0")
	for _, users := range [][2]uint32{{a, b}, {b, a}} {
		o.insert("INSERT INTO IMRecentSession (userId,peerId,type,status,created,updated) VALUES (?,?,1,0,?,?)",
			users[0], users[1], now, now)
	}
	return relation
}

// send stores a message of a pair and returns its id.
func (o original) send(relation, from, to uint32, text string) uint32 {
	o.t.Helper()
	id, now := o.next(fmt.Sprint("msg_id_", relation)), o.now()
	o.insert(fmt.Sprintf("INSERT INTO IMMessage_%d (relateId,fromId,toId,msgId,content,type,status,created,updated)"+
		" VALUES (?,?,?,?,?,1,0,?,?)", relation%8), relation, from, to, id, text, now, now)
	o.exec(o.t, "UPDATE IMRecentSession SET updated=? WHERE type=1 AND (userId=? AND peerId=? OR userId=? AND peerId=?)",
		now, from, to, to, from)
	o.redis.do(o.t, "HINCRBY", fmt.Sprint("unread_", to), fmt.Sprint(from), "1")
	return id
}

// createGroup makes a normal group and returns its id.
func (o original) createGroup(creator uint32, members ...uint32) uint32 {
	o.t.Helper()
	now := o.now()
	id := o.insert("INSERT INTO IMGroup (name,avatar,creator,type,userCnt,status,version,lastChated,updated,created)"+
		" VALUES ('of an original','',?,1,?,0,1,0,?,?)", creator, 2*len(members), now, now)
	o.redis.do(o.t, "SET", fmt.Sprint("group_msg_id_", id), "0")
	for _, user := range members {
		o.join(id, user)
	}
	return id
}

// join makes a user a member of a group.
func (o original) join(group, user uint32) {
	o.t.Helper()
	now := o.now()
	back := o.update("UPDATE IMGroupMember SET status=0, updated=? WHERE groupId=? AND userId=?", now, group, user)
	if back == 0 {
		o.insert("INSERT INTO IMGroupMember (groupId,userId,status,created,updated) VALUES (?,?,0,?,?)",
			group, user, now, now)
	}
	o.redis.do(o.t, "HSET", fmt.Sprint("group_member_", group), fmt.Sprint(user), fmt.Sprint(now))
}

// add is join in a group that there is.
func (o original) add(group, user uint32) {
	o.t.Helper()
	o.join(group, user)
	o.read(group, user)
	o.exec(o.t, "UPDATE IMGroup SET version=version+1 WHERE id=?", group)
}

// remove takes a user out of a group.
func (o original) remove(group, user uint32) {
	o.t.Helper()
	o.exec(o.t, "UPDATE IMGroupMember SET status=1 WHERE groupId=? AND userId=?", group, user)
	o.redis.do(o.t, "HDEL", fmt.Sprint("group_member_", group), fmt.Sprint(user))
	o.read(group, user)
	o.exec(o.t, "UPDATE IMGroup SET version=version+1 WHERE id=?", group)
}

// update changes rows and says how many there are of them.
func (o original) update(query string, args ...any) int64 {
	o.t.Helper()
	result, err := o.db.Admin.ExecContext(within(o.t), query, args...)
	if err != nil {
		o.t.Fatalf("%s: %v", query, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		o.t.Fatal(err)
	}
	return n
}

// sendGroup stores a message of a group and returns its id.
func (o original) sendGroup(group, from uint32, text string) uint32 {
	o.t.Helper()
	id, now := o.next(fmt.Sprint("group_msg_id_", group)), o.now()
	o.insert(fmt.Sprintf("INSERT INTO IMGroupMessage_%d (groupId,userId,msgId,content,type,status,created,updated)"+
		" VALUES (?,?,?,?,17,0,?,?)", group%8), group, from, id, text, now, now)
	o.exec(o.t, "UPDATE IMGroup SET lastChated=? WHERE id=?", now, group)
	o.redis.do(o.t, "HINCRBY", fmt.Sprintf("%d_im_group_msg", group), "count", "1")
	o.read(group, from)
	return id
}

// read notes that a user has seen all there is of a group: it copies the group's count, if there is one.
func (o original) read(group, user uint32) {
	o.t.Helper()
	if count := o.redis.text(o.t, "HGET", fmt.Sprintf("%d_im_group_msg", group), "count"); count != "" {
		o.redis.do(o.t, "HSET", fmt.Sprintf("%d_%d_im_user_group", user, group), "count", count)
	}
}

// readPair notes that a user has seen all that another sent.
func (o original) readPair(user, peer uint32) {
	o.t.Helper()
	o.redis.do(o.t, "HDEL", fmt.Sprint("unread_", user), fmt.Sprint(peer))
}

// setToken sets the push token of a user who had none.
func (o original) setToken(user uint32, token string) {
	o.t.Helper()
	o.redis.do(o.t, "SET", fmt.Sprint("device_", user), "ios:"+token)
	o.redis.do(o.t, "SET", "device_"+token, fmt.Sprint(user))
}

// removeSession takes a session out of a user's list.
func (o original) removeSession(user, peer uint32, kind impb.SessionType) {
	o.t.Helper()
	o.exec(o.t, "UPDATE IMRecentSession SET status=1, updated=? WHERE userId=? AND peerId=? AND type=?",
		o.now(), user, peer, int(kind))
	if kind == group {
		o.read(peer, user)
		return
	}
	o.readPair(user, peer)
}

// reviveSession brings it back, as a message does.
func (o original) reviveSession(user, peer uint32, kind impb.SessionType) {
	o.t.Helper()
	o.exec(o.t, "UPDATE IMRecentSession SET status=0, updated=? WHERE userId=? AND peerId=? AND type=?",
		o.now(), user, peer, int(kind))
}

// number is a counter in Redis, 0 when there is none.
func (o original) number(args ...string) int {
	o.t.Helper()
	text := o.redis.text(o.t, args...)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		o.t.Errorf("redis %v: %v", args, err)
	}
	return n
}
