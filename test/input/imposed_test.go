package input

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// setting is a MySQL server that was told how to treat whoever connects.
type setting struct {
	name string
	args []string // of mariadbd; nil: it was told nothing
	// probe is asked on a connection as drivers make them, and answers imposed: the setting has its
	// effect.
	probe, imposed string
	later          string // is said by an administrator when all is made; may be empty
}

// charsets are the character sets that servers are told to take connections for, in old recipes
// against garbled text.
var charsets = []string{
	"big5", "cp932", "eucjpms", "euckr", "gb2312", "gbk", "sjis", "ujis", "latin1", "utf8mb3",
}

// byInit is a server that says a statement on every connection of who is no administrator.
func byInit(name, statement, probe, imposed string) setting {
	args := []string{"--init-connect=" + statement}
	return setting{name: name, args: args, probe: "SELECT " + probe, imposed: imposed}
}

// byServer is a server that does not listen to what clients say they speak.
func byServer(charset string) setting {
	return setting{
		name: "a server in " + charset,
		args: []string{"--skip-character-set-client-handshake",
			"--character-set-server=" + charset},
		probe: "SELECT @@character_set_client", imposed: charset,
	}
}

func charsetByInit(charset string) setting {
	return byInit("init_connect with "+charset, "SET NAMES "+charset,
		"@@character_set_client", charset)
}

// manners are settings of sessions other than character sets that change what statements do.
var manners = []setting{
	byInit("sql_mode",
		"SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,IGNORE_SPACE'",
		"@@sql_mode LIKE '%NO_BACKSLASH%'", "1"),
	byInit("autocommit", "SET autocommit=0", "@@autocommit", "0"),
	byInit("sql_select_limit", "SET sql_select_limit=1", "@@sql_select_limit", "1"),
	byInit("sql_safe_updates", "SET sql_safe_updates=1", "@@sql_safe_updates", "1"),
	byInit("completion_type", "SET completion_type=1", "@@completion_type", "CHAIN"),
	byInit("sql_auto_is_null", "SET sql_auto_is_null=1", "@@sql_auto_is_null", "1"),
	byInit("sql_big_selects", "SET sql_big_selects=0, max_join_size=1", "@@sql_big_selects", "0"),
	byInit("isolation", "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED, READ ONLY",
		"@@tx_read_only", "1"),
	byInit("collation", "SET NAMES utf8mb4 COLLATE utf8mb4_uca1400_ai_ci",
		"@@collation_connection", "utf8mb4_uca1400_ai_ci"),
	{name: "a server with another collation",
		args:  []string{"--collation-server=utf8mb4_general_ci"},
		probe: "SELECT @@collation_server", imposed: "utf8mb4_general_ci"},
	{name: "no prepared statements", args: []string{"--init-connect=SET NAMES gbk"},
		probe: "SELECT @@character_set_client", imposed: "gbk",
		later: "SET GLOBAL max_prepared_stmt_count=0"},
}

// allSettings is whether all servers are to be tried, and all texts.
func allSettings() bool { return os.Getenv("CHARSETS") == "all" }

// settings are the servers to be tried: all with CHARSETS=all, otherwise one that was told nothing,
// two that impose a character set, and one whose init_connect says all of manners.
func settings() []setting {
	list := []setting{{name: rig.MySQL.Name}}
	switch {
	case allSettings():
	case rig.UnderRace: // which makes everything slow
		return []setting{charsetByInit("gbk"), byServer("sjis")}
	default:
		return append(list, charsetByInit("gbk"), byServer("sjis"), allManners())
	}
	for _, charset := range charsets {
		list = append(list, charsetByInit(charset), byServer(charset))
	}
	return append(append(list, manners...), allManners())
}

// allManners is all of manners that init_connect can say.
func allManners() setting {
	all := setting{name: "init_connect with all"}
	statements := ""
	for _, m := range manners {
		if s, ok := strings.CutPrefix(m.args[0], "--init-connect="); ok && m.later == "" {
			statements += "; " + s
			all.probe, all.imposed = m.probe, m.imposed
		}
	}
	all.args = []string{"--init-connect=" + statements[2:]}
	return all
}

// at makes a store on such a server, whose user has only the rights that the README names.
func (s setting) at(t *testing.T) *rig.Setup {
	t.Helper()
	server := servers.MariaDB(t)
	if s.args != nil {
		server = servers.StartMariaDB(t, s.args...)
	}
	f, _ := rig.NewRedisFleetOn(t, server)
	database, user := "`"+f.DB.Name+"`.*", "'"+f.DB.User+"'@'%'"
	f.Exec(t, "REVOKE ALL PRIVILEGES ON "+database+" FROM "+user)
	f.Exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON "+database+" TO "+user)
	if s.probe != "" {
		db, err := sql.Open("mysql", f.DB.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if got := column(t, db, s.probe); len(got) != 1 || got[0] != s.imposed {
			t.Fatalf("%s: %q, and not %s: the server does not impose it", s.probe, got, s.imposed)
		}
	}
	if s.later != "" {
		f.Exec(t, s.later)
	}
	w := rig.OpenFleet(t, f)
	w.Proxies = make([]*harness.Proxy, 1)
	return w
}
