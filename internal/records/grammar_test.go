package records_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	osexec "os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/doctor"
	"github.com/teamtalk-go/dbproxy/internal/doctor/repair"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/marks"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/tryout/tail"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// administer does what everything leaves to administrators and background loops.
func administer(ctx context.Context, s *records.Store) error {
	one := func(_ any, err error) error { return err }
	change := func(u *chat.User) error { u.Nick += "x"; return nil }
	close := func(d *chat.Department) error { d.Status = 1 - d.Status; return nil }
	for _, do := range []func() error{
		func() error { return one(s.AddUser(ctx, chat.User{Name: "ann"})) },
		func() error { return s.AddUsers(ctx, []chat.User{{Name: "bob"}, {Name: "cy"}}) },
		func() error { return one(s.AddDepartment(ctx, chat.Department{Name: "d"}, true)) },
		func() error {
			return one(s.AddDepartment(ctx, chat.Department{Name: "d", Parent: 1},
				true))
		},
		func() error { return one(s.GroupsNamed(ctx, "g")) },
		func() error { return one(s.ChangeDepartment(ctx, 1, true, close)) },
		func() error { return one(s.ChangeUsers(ctx, []uint32{1, 2}, change)) },
		func() error { return one(s.Accounts(ctx, []uint32{1, 2}, []string{"ann"})) },
		func() error { return s.AllUsers(ctx, func(chat.User) error { return nil }) },
		func() error { return one(s.AllDepartments(ctx)) },
		func() error { return one(s.Headcounts(ctx)) },
		func() error { return one(s.AllGroups(ctx)) },
		func() error { return one(s.GroupsOf(ctx, 1)) },
		func() error { return one(s.Memberships(ctx, 1)) },
		func() error { return one(s.ChangedGroups(ctx, 1)) },
		func() error { return s.SetMark(ctx, "x", 1) },
		func() error { _, _, err := s.Mark(ctx, "x"); return err },
		func() error { return one(s.UsersChanged(ctx, 0)) },
		func() error { return one(s.UsersChanged(ctx, 1)) },
		func() error { return s.SetSignature(ctx, 1, "x", 1) },
		func() error { return s.SetPushShield(ctx, 1, 1, 1) },
		func() error { return s.Swept(ctx, []chat.CommitID{chat.NewCommitID()}) },
		func() error { return one(tables.UserIndex(ctx, s.DB())) },
		func() error { return one(s.HoldLease(ctx, "x", "y", time.Second)) },
		func() error { return one(s.HoldLease(ctx, "x", "y", time.Second)) },
		func() error { return s.ReleaseLease(ctx, "x", "y") },
		func() error { return s.DB().Reachable(ctx) },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// damage is what races and crashes of original servers leave in tables, some of each kind.
var damage = []string{
	"INSERT INTO IMRelationShip (id,smallId,bigId,status,created,updated) VALUES " +
		"(901,91,92,0,1,100),(902,91,92,0,1,300)",
	"INSERT INTO IMMessage_5 (relateId,fromId,toId,msgId,content,type,status,updated,created)" +
		" VALUES (901,91,92,1,'a',1,0,1,10),(901,91,92,4294967295,'b',1,0,1,11)," +
		"(901,91,92,1,'c',1,0,1,12),(901,91,92,3,'d',1,1,1,13)",
	"INSERT INTO IMMessage_6 (relateId,fromId,toId,msgId,content,type,status,updated,created)" +
		" VALUES (902,91,92,1,'a',1,0,1,10),(902,91,92,2,'7777',2,0,1,11)," +
		"(902,91,93,3,'b',1,0,1,12),(902,91,92,2,'c',1,0,1,13)",
	"INSERT INTO IMMessage_7 (relateId,fromId,toId,msgId,content,type,status,updated,created)" +
		" VALUES (7007,1,2,1,'a',1,0,1,10)",
	"INSERT INTO IMAudio (id,fromId,toId,path,size,duration,created)" +
		" VALUES (7778,91,92,'p',1,1,10)",
	"INSERT INTO IMGroup " +
		"(id,name,avatar,creator,type,userCnt,status,version,lastChated,updated,created) VALUES " +
		"(904,'g','',1,1,9,0,1,0,1,1)",
	"INSERT INTO IMGroupMember (groupId,userId,status,created,updated) VALUES " +
		"(904,91,0,1,3),(904,91,0,1,9),(904,92,0,1,3),(904,93,1,1,9)",
	"INSERT INTO IMGroupMessage_0 (groupId,userId,msgId,content,type,status,updated,created)" +
		" VALUES (904,91,1,'a',17,0,1,10),(904,91,4294967295,'b',17,0,1,11)," +
		"(904,91,1,'c',17,0,1,12)",
	"INSERT INTO IMRecentSession (userId,peerId,type,status,created,updated) VALUES " +
		"(91,92,1,0,1,500),(91,92,1,0,1,600),(93,904,2,0,1,50)",
	"INSERT INTO IMProxyTalk (kind,a,b,relateId,sentA,rev) VALUES (1,97,98,99,3,1),(2,988,0,0,3,1)",
	"INSERT INTO IMProxyLevel (userId,groupId,level) VALUES (92,904,9)",
	"INSERT INTO IMProxyCommit (id,created,changes) VALUES " +
		"('00000000000000000000000000000001',5,'{\"Changes\":[]}')",
}

// mend has the doctor repair a store, and look again. What it finds before is not small.
func mend(ctx context.Context, s *records.Store) error {
	for _, mends := range []bool{false, true, false} {
		examination, err := repair.Examine(ctx, s)
		if err != nil {
			return err
		}
		d := doctor.Doctor{Records: examination, Sequencer: counters.Embedded{Records: s},
			Repair: mends}
		switch report, err := d.Run(ctx); {
		case err != nil:
			return err
		case mends && len(report.Findings) < 8:
			return fmt.Errorf("the doctor found only %+v", report.Findings)
		}
	}
	return nil
}

// unheard are statements for servers that have a replica, fail, or are of another kind than those
// of the tests.
var unheard = []string{marks.Raise, tables.Options(nil).WritesNothing, checkup.MembersOfGroup}

// compare has the doctor read what it compares with Redis, and the feed of "dbproxy tail" what is
// new.
func compare(ctx context.Context, s *records.Store, at sqldb.MySQL) error {
	c, err := repair.Examine(ctx, s)
	if err != nil {
		return err
	}
	pool, err := tail.Open(ctx, at)
	if err != nil {
		return err
	}
	feed := tail.NewFeed(pool)
	for _, ask := range []func() error{
		func() error { _, _, err := c.PairStates(ctx, repair.Cursor{}); return err },
		func() error { _, _, err := c.GroupStates(ctx, repair.Cursor{}); return err },
		func() error { _, _, err := c.Devices(ctx, repair.Cursor{}); return err },
		func() error { return c.HoldGroup(ctx, theGroup, func(chat.Change) error { return nil }) },
		func() error {
			_, err := c.Known(ctx, []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(theGroup)})
			return err
		},
		func() error { _, err := c.KnownUsers(ctx, []uint32{1, 2}); return err },
		func() error { _, err := s.Find(ctx, theGroup); return err },
		func() error { _, err := feed.Skip(ctx, 10, 1); return err },
		func() error { _, err := feed.Next(ctx); return err },
	} {
		err = errors.Join(err, ask())
	}
	return errors.Join(err, pool.Close())
}

// since80 are words that MySQL 5.7 does not know, which the grammars do.
var since80 = regexp.MustCompile(
	`\b(WITH|OVER|LATERAL|INTERSECT|EXCEPT|RECURSIVE|WINDOW|NOWAIT|SKIP LOCKED|JSON_TABLE` +
		`|GROUPING|ROW_NUMBER|RANK|REGEXP_\w+|UUID_TO_BIN|MEMBER OF|INVISIBLE|RETURNING)\b` +
		`|VALUES ROW|\) AS new\b|DEFAULT \(`)

// TestEveryStatementIsMySQL has a MariaDB write down all that the records say to it, and other
// grammars parse that: MariaDB takes more than MySQL does.
func TestEveryStatementIsMySQL(t *testing.T) {
	t.Parallel()
	db := servers.StartMariaDB(t, "--general-log=1", "--log-output=TABLE").New(t)
	at := testdb.At(db)
	store, err := records.OpenMySQL(at, nil, records.Options{Log: discard})
	closing(t, store, err)
	p := fixture{TB: t, engine: engines[1], raw: db.Admin}
	migrate(t, store)
	for _, stmt := range []string{"ALTER TABLE IMUser DROP COLUMN sign_info, DROP COLUMN avatar",
		"ALTER TABLE IMGroup DROP KEY idx_creator",
		"ALTER TABLE IMGroupMember DROP KEY idx_groupId_userId_status",
		"ALTER TABLE IMProxyToken DROP PRIMARY KEY, ADD PRIMARY KEY (token)",
		"ALTER TABLE IMProxyToken DROP COLUMN digest"} {
		p.exec(stmt)
	}
	if ran := migrate(t, store); len(ran) < 4 {
		t.Errorf("ran only %q", ran)
	}
	p.oldGroups(store)
	for _, do := range []func(context.Context, *records.Store) error{everything, everything,
		administer} {
		if err := do(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	}
	for _, stmt := range damage {
		p.exec(stmt)
	}
	if err := mend(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if err := compare(t.Context(), store, at); err != nil {
		t.Fatal(err)
	}
	checkup.CheckMaster(t.Context(), at, checkup.CheckOptions{})
	checkup.CheckReplica(t.Context(), at, at, checkup.CheckOptions{})

	asked := append(said(t, db), unheard...)
	for _, want := range []string{"CREATE TABLE", "ALTER TABLE", "INSERT", "UPDATE", "DELETE",
		"SELECT", "SHOW", "EXPLAIN",
		"SET NAMES", "SET SESSION", "START TRANSACTION", "COMMIT"} {
		if !slices.ContainsFunc(asked, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no %s was seen", want)
		}
	}
	for _, s := range asked {
		if word := since80.FindString(s); word != "" {
			t.Errorf("MySQL 5.7 knows no %s\n  in %.1000s", word, s)
		}
	}
	const mariaDBs = "INSERT INTO IMGroup (name) VALUES ('x') RETURNING id"
	if !since80.MatchString(mariaDBs) {
		t.Error("MySQL 5.7 is said to know RETURNING")
	}
	all := complaintsOf(t, append(asked, mariaDBs))
	for _, name := range []string{"TiDB", "Vitess"} {
		complaints := all[name]
		if complaints[mariaDBs] == "" {
			t.Errorf("the grammar of %s takes what MySQL does not", name)
		}
		delete(complaints, mariaDBs)
		for statement, complaint := range complaints {
			t.Errorf("%s: %s\n  in %.1000s", name, complaint, statement)
		}
	}
	t.Logf("%d statements", len(asked))
}

// said are the statements that a server has heard from the user of a database, each once, those of
// one text apart. Of prepared ones it is the text with its question marks.
func said(t *testing.T, db *servers.Database) []string {
	t.Helper()
	rows, err := db.Admin.QueryContext(t.Context(),
		"SELECT DISTINCT argument FROM mysql.general_log"+
			" WHERE command_type IN ('Query','Prepare') AND user_host LIKE '"+db.User+"%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	heard := make(map[string]bool)
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		for one := range strings.SplitSeq(text, ";\n") {
			heard[one] = true
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Keys(heard))
}

// complaintsOf asks test/grammar: complaints are by grammar and statement.
func complaintsOf(t *testing.T, statements []string) (complaints map[string]map[string]string) {
	t.Helper()
	in, err := json.Marshal(statements)
	if err != nil {
		t.Fatal(err)
	}
	cmd := osexec.CommandContext(t.Context(), "go", "run", ".")
	cmd.Dir = "../../test/grammar"
	cmd.Stdin = bytes.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("test/grammar: %v\n%s", err, said.Bytes())
	}
	if err := json.Unmarshal(out, &complaints); err != nil {
		t.Fatal(err)
	}
	return complaints
}
