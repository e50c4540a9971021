package chat_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// refuseRows makes the database refuse messages with that content. A transaction that fails may
// leave a gap in the ids of relations, and so their messages may go to any table.
func (w *world) refuseRows(content string) {
	w.Helper()
	for i := range 8 {
		w.raw.Run(w.engine.refuseRow(fmt.Sprint("IMMessage_", i), content))
		w.raw.Run(w.engine.refuseRow(fmt.Sprint("IMGroupMessage_", i), content))
	}
}

// allTables are the tables whose rows the rules decide about.
func allTables() []string {
	tables := []string{"IMUser", "IMDepart", "IMRelationShip", "IMRecentSession", "IMGroup",
		"IMGroupMember", "IMAudio",
		"IMTransmitFile", "IMProxyTalk", "IMProxyLevel", "IMProxyMute", "IMProxyDevice",
		"IMProxyToken"}
	for i := range 8 {
		tables = append(tables, fmt.Sprintf("IMMessage_%d", i), fmt.Sprintf("IMGroupMessage_%d", i))
	}
	return tables
}

// snapshot is everything that is stored.
func (w *world) snapshot() map[string][]string {
	w.Helper()
	all := make(map[string][]string)
	for _, table := range allTables() {
		rows := w.raw.Rows("SELECT * FROM " + table)
		slices.Sort(rows)
		if len(rows) > 0 {
			all[table] = rows
		}
	}
	return all
}

// leavesNoTrace checks that f changes nothing that is stored.
func (w *world) leavesNoTrace(f func()) {
	w.Helper()
	before := w.snapshot()
	f()
	wantSame(w, "what is stored", w.snapshot(), before)
}

// insert puts a row into a table: its columns, then their values.
func (w *world) insert(table string, row map[string]any) {
	w.Helper()
	columns := slices.Sorted(maps.Keys(row))
	var values []any
	for _, c := range columns {
		values = append(values, row[c])
	}
	w.raw.Run(fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", table, strings.Join(columns, ","),
		strings.Repeat(",?", len(columns)-1)), values...)
}

// The rows of old databases. A status is a number or nil.

func (w *world) oldRelation(id, small, big int, status any, updated int) {
	w.Helper()
	w.insert("IMRelationShip",
		map[string]any{"id": id, "smallId": small, "bigId": big, "status": status, "created": 1,
			"updated": updated})
}

func (w *world) oldSession(id, user, peer int, kind, status any, updated int) {
	w.Helper()
	w.insert("IMRecentSession",
		map[string]any{"id": id, "userId": user, "peerId": peer, "type": kind, "status": status,
			"created": 1, "updated": updated})
}

// oldMessage is a text that from sent to the other of its pair.
type oldMessage struct {
	relation, from, to int
	id                 int64
	created            int
	status             int
	content            any // nil: NULL
}

func (w *world) oldMessage(m oldMessage) {
	w.Helper()
	w.insert(fmt.Sprintf("IMMessage_%d", m.relation%8),
		map[string]any{"relateId": m.relation, "fromId": m.from, "toId": m.to, "msgId": m.id,
			"content": m.content, "type": 1, "status": m.status, "created": m.created,
			"updated": m.created})
}

// oldGroup is a group that an original server made, with its members, who joined at a time.
func (w *world) oldGroup(id, updated, joined int, members ...int) {
	w.Helper()
	w.insert("IMGroup", map[string]any{"id": id, "name": fmt.Sprint("group ", id), "avatar": "",
		"creator": 1, "type": 1,
		"userCnt": len(members), "status": 0, "version": 1, "lastChated": 0, "updated": updated,
		"created": updated})
	for _, user := range members {
		w.insert("IMGroupMember", map[string]any{"groupId": id, "userId": user, "status": 0,
			"created": joined, "updated": joined})
	}
}

func (w *world) oldGroupMessage(group, from int, id int64, created, status int, content string) {
	w.Helper()
	w.insert(fmt.Sprintf("IMGroupMessage_%d", group%8),
		map[string]any{"groupId": group, "userId": from, "msgId": id,
			"content": content, "type": 0x11, "status": status,
			"created": created, "updated": created})
}

// user adds a person; what row says goes before what everybody has.
func (w *world) user(id int, row map[string]any) {
	w.Helper()
	all := map[string]any{"id": id, "sex": 1, "name": fmt.Sprint("user", id), "domain": "",
		"nick": "", "password": "", "salt": "",
		"phone": "", "email": "", "avatar": "", "departId": 0, "status": 0, "created": 1,
		"updated": 1, "push_shield_status": 0, "sign_info": ""}
	maps.Copy(all, row)
	w.insert("IMUser", all)
}
