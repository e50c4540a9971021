package input

import (
	"crypto/md5"
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
)

// TestOddRowsHideNoOthers has tables whose columns take everything, as those of forks may, and rows
// with everything in every column: NULL, numbers below and above the protocol's fields, bytes that
// are no UTF-8, other types. Each answer can be read by a peer in C++, and has what is good.
func TestOddRowsHideNoOthers(t *testing.T) {
	t.Parallel()
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		o := odd{T: t, Setup: w, db: w.DB}
		if w.Fleet == nil {
			o.openSQLite()
			o.loosenSQLite()
		}
		w.Start(t)
		c := w.Dial(t, 0)
		rig.Submit(t, c, rig.PairText(2, 1, "good"))
		g := rig.Call[*impb.IMGroupCreateRsp](t, c, rig.NewGroup(1, 1, 2, 3)).GetGroupId()
		rig.Submit(t, c, rig.GroupText(2, g, "good"))
		if w.Fleet != nil {
			o.loosenMySQL() // now, as a start checks the columns
		}
		o.put(g)
		for _, q := range oddQuestions(g) {
			answer, err := c.Call(rig.Within(t), q.req)
			if err != nil {
				t.Errorf("%T: %v", q.req, err)
				continue
			}
			o.readable(answer.ProtoReflect())
			if !q.good(answer) {
				t.Errorf("%T lacks what is good: %.3000v", answer, answer)
			}
		}
		for command, want := range map[string]string{"user list": "alice",
			"user list --json": "alice",
			"department list":  "Engineering", "group list": "group",
			"group show " + fmt.Sprint(g): "group",
			"tail --once":                 "#50"} {
			if out := administer(t, w, "", strings.Fields(command)...); !strings.Contains(out,
				want) {
				t.Errorf("%s lacks %q:\n%.2000s", command, want, out)
			}
		}
		out, err := command(t, w, "", "doctor") // which ends with 2, as there is much that is wrong
		if !strings.Contains(out, "messages of a type that is not told to peers") {
			t.Errorf("the doctor says %.2000s, %v", out, err)
		}
		for want, m := range []*impb.IMMsgData{rig.PairText(2, 1, "after"),
			rig.GroupText(2, g, "after")} {
			if id := rig.Submit(t, c, m).GetMsgId(); id == 0 {
				t.Errorf("message %d is not stored", want)
			}
		}
	})
}

// odd is a setup whose tables have odd rows.
type odd struct {
	*testing.T
	*rig.Setup
	db *sql.DB
}

func (o odd) exec(query string, args ...any) sql.Result {
	o.Helper()
	result, err := o.db.ExecContext(rig.Within(o.T), query, args...)
	if err != nil {
		o.Fatalf("%s: %v", query, err)
	}
	return result
}

// openSQLite opens the embedded store for writing.
func (o *odd) openSQLite() {
	o.Helper()
	file := filepath.Join(o.Data, "dbproxy.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		o.Fatal(err)
	}
	db.SetMaxOpenConns(1) // which a PRAGMA is said to
	o.Cleanup(func() { db.Close() })
	o.db = db
}

// loosenSQLite lets all columns be NULL; they take everything else as it is.
func (o *odd) loosenSQLite() {
	o.Helper()
	o.exec("PRAGMA writable_schema=ON")
	o.exec(
		"UPDATE sqlite_schema SET sql=replace(sql,' NOT NULL','') WHERE name NOT LIKE 'IMProxy%'")
	o.exec("PRAGMA writable_schema=RESET")
}

// loosenMySQL has columns of signed numbers, and of bytes, all of which may be NULL.
func (o odd) loosenMySQL() {
	o.Helper()
	rows, err := o.db.QueryContext(rig.Within(o.T), `SELECT TABLE_NAME,COLUMN_NAME,
 COALESCE(CHARACTER_OCTET_LENGTH,0) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=DATABASE()
 AND TABLE_NAME NOT LIKE 'IMProxy%' AND EXTRA NOT LIKE '%auto_increment%'`)
	if err != nil {
		o.Fatal(err)
	}
	defer rows.Close()
	changes := make(map[string][]string) // by table
	for rows.Next() {
		var table, column, typ string
		var bytes int
		if err := rows.Scan(&table, &column, &bytes); err != nil {
			o.Fatal(err)
		}
		if typ = "bigint"; bytes > 0 {
			typ = fmt.Sprintf("varbinary(%d)", bytes)
		}
		changes[table] = append(changes[table], fmt.Sprintf("MODIFY %s %s NULL", column, typ))
	}
	if err := rows.Err(); err != nil {
		o.Fatal(err)
	}
	for table, of := range changes {
		o.exec("ALTER TABLE " + table + " " + strings.Join(of, ","))
	}
}

// oddNumbers and oddTexts stand, one after the other, in each column of a row.
var (
	oddNumbers = []any{nil, -1, -9e18, int64(1) << 40, 77}
	oddTexts   = []any{nil, "\xff\xfe", "", "\xe4\xb8"}
)

// each inserts row, once for each odd value of each of its columns; SQLite takes some more. Each
// time it then calls put with the row's id, unless that is nil.
func (o odd) each(table string, row map[string]any, put func(id int64)) {
	o.Helper()
	columns := slices.Sorted(maps.Keys(row))
	query := fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", table, strings.Join(columns, ","),
		strings.Repeat(",?", len(columns)-1))
	for i, column := range columns {
		values := oddNumbers
		if _, text := row[column].(string); text {
			values = oddTexts
		} else if o.Fleet == nil {
			values = slices.Concat(values, []any{"no number", 1.5})
		}
		for _, value := range values {
			args := make([]any, len(columns))
			for j, c := range columns {
				args[j] = row[c]
			}
			args[i] = value
			id, err := o.exec(query, args...).LastInsertId()
			if err != nil {
				o.Fatal(err)
			}
			if put != nil {
				put(id)
			}
		}
	}
}

// put puts odd rows into all tables, where they belong to user 1, to the pair of 1 and 2, and to a
// group.
func (o odd) put(g uint32) {
	o.Helper()
	relation := rig.Count(o.T, o.db, "SELECT id FROM IMRelationShip WHERE smallId=1 AND bigId=2")
	o.each("IMUser", map[string]any{"sex": 1, "name": "odd", "domain": "", "nick": "",
		"password": "",
		"salt":     "", "phone": "", "email": "", "avatar": "", "departId": 1, "status": 0,
		"created": 1,
		"updated": 1400000000, "push_shield_status": 0, "sign_info": ""}, nil)
	o.each("IMDepart", map[string]any{"departName": "odd", "priority": 1, "parentId": 0,
		"status":  0,
		"created": 1, "updated": 1400000005}, nil)
	o.each("IMRecentSession", map[string]any{"userId": 1, "peerId": 3, "type": 1, "status": 0,
		"created": 1,
		"updated": 1400000005}, nil)
	o.each("IMRelationShip", map[string]any{"smallId": 1, "bigId": 4, "status": 0, "created": 1,
		"updated": 1}, nil)
	o.each("IMGroupMember", map[string]any{"groupId": int64(g), "userId": 8, "status": 0,
		"created": 1,
		"updated": 1}, nil)
	o.each("IMGroup", map[string]any{"name": "odd", "avatar": "", "creator": 1, "type": 1,
		"userCnt": 1,
		"status":  0, "version": 1, "lastChated": 1, "updated": 1, "created": 1}, func(id int64) {
		o.exec(
			"INSERT INTO IMGroupMember (groupId,userId,status,created,updated) VALUES (?,1,0,1,1)",
			id)
	})
	o.each("IMTransmitFile", map[string]any{"fromId": 2, "toId": 1, "fileName": "odd",
		"taskId": "odd",
		"size":   1, "status": 0, "created": 1, "updated": 1}, nil)
	o.exec("INSERT INTO IMTransmitFile (fromId,toId,fileName,taskId,size,status,created,updated)" +
		" VALUES (2,1,'good','good',1,0,1,1)")
	message := map[string]any{"relateId": relation, "fromId": 2, "toId": 1, "msgId": 50,
		"content": "odd",
		"type":    1, "status": 0, "created": 1, "updated": 1}
	pairs := fmt.Sprint("IMMessage_", relation%8)
	o.each(pairs, message, nil)
	grouped := maps.Clone(message)
	delete(grouped, "relateId")
	delete(grouped, "fromId")
	delete(grouped, "toId")
	grouped["groupId"], grouped["userId"] = int64(g), 2
	o.each(fmt.Sprint("IMGroupMessage_", g%8), grouped, nil)
	message["type"] = 2
	o.each("IMAudio", map[string]any{"fromId": 2, "toId": 1, "path": "nowhere", "size": 1,
		"duration": 7,
		"created":  1}, func(id int64) {
		o.exec("INSERT INTO "+pairs+
			" (relateId,fromId,toId,msgId,content,type,status,created,updated)"+
			" VALUES (?,2,1,60,?,2,0,1,1)", relation, fmt.Sprint(id))
	})
}

// readable checks what a peer in C++ wants: that required fields are there, and that enums have
// values of their lists.
func (o odd) readable(m protoreflect.Message) {
	o.Helper()
	if err := proto.CheckInitialized(m.Interface()); err != nil {
		o.Errorf("%s: %v", m.Descriptor().Name(), err)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() == protoreflect.EnumKind && f.Enum().Values().ByNumber(v.Enum()) == nil:
			o.Errorf("%s is %d", f.FullName(), v.Enum())
		case f.Message() != nil && f.IsList():
			for i := range v.List().Len() {
				o.readable(v.List().Get(i).Message())
			}
		case f.Message() != nil:
			o.readable(v.Message())
		}
		return true
	})
}

// oddQuestion is a request, and whether its answer has what stands in good rows.
type oddQuestion struct {
	req  proto.Message
	good func(answer proto.Message) bool
}

func oddQuestions(g uint32) []oddQuestion {
	one := proto.Uint32(1)
	ids := make([]uint32, 300)
	for i := range ids {
		ids[i] = uint32(i + 1)
	}
	groups := make([]*impb.GroupVersionInfo, 200)
	for i := range groups {
		groups[i] = &impb.GroupVersionInfo{GroupId: &ids[i], Version: new(uint32)}
	}
	alice := func(users []*impb.UserInfo) bool {
		is := func(u *impb.UserInfo) bool { return u.GetUserRealName() == "alice" }
		return slices.ContainsFunc(users, is)
	}
	all := func(a proto.Message) bool { return alice(a.(*impb.IMAllUserRsp).GetUserList()) }
	said := func(messages []*impb.MsgInfo) bool {
		is := func(m *impb.MsgInfo) bool { return string(m.GetMsgData()) == "good" }
		return slices.ContainsFunc(messages, is)
	}
	byID := func(kind impb.SessionType, peer uint32) *impb.IMGetMsgByIdReq {
		return &impb.IMGetMsgByIdReq{UserId: one, SessionType: kind.Enum(), SessionId: &peer,
			MsgIdList: []uint32{1, 50, 60}}
	}
	listed := func(a proto.Message) bool { return said(a.(*impb.IMGetMsgListRsp).GetMsgList()) }
	found := func(a proto.Message) bool { return said(a.(*impb.IMGetMsgByIdRsp).GetMsgList()) }
	password := fmt.Sprintf("%x", md5.Sum([]byte("alice-secret")))
	return []oddQuestion{
		{&impb.IMValidateReq{UserName: proto.String("alice"), Password: &password},
			func(a proto.Message) bool { return a.(*impb.IMValidateRsp).GetResultCode() == 0 }},
		{&impb.IMValidateReq{UserName: proto.String("odd"), Password: &password},
			func(a proto.Message) bool { return a.(*impb.IMValidateRsp).GetResultCode() == 1 }},
		{rig.UsersInfo(1, ids...),
			func(a proto.Message) bool {
				return alice(
					a.(*impb.IMUsersInfoRsp).GetUserInfoList())
			}},
		{&impb.IMAllUserReq{UserId: one, LatestUpdateTime: new(uint32)}, all},
		{&impb.IMAllUserReq{UserId: one, LatestUpdateTime: one}, all},
		{&impb.IMDepartmentReq{UserId: one, LatestUpdateTime: new(uint32)},
			func(a proto.Message) bool {
				return slices.ContainsFunc(a.(*impb.IMDepartmentRsp).GetDeptList(),
					func(d *impb.DepartInfo) bool { return d.GetDeptName() == "Engineering" })
			}},
		{&impb.IMRecentContactSessionReq{UserId: one, LatestUpdateTime: new(uint32)},
			func(a proto.Message) bool {
				return len(a.(*impb.IMRecentContactSessionRsp).GetContactSessionList()) >= 1
			}},
		{rig.Unread(1),
			func(a proto.Message) bool {
				return len(
					a.(*impb.IMUnreadMsgCntRsp).GetUnreadinfoList()) == 2
			}},
		{rig.Page(1, rig.Pair, 2, 0, 1000), listed},
		{rig.Page(1, rig.Group, g, 0, 1000), listed},
		{rig.Page(1, rig.Pair, 2, 40, 1000), listed},
		{byID(rig.Pair, 2), found},
		{byID(rig.Group, g), found},
		{&impb.IMGetLatestMsgIdReq{UserId: one, SessionType: rig.Pair.Enum(),
			SessionId: proto.Uint32(2)},
			func(a proto.Message) bool {
				return a.(*impb.IMGetLatestMsgIdRsp).GetLatestMsgId() > 0
			}},
		{&impb.IMNormalGroupListReq{UserId: one}, func(a proto.Message) bool {
			return slices.ContainsFunc(a.(*impb.IMNormalGroupListRsp).GetGroupVersionList(),
				func(v *impb.GroupVersionInfo) bool { return v.GetGroupId() == g })
		}},
		{&impb.IMGroupInfoListReq{UserId: one, GroupVersionList: groups},
			func(a proto.Message) bool {
				return slices.ContainsFunc(a.(*impb.IMGroupInfoListRsp).GetGroupInfoList(),
					func(i *impb.GroupInfo) bool {
						return i.GetGroupId() == g && len(i.GetGroupMemberList()) >= 3
					})
			}},
		{&impb.IMGroupGetShieldReq{GroupId: &g, UserId: ids[:8]},
			func(a proto.Message) bool {
				return len(a.(*impb.IMGroupGetShieldRsp).GetShieldStatusList()) == 8
			}},
		{&impb.IMQueryPushShieldReq{UserId: one},
			func(a proto.Message) bool {
				return a.(*impb.IMQueryPushShieldRsp).GetResultCode() == 0
			}},
		{&impb.IMFileHasOfflineReq{UserId: one}, func(a proto.Message) bool {
			return slices.ContainsFunc(a.(*impb.IMFileHasOfflineRsp).GetOfflineFileList(),
				func(f *impb.OfflineFileInfo) bool { return f.GetTaskId() == "good" })
		}},
		{&impb.IMGetDeviceTokenReq{UserId: ids}, func(proto.Message) bool { return true }},
	}
}
