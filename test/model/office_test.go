package model_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// The back office writes users and departments beside the proxies, and originals wrote before them.

var (
	names     = []string{"ann", "bob", "ann ", "Bob"}
	passwords = []string{"8d6c391e7cb39133d91b73281a24f21f", "c4ca4238a0b923820dcc509a6f75849b"}
)

// hire writes a user, in place of the one with the same id.
func (d draw) hire(office *sql.DB) {
	id := one(d, "id", people[:5]...)
	status := one[uint32](d, "status", 0, 0, 0, 1, 2, 3, 4)
	u := &user{
		password: one(d, "password", passwords...), salt: one(d, "salt", "1234", "7"),
		updated: d.m.now,
		shield:  one[uint32](d, "shield", 0, 1),
		info: &impb.UserInfo{
			UserId: &id, UserGender: new(one[uint32](d, "sex", 1, 0)),
			UserNickName: new(one(d, "nick", "", "安")),
			AvatarUrl:    new(one(d, "avatar", "", "http://x/y.png")),
			DepartmentId: new(one[uint32](d, "department", 1, 4)), Email: new("a@b.c"),
			UserRealName: new(one(d, "name", names...)), UserTel: new("123"), UserDomain: new("d"),
			Status: &status, SignInfo: new(""),
		},
	}
	avatar, state := any(u.info.GetAvatarUrl()), any(status)
	if avatar == "" { // stands for NULL, and so does status 0
		avatar = nil
	}
	if status == 0 && one(d, "null", false, true) {
		state = nil
	}
	d.m.users[id] = u
	d.exec(office, "DELETE FROM IMUser WHERE id=?", id)
	d.exec(office,
		"INSERT INTO IMUser "+
			"(id,sex,name,domain,nick,password,salt,phone,email,avatar,departId,status,"+
			"created,updated,push_shield_status,sign_info) "+
			"VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		id, u.info.GetUserGender(), u.info.GetUserRealName(), "d", u.info.GetUserNickName(),
		u.stored(), u.salt, "123", "a@b.c", avatar,
		u.info.GetDepartmentId(), state, 1, u.updated, u.shield, "")
}

// found writes a department, in place of the one with the same id.
func (d draw) found(office *sql.DB) {
	id, status := one[uint32](d, "id", 1, 2, 10), one[uint32](d, "status", 0, 1, 2)
	dep := department{
		info: &impb.DepartInfo{
			DeptId: &id, Priority: new(uint32(5)), DeptName: new(one(d, "name", "部", "it's")),
			ParentDeptId: new(uint32(1)),
			DeptStatus:   impb.DepartmentStatusType(status).Enum(),
		},
		updated: d.m.now,
	}
	d.m.departments[id] = dep
	d.exec(office, "DELETE FROM IMDepart WHERE id=?", id)
	d.exec(office,
		"INSERT INTO IMDepart (id,departName,priority,parentId,status,created,updated) VALUES "+
			"(?,?,5,1,?,1,?)",
		id, dep.info.GetDeptName(), status, dep.updated)
}

// remove takes a message out of its talk, if there is any talk.
func (d draw) remove(office *sql.DB) {
	if len(d.m.said) == 0 {
		return
	}
	talks := slices.SortedFunc(maps.Keys(d.m.said), func(x, y talk) int {
		return cmp.Or(cmp.Compare(x.kind, y.kind), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	at := one(d, "talk", talks...)
	id := rapid.IntRange(1, len(d.m.said[at])).Draw(d.T, "id")
	d.m.said[at][id-1].removed = true
	table, key, of := "IMGroupMessage", "groupId", at.a
	if at.kind == inPair {
		table, key = "IMMessage", "relateId"
		if err := office.QueryRow("SELECT id FROM IMRelationShip WHERE smallId=? AND bigId=?", at.a,
			at.b).Scan(&of); err != nil {
			d.Fatal(err)
		}
	}
	d.Logf("the office removes message %d of %v", id, at)
	d.exec(office, fmt.Sprintf("UPDATE %s_%d SET status=1 WHERE %s=? AND msgId=?", table, of%8,
		key), of, id)
}

func (d draw) exec(office *sql.DB, query string, args ...any) {
	d.Helper()
	if _, err := office.Exec(query, args...); err != nil {
		d.Fatalf("%s: %v", query, err)
	}
}

// The first user has talked to many, long ago: more than a list of recent sessions takes. The
// others have no sessions.
const oldPeers = 103

func oldPeer(i int) uint32 { return uint32(100 + i) }
func oldTime(i int) uint32 { return uint32(1400000000 + i) }

// remember fills in what an original server has left.
func (d draw) remember(office *sql.DB) {
	me := people[0]
	var relations, sessions []string
	messages := make([][]string, 8)
	for i := range oldPeers {
		peer, at, id := oldPeer(i), oldTime(i), i+1
		relations = append(relations, fmt.Sprintf("(%d,%d,%d,0,%d,%[4]d)", id, me, peer, at))
		sessions = append(sessions, fmt.Sprintf("(%d,%d,%d,1,0,%d,%[4]d)", 2*id, me, peer, at))
		messages[id%8] = append(messages[id%8], fmt.Sprintf("(%d,%d,%d,1,'old %d',1,0,%d,%[5]d)",
			id, peer, me, i, at))
		talk := talkOf(me, inPair, peer)
		d.m.said[talk] = []said{{peer, at, impb.MsgType_MSG_TYPE_SINGLE_TEXT,
			fmt.Appendf(nil, "old %d", i), false}}
		d.m.sessions[userTalk{me, talk}] = &session{live: true, updated: at, row: d.m.newRow()}
	}
	d.exec(office, "INSERT INTO IMRelationShip (id,smallId,bigId,status,created,updated) VALUES "+
		strings.Join(relations, ","))
	d.exec(office,
		"INSERT INTO IMRecentSession (id,userId,peerId,type,status,created,updated) VALUES "+
			strings.Join(sessions, ","))
	for table, rows := range messages {
		d.exec(office,
			fmt.Sprintf(
				"INSERT INTO IMMessage_%d "+
					"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES ",
				table)+
				strings.Join(rows, ","))
	}
}

// fill fills an empty store.
func (d draw) fill(office *sql.DB) {
	for range rapid.IntRange(0, 6).Draw(d.T, "users") {
		d.hire(office)
	}
	for range rapid.IntRange(0, 3).Draw(d.T, "departments") {
		d.found(office)
	}
	if d.rarely(4) {
		d.remember(office)
	}
}
