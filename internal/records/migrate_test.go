package records_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// schemaOf is what a database is made of: "table name", "index name on table", …
func schemaOf(t *testing.T, raw *sql.DB) (parts []string) {
	t.Helper()
	rows, err := raw.QueryContext(t.Context(), "SELECT type,name,tbl_name FROM sqlite_master "+
		"WHERE name NOT LIKE 'sqlite_%' ORDER BY type,name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var typ, name, table string
		if err := rows.Scan(&typ, &name, &table); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, fmt.Sprintf("%s %s on %s", typ, name, table))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return parts
}

func exec(t testing.TB, raw *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := raw.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func migrate(t *testing.T, s *records.Store) []string {
	t.Helper()
	ran, err := tables.Migrate(t.Context(), s.DB())
	if err != nil {
		t.Fatal(err)
	}
	return ran
}

func TestMigrateMakesEveryTableOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dbproxy.db")
	store, err := records.OpenSQLite(path, records.Options{Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if ran := migrate(t, store); len(ran) == 0 {
		t.Error("nothing was made of nothing")
	}
	raw := openRaw(t, path)
	made := schemaOf(t, raw)
	for _, table := range []string{"IMUser", "IMDepart", "IMRelationShip", "IMRecentSession",
		"IMMessage_0", "IMMessage_7", "IMGroup", "IMGroupMember",
		"IMGroupMessage_0", "IMGroupMessage_7", "IMAudio", "IMTransmitFile"} {
		if !slices.Contains(made, "table "+table+" on "+table) {
			t.Errorf("there is no %s", table)
		}
	}
	for range 2 {
		if ran := migrate(t, store); len(ran) > 0 {
			t.Errorf("ran again: %q", ran)
		}
	}
	if now := schemaOf(t, raw); !slices.Equal(now, made) {
		t.Errorf("changed from\n%q\nto\n%q", made, now)
	}
}

func TestMigrateCompletesOldTablesAndTouchesNoData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dbproxy.db")
	store := openAt(t, path)
	raw := openRaw(t, path)
	whole := schemaOf(t, raw)

	exec(t, raw, "INSERT INTO IMUser (id,name,password,salt) VALUES (7,'grace','x','1')")
	exec(t, raw, "INSERT INTO IMRecentSession (id,userId,peerId,type,status,updated) VALUES "+
		"(3,1,2,1,0,9)")
	exec(t, raw, "DROP TABLE IMTransmitFile")
	exec(t, raw, "DROP INDEX IMRecentSession_idx_userId_peerId_type")
	exec(t, raw, "ALTER TABLE IMUser DROP COLUMN sign_info")
	exec(t, raw, "ALTER TABLE IMUser DROP COLUMN push_shield_status")
	exec(t, raw, "CREATE TABLE IMAdmin (id INTEGER PRIMARY KEY, uname TEXT)")
	exec(t, raw, "INSERT INTO IMAdmin VALUES (1,'root')")
	exec(t, raw, "ALTER TABLE IMGroup ADD COLUMN ofAFork TEXT")

	ran := migrate(t, store)
	if len(ran) < 4 {
		t.Errorf("ran only %q", ran)
	}
	for _, stmt := range ran {
		if !strings.HasPrefix(stmt, "CREATE TABLE") && !strings.HasPrefix(stmt, "CREATE INDEX") &&
			!strings.Contains(stmt, " ADD COLUMN ") {
			t.Errorf("ran more than additions: %s", stmt)
		}
	}
	want := append(slices.Clone(whole), "table IMAdmin on IMAdmin")
	slices.Sort(want)
	if got := schemaOf(t, raw); !slices.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
	for query, want := range map[string]int{
		"SELECT COUNT(*) FROM IMUser WHERE id=7 AND name='grace' AND sign_info='' AND " +
			"push_shield_status=0": 1,
		"SELECT COUNT(*) FROM IMRecentSession WHERE id=3 AND updated=9":                1,
		"SELECT COUNT(*) FROM IMAdmin":                                                 1,
		"SELECT COUNT(*) FROM pragma_table_info('IMGroup') WHERE name='ofAFork'":       1,
		"SELECT COUNT(*) FROM pragma_table_info('IMTransmitFile') WHERE name='taskId'": 1,
	} {
		var n int
		if err := raw.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
			t.Errorf("%s: %d, %v", query, n, err)
		}
	}
	if ran := migrate(t, store); len(ran) > 0 {
		t.Errorf("ran again: %q", ran)
	}
	if err := store.SetSignature(t.Context(), 7, "works", 1); err != nil {
		t.Error(err)
	}
	if err := store.AddFile(t.Context(), chat.OfflineFile{From: 1, To: 2, Task: "t"},
		1); err != nil {
		t.Error(err)
	}
}

func TestMigrateBesideAServerDoesNotDisturbIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dbproxy.db")
	server, command := openAt(t, path), openAt(t, path)
	raw := openRaw(t, path)
	sent := uint32(0)
	send := func() {
		t.Helper()
		r, err := server.Append(t.Context(), oneText(1, 2, "x"), counters.Embedded{})
		if sent++; err != nil || r.Stored[0].ID != sent {
			t.Errorf("%+v, %v", r.Stored, err)
		}
	}
	send()
	for range 3 {
		// makes all compiled statements stale
		exec(t, raw, "DROP INDEX IMRecentSession_idx_userId_peerId_type")
		if ran := migrate(t, command); len(ran) != 1 {
			t.Errorf("ran %q", ran)
		}
		send()
	}
}

func TestAStoreOpensInAPathOfAnyCharacters(t *testing.T) {
	for _, name := range []string{"with space", "per%20cent", "question?mark", "ha#sh", "a&b=c",
		"语音😀", "quote'd", "semi;colon"} {
		path := filepath.Join(t.TempDir(), name+".db")
		store := openAt(t, path)
		if _, err := store.Append(t.Context(), oneText(1, 2, "x"),
			counters.Embedded{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if found, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil ||
			!slices.Contains(found, path) {
			t.Errorf("%s: the directory has %q, %v", name, found, err)
		}
	}
}

func TestWhatIsNoDatabaseIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{"no such directory": filepath.Join(dir, "none",
		"x.db"), "a directory": dir} {
		store, err := records.OpenSQLite(path, records.Options{Log: discard})
		if err == nil {
			t.Errorf("%s was opened", name)
			store.Close()
		}
	}
}
