package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
	engines "github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestCommandsOnServers runs the scripts in testdata/servers against real servers, each with an
// empty database of its own and a dbproxyserver.conf for it in its directory. In them "sql
// STATEMENT" runs a statement there as one who may do everything, and prints the rows that it
// returns, and how many they are; "shape FILE" compares the last output with a file, in which what
// differs from run to run stands as DATABASE, ADDR, MSFS, VERSION and N. $USER is the database's
// user, $SOCKET the server's, and "proxy" and "stopproxy" are as in the other scripts.
func TestCommandsOnServers(t *testing.T) {
	t.Parallel()
	mariadb := engines.StartMariaDB(t, "--innodb-flush-log-at-trx-commit=1")
	redis := engines.StartRedis(t, "--appendonly", "yes")
	files, err := msfs.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(files.Close)
	var databases sync.Map // by the scripts' directories
	database := func(ts *testscript.TestScript) *engines.Database {
		b, _ := databases.Load(ts.Getenv("WORK"))
		return b.(*engines.Database)
	}
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:           "testdata/servers",
			UpdateScripts: *update,
			Setup: func(env *testscript.Env) error {
				b := mariadb.New(t)
				databases.Store(env.WorkDir, b)
				env.Setenv("USER", b.User)
				env.Setenv("SOCKET", mariadb.Socket())
				return os.WriteFile(filepath.Join(env.WorkDir, "dbproxyserver.conf"),
					[]byte(conf(b, redis, files.URL())), 0o600)
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"proxy":     startProxy,
				"stopproxy": stopProxy,
				"login":     login,
				"metrics":   metrics,
				"fetch":     fetch,
				"failed":    failed,
				"sql": func(ts *testscript.TestScript, neg bool, args []string) {
					err := printRows(ts, database(ts).Admin, strings.Join(args, " "))
					if (err != nil) != neg {
						ts.Fatalf("%v", err)
					}
				},
				"shape": func(ts *testscript.TestScript, neg bool, args []string) {
					shape(ts, args[0], strings.NewReplacer(database(ts).Name, "DATABASE",
						files.URL(), "MSFS"))
				},
			},
		})
	})
}

// conf is a configuration for servers of a test, with timeouts that a busy machine does not exceed.
func conf(b *engines.Database, redis *engines.Redis, files string) string {
	var c strings.Builder
	fmt.Fprintf(&c, "ListenIP=127.0.0.1\nListenPort=0\nAdminListen=off\nThreadNum=8\n"+
		"MsfsSite=%s\nMsfsTimeout=1m\naesKey=12345678901234567890123456789012\n"+
		"DBInstances=teamtalk_master\nCacheInstances=unread,group_set,token,group_member\n", files)
	keys := func(instance string, pairs ...any) {
		for i := 0; i < len(pairs); i += 2 {
			fmt.Fprintf(&c, "%s_%v=%v\n", instance, pairs[i], pairs[i+1])
		}
	}
	keys("teamtalk_master", "host", b.Host, "port", b.Port, "dbname", b.Name, "username", b.User,
		"password", b.Password, "maxconncnt", 8, "connect_timeout", "1m", "statement_timeout", "1m")
	for _, name := range []string{"unread", "group_set", "token", "group_member"} {
		keys(name, "host", redis.Host(), "port", redis.Port(), "db", 1, "maxconncnt", 4,
			"connect_timeout", "1m", "call_timeout", "1m")
	}
	return c.String()
}

func printRows(ts *testscript.TestScript, db *sql.DB, statement string) error {
	rows, err := db.Query(statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	n := 0
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for _, c := range cells {
			fmt.Fprint(ts.Stdout(), c.String, "\t")
		}
		fmt.Fprintln(ts.Stdout())
	}
	fmt.Fprintln(ts.Stdout(), n, "rows")
	return rows.Err()
}

var (
	address  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	measured = regexp.MustCompile(`\b(in|within) [\d.m]+ ?m?s\b`)
	counted  = regexp.MustCompile(
		`\b(none|\d+|\d+ of \d+)( in database 1| are there| of the suite's| are given)`)
	engine = regexp.MustCompile(`(MariaDB|Redis) \d+\.\d+\.\d+`)
)

func shape(ts *testscript.TestScript, file string, names *strings.Replacer) {
	got := names.Replace(ts.ReadFile("stdout"))
	got = engine.ReplaceAllString(address.ReplaceAllString(got, "ADDR"), "$1 VERSION")
	got = counted.ReplaceAllString(measured.ReplaceAllString(got, "$1 N"), "N$2")
	if want := ts.ReadFile(file); got != want {
		ts.Fatalf("it is\n%s\nand not\n%s", got, want)
	}
}
