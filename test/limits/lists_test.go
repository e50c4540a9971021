package limits

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// manyPeople is how many a company has whose clients all ask for everybody. With the race detector
// a store needs too long to read so many.
func manyPeople() int {
	if rig.UnderRace {
		return 3000
	}
	return 30_000
}

// fill opens the store to be written to by somebody else.
func fill(t *testing.T, w *rig.Setup) *sql.DB {
	t.Helper()
	if w.Fleet != nil {
		return w.DB
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.Data, "dbproxy.db")+
		"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// insertMany inserts rows, many with each statement; one is the values of a row.
func insertMany(t *testing.T, db *sql.DB, insert, one string, rows [][]any) {
	t.Helper()
	tx, err := db.BeginTx(rig.Within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for some := range slices.Chunk(rows, 500) {
		values := one + strings.Repeat(","+one, len(some)-1)
		if _, err := tx.Exec(insert+values, slices.Concat(some...)...); err != nil {
			t.Fatalf("%s: %v", insert, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// hire adds people, from an id on, each with some 250 bytes of what is told of them.
func hire(t *testing.T, db *sql.DB, from, n int) {
	t.Helper()
	var rows [][]any
	for i := from; i < from+n; i++ {
		rows = append(rows, []any{i, fmt.Sprintf("user-%d", i), fmt.Sprintf("张伟 %d", i),
			fmt.Sprintf("user-%d@example.com", i),
			fmt.Sprintf("http://files.example.com:8700/g0/000/000/14/%020d_%07d.jpg", i, i),
			strings.Repeat("我", 30)})
	}
	insertMany(t, db,
		"INSERT INTO IMUser "+
			"(id,name,nick,domain,phone,email,avatar,departId,sex,password,salt,created,updated,"+
			"push_shield_status,sign_info,status) VALUES ",
		"(?,?,?,'','13800000000',?,?,1,1,'','',1,1700000000,0,?,0)", rows)
}

// TestEverybodyIsTold has peers ask for all 30,000 people of a company, several at once, beside one
// that asks for little.
func TestEverybodyIsTold(t *testing.T) {
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		hire(t, fill(t, w), 100_001, manyPeople())
		want := queryIDs(t, w.DB, "SELECT id FROM IMUser WHERE COALESCE(status,0)<>3 ORDER BY id")
		w.Start(t)
		p := w.Proxy(0)
		everybody(t, rig.Dial(t, p), want) // the first finds out how long it is
		everybody(t, rig.Dial(t, p), want)

		var asking sync.WaitGroup
		for range 4 {
			c := rig.Dial(t, p)
			asking.Go(func() {
				for range 2 {
					everybody(t, c, want)
				}
			})
		}
		beside := newPolite(t, p)
		done := make(chan struct{})
		go func() { asking.Wait(); close(done) }()
		for {
			beside.ask(rig.UsersInfo(1, 1))
			select {
			case <-done:
				t.Logf("beside them, a peer waited %v at most", beside.worst)
				return
			default:
			}
		}
	})
}

// everybody asks for all people, whose ids must be those.
func everybody(t *testing.T, c *client.Client, want []uint32) {
	begun := time.Now()
	all, err := rig.Ask[*impb.IMAllUserRsp](rig.Within(t), c,
		&impb.IMAllUserReq{UserId: new(uint32(1)), LatestUpdateTime: new(uint32(0))})
	if err != nil {
		t.Error(err)
		return
	}
	users := all.GetUserList()
	if len(users) != len(want) {
		t.Errorf("%d people are told, of %d", len(users), len(want))
		return
	}
	for i, u := range users {
		if u.GetUserId() != want[i] {
			t.Errorf("person %d has id %d, want %d", i, u.GetUserId(), want[i])
			return
		}
	}
	if last := users[len(users)-1]; last.GetUserTel() != "13800000000" ||
		last.GetSignInfo() != strings.Repeat("我", 30) {
		t.Errorf("the last is %v", last)
	}
	if at := all.GetLatestUpdateTime(); at < 1700000000 {
		t.Errorf("the latest change is told as of %d", at)
	}
	t.Logf("%d people in %d bytes after %v", len(users), proto.Size(all),
		time.Since(begun).Round(time.Millisecond))
}

func queryIDs(t *testing.T, db *sql.DB, query string, args ...any) (ids []uint32) {
	t.Helper()
	rows, err := db.QueryContext(rig.Within(t), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uint32
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// longLists is how many there are of each kind in lists of that many MiB and a little.
type longLists int

func (l longLists) departments() int { return 4100 * int(l) }

func (l longLists) files() int { return 260 * int(l) } // that wait for user 2

func (l longLists) groups() uint32 { return 520 * uint32(l) }

// Ids of groups begin after firstGroup. User 3 is in all of them, and in the first with many.
const (
	firstGroup  = 5000
	manyMembers = 5000
)

// fill fills a store with such lists.
func (l longLists) fill(t *testing.T, db *sql.DB) {
	t.Helper()
	var departments, files, groups, members [][]any
	for i := range l.departments() {
		departments = append(departments, []any{1000 + i, strings.Repeat("😀", 64), i})
	}
	for i := range l.files() {
		files = append(files, []any{strings.Repeat("f", 4096), fmt.Sprint("task", i)})
	}
	long := strings.Repeat("😀", 256)
	for i := range l.groups() {
		groups = append(groups, []any{firstGroup + i, long, long})
		members = append(members, []any{firstGroup + i, 3})
	}
	for i := range manyMembers - 1 {
		members = append(members, []any{firstGroup, 300_000_000 + i})
	}
	insertMany(t, db,
		"INSERT INTO IMDepart (id,departName,priority,parentId,status,created,updated) VALUES ",
		"(?,?,?,0,0,1,1600000000)", departments)
	insertMany(t, db,
		"INSERT INTO IMTransmitFile (fromId,toId,fileName,taskId,size,status,updated,created) "+
			"VALUES ",
		"(1,2,?,?,7,0,1,1)", files)
	insertMany(t, db,
		"INSERT INTO IMGroup "+
			"(id,name,avatar,creator,type,userCnt,status,version,lastChated,updated,created)"+
			" VALUES ", "(?,?,?,3,1,0,0,1,0,1,1)", groups)
	insertMany(t, db, "INSERT INTO IMGroupMember (groupId,userId,status,created,updated) VALUES ",
		"(?,?,0,1,1)", members)
}

// groupsRequest asks for the groups.
func (l longLists) groupsRequest() *impb.IMGroupInfoListReq {
	req := &impb.IMGroupInfoListReq{UserId: new(uint32(3))}
	for i := range l.groups() {
		req.GroupVersionList = append(req.GroupVersionList,
			&impb.GroupVersionInfo{GroupId: new(firstGroup + i), Version: new(uint32(0))})
	}
	return req
}

// TestListsAreWhole asks for lists that nobody can ask on from, all longer than a page.
func TestListsAreWhole(t *testing.T) {
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		const lists longLists = 4
		lists.fill(t, fill(t, w))
		w.Start(t)
		c := rig.Dial(t, w.Proxy(0))
		long := strings.Repeat("😀", 4096)
		const talks = 270
		for i := range uint32(talks) {
			rig.Submit(t, c, rig.PairText(1000+i, 9, long))
		}
		if got := len(rig.MustAsk[*impb.IMDepartmentRsp](t, c, &impb.IMDepartmentReq{
			UserId: new(uint32(1)), LatestUpdateTime: new(uint32(0)),
		}).GetDeptList()); got < lists.departments() {
			t.Errorf("%d of %d departments", got, lists.departments())
		}
		files := rig.MustAsk[*impb.IMFileHasOfflineRsp](t, c,
			&impb.IMFileHasOfflineReq{UserId: new(uint32(2))}).GetOfflineFileList()
		if len(files) != lists.files() {
			t.Errorf("%d of %d offline files", len(files), lists.files())
		}
		groups := int(lists.groups())
		infos := rig.MustAsk[*impb.IMGroupInfoListRsp](t, c,
			lists.groupsRequest()).GetGroupInfoList()
		if len(infos) != groups || len(infos[groups-1].GetGroupMemberList()) != manyMembers {
			t.Errorf("%d of %d groups", len(infos), groups)
		}
		own := rig.MustAsk[*impb.IMNormalGroupListRsp](t, c,
			&impb.IMNormalGroupListReq{UserId: new(uint32(3))}).GetGroupVersionList()
		if len(own) != groups {
			t.Errorf("%d of %d groups of a user", len(own), groups)
		}
		news := rig.MustAsk[*impb.IMUnreadMsgCntRsp](t, c, rig.Unread(9))
		if list := news.GetUnreadinfoList(); len(list) != talks ||
			string(list[talks-1].GetLatestMsgData()) != long {
			t.Errorf("%d of %d unread talks", len(list), talks)
		}
	})
}

// TestAnswersAboveMaxFrame wants lists above MaxFrame neither cut nor sent, but told to operators,
// and pages that fit.
func TestAnswersAboveMaxFrame(t *testing.T) {
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		db := fill(t, w)
		hire(t, db, 100_001, 5000)
		const lists longLists = 1
		lists.fill(t, db)
		w.Start(t, "--max-frame", "1MiB", "--admin", "127.0.0.1:0")
		p := w.Proxy(0)
		c := rig.Dial(t, p)
		long := strings.Repeat("😀", 4096)
		for range 100 {
			rig.Submit(t, c, rig.PairText(1, 2, long))
		}
		for _, req := range []proto.Message{
			&impb.IMAllUserReq{UserId: new(uint32(1)), LatestUpdateTime: new(uint32(0))},
			&impb.IMDepartmentReq{UserId: new(uint32(1)), LatestUpdateTime: new(uint32(0))},
			&impb.IMFileHasOfflineReq{UserId: new(uint32(2))},
			lists.groupsRequest(),
		} {
			notSent(t, p, req)
		}
		users := rig.Call[*impb.IMUsersInfoRsp](t, c,
			rig.UsersInfo(1, 100_001, 100_002)).GetUserInfoList()
		if len(users) != 2 {
			t.Errorf("%d of two people are told", len(users))
		}
		// A page is cut where it must be, and its reader asks on.
		var seen []uint32
		for begin := uint32(0); begin != 1; begin = seen[len(seen)-1] {
			if begin > 1 {
				begin--
			}
			msgs := rig.MustAsk[*impb.IMGetMsgListRsp](t, c,
				rig.Page(1, rig.Pair, 2, begin, 1000)).GetMsgList()
			if len(msgs) == 0 {
				t.Fatalf("the page from %d on is empty", begin)
			}
			for _, m := range msgs {
				seen = append(seen, m.GetMsgId())
			}
		}
		if len(seen) != 100 {
			t.Errorf("%d messages in pages, want 100", len(seen))
		}
	})
}

// notSent asks for something that is too long: nothing is answered, the log says at level ERROR
// that MaxFrame is too low, it is counted, and the connection goes on.
func notSent(t *testing.T, p *harness.Proxy, req proto.Message) {
	t.Helper()
	w := rig.Connect(t, p)
	w.Put(t, rig.FrameOf(t, req, 1).Append(nil))
	name := catalog.Name(req)
	line, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
		return l.Level == "ERROR" && l.Text("message") == name
	})
	if err != nil {
		t.Fatal(err)
	}
	if reason := line.Text("reason"); !strings.Contains(reason, "raise MaxFrame to ") {
		t.Errorf("of %s the log says %s", name, line.Raw)
	}
	awaitMetric(t, p, fmt.Sprintf("dbproxy_requests_total{command=%q,outcome=\"too_long\"} 1",
		name))
	w.Put(t, rig.FrameOf(t, rig.UsersInfo(1, 1), 2).Append(nil))
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	if f, err := w.Next(ctx); err != nil || f.Seq != 2 {
		t.Errorf("after %s came the answer to request %d: %v", name, f.Seq, err)
	}
}
