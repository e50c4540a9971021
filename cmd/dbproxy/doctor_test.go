package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	engines "github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// doctorOn is "dbproxy doctor" on a configuration.
func doctorOn(t *testing.T, conf string, args ...string) (printed string, code int) {
	t.Helper()
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetIn(strings.NewReader(""))
	root.SetArgs(append([]string{"doctor", "--config", conf}, args...))
	if err := root.ExecuteContext(t.Context()); err != nil {
		fmt.Fprintln(&out, err)
		code = exitCode(err)
	}
	return out.String(), code
}

// originalConf is an original's configuration for servers.
func originalConf(t *testing.T, db *engines.Database, redis *engines.Redis) string {
	t.Helper()
	text := harness.Config{
		MySQL: harness.MySQL{
			Host: db.Host, Port: db.Port, Database: db.Name, User: db.User, Password: db.Password,
		},
		Redis: map[string]string{"host": redis.Host(), "port": strconv.Itoa(redis.Port())},
		Msfs:  "http://127.0.0.1:8700/",
	}.String()
	path := filepath.Join(t.TempDir(), "dbproxyserver.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDoctorOnMySQLAndRedis(t *testing.T) {
	t.Parallel()
	db, redis := engines.MariaDB(t).New(t), engines.StartRedis(t)
	conf := originalConf(t, db, redis)
	const lacks = `there is no table IMUser: create what is missing with "dbproxy migrate `
	if said, code := doctorOn(t, conf); code != 1 || !strings.Contains(said, lacks) {
		t.Errorf("without tables: %d\n%s", code, said)
	}
	testdb.MakeTables(t, db)
	raw := testdb.RawMySQL(t, db)
	for _, stmt := range []string{
		// none of ours: only originals were here
		"DROP TABLE IMProxyTalk, IMProxyLevel, IMProxyCommit, IMProxyJournal, IMProxyMark, " +
			"IMProxyMute",
		"INSERT INTO IMRelationShip (id,smallId,bigId,status,created,updated) VALUES " +
			"(1,1,2,0,1,1),(2,1,2,0,1,2)",
		"INSERT INTO IMMessage_1 " +
			"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES " +
			"(1,1,2,1,'a',1,0,5,5)",
		"INSERT INTO IMMessage_2 " +
			"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES " +
			"(2,1,2,1,'b',1,0,4,4)",
		"INSERT INTO IMGroup " +
			"(id,name,avatar,creator,type,userCnt,status,version,lastChated,updated,created) " +
			"VALUES (1,'g','',1,1,1,0,1,0,1,1)",
		"INSERT INTO IMGroupMember (groupId,userId,status,created,updated) VALUES (1,1,0,1,1)",
	} {
		raw.Run(stmt)
	}
	said, code := doctorOn(t, conf)
	for _, want := range []string{"talks split over several relations: 1\n", "id counter in Redis",
		"members in MySQL that Redis does not have: 1\n"} {
		if !strings.Contains(said, want) || code != exitFound {
			t.Errorf("%d, without %q:\n%s", code, want, said)
		}
	}
	if ours := raw.Count("SELECT COUNT(*) FROM information_schema.TABLES WHERE " +
		"TABLE_SCHEMA=DATABASE() AND TABLE_NAME='IMProxyJournal'"); ours != 0 {
		t.Errorf("a look made %d tables", ours)
	}
	keyspace := redis.Do(t, "INFO", "keyspace")
	if info, err := keyspace.ToString(); err != nil || strings.Contains(info, "db1:") ||
		strings.Contains(info, "db2:") {
		t.Errorf("a look made keys: %s %v", info, err)
	}
	if said, code := doctorOn(t, conf, "--before-original"); code != exitFound ||
		strings.Contains(said, "split") {
		t.Errorf("before an original: %d\n%s", code, said)
	}
	if said, code := doctorOn(t, conf, "--repair", "--yes"); code != 0 ||
		!strings.Contains(said, "repaired: 1\n") {
		t.Errorf("repair: %d\n%s", code, said)
	}
	if said, code := doctorOn(t, conf); code != 0 ||
		!strings.HasPrefix(said, "Nothing is wrong.\n") {
		t.Errorf("repaired: %d\n%s", code, said)
	}
	if said, code := doctorOn(t, conf, "--before-original"); code != 0 ||
		said != "An original server may take over.\n" {
		t.Errorf("before an original: %d\n%s", code, said)
	}
	redis.Kill(t)
	if said, code := doctorOn(t, conf, "--before-original"); code != exitFound ||
		!strings.Contains(said, "Redis cannot be reached") {
		t.Errorf("without Redis: %d\n%s", code, said)
	}
}
