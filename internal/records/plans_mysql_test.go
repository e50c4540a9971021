package records_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// fill puts some 10,000 rows into each table that grows, beside those that the test makes: only
// then plans differ.
func (p fixture) fill() {
	p.Helper()
	p.exec("INSERT INTO IMUser " +
		"(id,sex,name,domain,nick,password,salt,phone,email,departId,created,updated," +
		"push_shield_status,sign_info)" +
		" SELECT seq,1,CONCAT('user',seq),'','','','','','',1,1,seq,0,'' FROM seq_10_to_20000")
	p.exec("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated)" +
		" SELECT 1+seq MOD 2000,10000+seq,0,1,seq FROM seq_1_to_20000")
	p.exec("INSERT INTO IMRecentSession (userId,peerId,type,status,created,updated)" +
		" SELECT 1+seq MOD 2000,10000+seq,1+seq MOD 2,seq MOD 3=0,1,seq FROM seq_1_to_20000")
	p.exec("INSERT INTO IMGroup " +
		"(id,name,avatar,creator,type,userCnt,status,version,lastChated,updated,created)" +
		" SELECT seq,'g','',1,1,20,0,1,0,seq,1 FROM seq_10_to_5000")
	p.exec("INSERT INTO IMGroupMember (groupId,userId,status,created,updated)" +
		" SELECT 10+seq MOD 4990,1+seq MOD 3001,seq MOD 4=0,1,seq FROM seq_1_to_20000")
	p.exec("INSERT INTO IMAudio (fromId,toId,path,size,duration,created) SELECT " +
		"seq,seq,'',1,1,1 FROM seq_1_to_20000")
	p.exec("INSERT INTO IMTransmitFile (fromId,toId,fileName,taskId,size,status,updated,created)" +
		" SELECT 1+seq MOD 1000,1+seq MOD 1001,'','',1,seq MOD 2,1,seq FROM seq_1_to_20000")
	for i := range 8 {
		p.exec(fmt.Sprintf("INSERT INTO IMMessage_%d "+
			"(relateId,fromId,toId,msgId,content,type,status,updated,created)"+
			" SELECT 1+seq MOD 100,1,2,seq DIV 100,'x',1,seq MOD 50=0,seq DIV 100,seq DIV 100 "+
			"FROM seq_1_to_5000", i))
		p.exec(fmt.Sprintf("INSERT INTO IMGroupMessage_%d "+
			"(groupId,userId,msgId,content,type,status,updated,created)"+
			" SELECT 1+seq MOD 100,1,seq DIV 100,'x',17,seq MOD 50=0,seq DIV 100,seq DIV 100 "+
			"FROM seq_1_to_5000", i))
	}
	p.exec("INSERT INTO IMProxyTalk " +
		"(kind,a,b,relateId,sessionA,sessionB,lastId,lastCreated,sentA,sentB,readA,readB,rev)" +
		" SELECT 1,10+seq MOD 2000,10000+seq,seq,seq,seq,9,9,9,9,seq MOD 10,9,1" +
		" FROM seq_1_to_20000")
	p.exec("INSERT INTO IMProxyTalk " +
		"(kind,a,b,relateId,sessionA,sessionB,lastId,lastCreated,sentA,sentB,readA,readB,rev)" +
		" SELECT 2,seq,0,0,0,0,9,9,9,0,0,0,1 FROM seq_10_to_5000")
	p.exec("INSERT INTO IMProxyLevel (userId,groupId,level)" +
		" SELECT 10+seq MOD 3001,seq,5 FROM seq_1_to_20000")
	p.exec("INSERT INTO IMProxyCommit (id,created,changes)" +
		" SELECT LPAD(seq,32,'0'),seq*10,'{}' FROM seq_1_to_20000")
	p.exec("INSERT INTO IMProxyMute (groupId,userId,value)" +
		" SELECT 10+seq MOD 4990,seq,1 FROM seq_1_to_20000")
	p.exec("INSERT INTO IMProxyDevice (userId,device,rev)" +
		" SELECT seq,'ios:x',1 FROM seq_10_to_20000")
	p.exec("INSERT INTO IMProxyToken (digest,token,userId)" +
		" SELECT CONCAT('t',seq),'t',seq FROM seq_10_to_20000")
	p.exec("INSERT INTO IMProxyFailure (name,last,times)" +
		" SELECT CONCAT('f',seq),1000+seq,'1' FROM seq_1_to_20000")
	p.exec("INSERT INTO IMProxyMark (name,value) SELECT CONCAT('m',seq),seq FROM seq_1_to_1000")
}

// analyze has the server look at what is in all tables.
func (p fixture) analyze() {
	p.Helper()
	var names []string
	rows, err := p.raw.QueryContext(p.Context(),
		"SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE()")
	if err != nil {
		p.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			p.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		p.Fatal(err)
	}
	if _, err := p.raw.ExecContext(p.Context(),
		"ANALYZE TABLE "+strings.Join(names, ",")); err != nil {
		p.Fatal(err)
	}
}

// step is a row of EXPLAIN.
type step struct{ table, access, key, rows, extra string }

func explain(t *testing.T, raw *sql.DB, query string, args []any) (steps []step) {
	t.Helper()
	rows, err := raw.QueryContext(t.Context(), "EXPLAIN "+query, args...)
	if err != nil {
		t.Fatalf("%.500s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make(map[string]*sql.NullString), make([]any, len(names))
		for i, name := range names {
			values[name] = new(sql.NullString)
			into[i] = values[name]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step{values["table"].String, values["type"].String,
			values["key"].String, values["rows"].String, values["Extra"].String})
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// grow gives talks of user 1 many more messages.
func (p fixture) grow() {
	p.Helper()
	for i := range 8 {
		p.exec(fmt.Sprintf("INSERT INTO IMMessage_%[1]d "+
			"(relateId,fromId,toId,msgId,content,type,status,updated,created)"+
			" SELECT r.id,1,2,10+seq,'x',1,0,1000+seq,1000+seq FROM seq_1_to_2000"+
			" JOIN IMRelationShip r WHERE r.smallId=1 AND r.bigId<5000 AND r.id MOD 8=%[1]d"+
			" AND (seq<=300 OR r.bigId=2)", i))
	}
	p.exec(fmt.Sprintf("INSERT INTO IMGroupMessage_%d "+
		"(groupId,userId,msgId,content,type,status,updated,created)"+
		" SELECT g.id,1,10+seq,'x',17,0,1000+seq,1000+seq FROM seq_1_to_300 JOIN IMGroup g "+
		"WHERE g.id>=%d AND g.name='old'", oldGroup%8, oldGroup))
	p.exec(fmt.Sprintf("INSERT INTO IMGroupMessage_%[2]d "+
		"(groupId,userId,msgId,content,type,status,updated,created)"+
		" SELECT %[1]d,1,10+seq,'x',17,0,1000+seq,1000+seq FROM seq_1_to_2000",
		theGroup, theGroup%8))
	p.exec(fmt.Sprintf("INSERT INTO IMGroupMember (groupId,userId,status,created,updated)"+
		" SELECT g.id,100000+seq,0,1,seq FROM seq_1_to_300 JOIN IMGroup g WHERE g.id>=%d",
		oldGroup))
}

// readBy is how many rows and entries of indexes the server reads for a query.
func readBy(t *testing.T, conn *sql.Conn, query string, args []any) (n int) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), "FLUSH STATUS"); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() { // read them all
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	err = conn.QueryRowContext(t.Context(), "SELECT SUM(variable_value) FROM "+
		"information_schema.session_status"+
		" WHERE variable_name LIKE 'Handler_read%'").Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNoStatementReadsATableOfMySQLFromEndToEnd(t *testing.T) {
	t.Parallel()
	p := engines[1].fixture(t)
	ran := ranOn(t, p, func(*records.Store) { p.fill() })
	p.grow()
	p.analyze()
	t.Run("as it is", func(t *testing.T) { p.readLittle(t, ran) })
	p.mislead()
	t.Run("misled", func(t *testing.T) { p.readLittle(t, ran) })
}

// mislead has the server believe that the keys by which messages are paged tell few of them apart.
// It samples a few pages of each key, so that at times it believes as much by itself.
func (p fixture) mislead() {
	p.Helper()
	result, err := p.raw.ExecContext(p.Context(), "UPDATE mysql.innodb_index_stats SET "+
		"stat_value=1 WHERE database_name=DATABASE() AND stat_name LIKE 'n_diff_pfx%'"+
		" AND index_name IN ('idx_relateId_status_created','idx_groupId_status_created')")
	if err != nil {
		p.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n < 2*tables.Shards {
		p.Fatalf("the server keeps statistics of %d keys, %v", n, err)
	}
	for i := range uint32(tables.Shards) {
		for _, kind := range []chat.TalkKind{chat.Pair, chat.Group} {
			name := tables.Shard{Kind: kind, Number: i}.Table()
			p.exec("RENAME TABLE " + name + " TO renamed") // only then it reads what it believes
			p.exec("RENAME TABLE renamed TO " + name)
		}
	}
}

// readLittle checks what the server reads for statements.
func (p fixture) readLittle(t *testing.T, ran map[string][]any) {
	t.Helper()
	conn, err := p.raw.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for query, args := range ran {
		if !slices.Contains([]string{"SELECT", "UPDATE", "DELETE"}, query[:6]) {
			continue
		}
		if query[:6] == "SELECT" { // the window of a page is what reads most
			if n := readBy(t, conn, query, args); n > 1100+10*len(args) {
				t.Errorf("%d rows are read\n  by %.700s\n  of %.200s", n, query, fmt.Sprint(args))
			}
		}
		for _, s := range explain(t, p.raw, query, args) {
			if (s.access == "ALL" || s.access == "index") && mayNotScan(query, s.table) {
				t.Errorf("%+v\n  in %.700s\n  of %.200s", s, query, fmt.Sprint(args))
			}
			if strings.Contains(s.extra, "filesort") && strings.Contains(query, "Message_") &&
				!strings.Contains(query, "msgId IN") {
				t.Errorf("messages are sorted, not read in order: %+v\n  %.500s", s, query)
			}
		}
	}
}

// TestTablesThatLackKeysAreUsedToo: statements name the keys of messages, and not every database
// has them.
func TestTablesThatLackKeysAreUsedToo(t *testing.T) {
	t.Parallel()
	p := engines[1].fixture(t)
	store := p.store()
	p.oldGroups(store)
	for range 2 { // with the keys, and without
		if err := everything(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		for i := range uint32(tables.Shards) {
			for _, kind := range []chat.TalkKind{chat.Pair, chat.Group} {
				shard := tables.Shard{Kind: kind, Number: i}
				for _, key := range []string{shard.KeyByTime(), shard.KeyByID()} {
					p.exec("ALTER TABLE " + shard.Table() + " DROP KEY IF EXISTS " + key)
				}
			}
		}
	}
	if err := everything(t.Context(), p.store()); err != nil {
		t.Errorf("a store that is opened without the keys: %v", err)
	}
}
