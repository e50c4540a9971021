package records_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestWorksOnOwnTablesOfANewerVersion has every table of our own do its work with a column that
// only the next version knows, before and behind ours.
func TestWorksOnOwnTablesOfANewerVersion(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	own := testdb.RawMySQL(t, b).Rows("SHOW TABLES LIKE 'IMProxy%'")
	for _, table := range own {
		exec(t, b.Admin, "ALTER TABLE "+table+" ADD COLUMN newer int NOT NULL DEFAULT 7 FIRST, "+
			"ADD COLUMN newest varchar(9) NOT NULL DEFAULT 'x'")
	}
	s := openMySQL(t, b)
	if stmts, err := tables.Missing(t.Context(), s.DB()); err != nil || len(stmts) > 0 {
		t.Errorf("%q, %v", stmts, err)
	}
	do := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx := t.Context()
	group, err := s.Create(ctx, chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "g",
		Members: []uint32{1, 2, 3}}, 900)
	do("creating a group", err)
	var ids []chat.CommitID
	for i := range 2 {
		batch := oneText(1, 2, "x")
		batch.Drafts = append(batch.Drafts, chat.Draft{Talk: chat.GroupTalk(group), From: 1,
			Type: chat.GroupText, Content: "y", Time: 1000},
			chat.Draft{Talk: chat.GroupTalk(group), From: 2, Read: true})
		r, err := s.Append(ctx, batch, counters.Embedded{})
		do("storing", err)
		for k, want := range []uint32{uint32(i + 1), uint32(i + 1), 0} {
			if err == nil && (r.Stored[k].ID != want || r.Stored[k].Err != nil) {
				t.Errorf("%+v", r.Stored)
			}
		}
		ids = append(ids, batch.ID)
	}
	wantOutcome(t, s, ids[0], true)
	wantOutcome(t, s, chat.NewCommitID(), false)
	commits, err := s.Unapplied(ctx, 0, 10)
	do("listing commits", err)
	if len(commits) < 2 {
		t.Errorf("%d commits", len(commits))
	}
	do("noting commits", s.Applied(ctx, ids))
	do("muting", s.SetMute(ctx, group, 2, 1))
	mutes, err := s.Mutes(ctx, group, []uint32{2})
	do("mutes", err)
	do("a token", s.SetToken(ctx, 1, "ios:abc", "abc"))
	do("the token of another", s.SetToken(ctx, 2, "ios:abc", "abc"))
	devices, err := s.Devices(ctx, []uint32{1, 2})
	do("devices", err)
	do("a mark", s.SetMark(ctx, "m", 5))
	do("a mark again", s.SetMark(ctx, "m", 6))
	mark, _, err := s.Mark(ctx, "m")
	do("the mark", err)
	held, err := s.HoldLease(ctx, "l", "me", time.Minute)
	do("the lease", err)
	_, err = s.KeepFailures(ctx, failures{"ann": {1}})
	do("a failed login", err)
	counts, err := s.Unread(ctx, []uint32{2, 3})
	do("unread", err)
	do("leaving", func() error {
		_, err := s.RemoveMembers(ctx, group, []uint32{3},
			2000)
		return err
	}())
	for what, got := range map[string]string{
		"mutes": fmt.Sprint(mutes[2]), "device": devices[2], "mark": fmt.Sprint(
			mark), "lease": fmt.Sprint(held),
		"unread of 2": fmt.Sprint(unread(counts[2])), "of 3": fmt.Sprint(unread(counts[3])),
	} {
		want := map[string]string{"mutes": "1", "device": "ios:abc", "mark": "6", "lease": "true",
			"unread of 2": "[2]", "of 3": "[2]"}[what]
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	for _, table := range own {
		var rows, ours int
		row := b.Admin.QueryRowContext(ctx, "SELECT COUNT(*),COALESCE(SUM(newer=7 AND "+
			"newest='x'),0) FROM "+table)
		if err := row.Scan(&rows, &ours); err != nil ||
			(rows == 0) != (table == "IMProxyJournal") || rows != ours {
			// the journal is the doctor's
			t.Errorf("%s has %d rows, %d of them with the default of what is newer, %v", table,
				rows, ours, err)
		}
	}
}

func unread(counts []chat.Count) []uint32 {
	n := []uint32{}
	for _, c := range counts {
		n = append(n, c.Unread)
	}
	return n
}

// openMySQL opens a store; it is closed when the test ends.
func openMySQL(t *testing.T, b *servers.Database) *records.Store {
	t.Helper()
	s, err := records.OpenMySQL(testdb.Patient(b), nil, records.Options{Log: discard})
	return closing(t, s, err)
}

func TestEveryColumnOfOurOwnTablesHasADefault(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	rows, err := b.Admin.QueryContext(t.Context(),
		"SELECT CONCAT(TABLE_NAME,'.',COLUMN_NAME) FROM information_schema.COLUMNS "+
			"WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME LIKE 'IMProxy%' AND COLUMN_DEFAULT IS "+
			"NULL AND IS_NULLABLE='NO' AND EXTRA=''")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s has no default: an older version could not insert", name)
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

func TestMigratingMySQLTwiceAtOnce(t *testing.T) {
	t.Parallel()
	b := servers.MariaDB(t).New(t)
	one, two := openMySQL(t, b), openMySQL(t, b)
	var both sync.WaitGroup
	for _, s := range []*records.Store{one, two} {
		both.Go(func() {
			if ran, err := tables.Migrate(t.Context(), s.DB()); err != nil {
				t.Errorf("%d ran: %v", len(ran), err)
			}
		})
	}
	both.Wait()
	whole := testdb.RawMySQL(t, b).Rows("SHOW TABLES LIKE 'IM%'")
	exec(t, b.Admin, "ALTER TABLE IMUser DROP COLUMN sign_info, DROP KEY idx_phone")
	exec(t, b.Admin, "DROP TABLE IMProxyMark")
	// both know what is missing before one of them adds it
	stmts, err := tables.Missing(t.Context(), one.DB())
	if err != nil || len(stmts) != 3 {
		t.Fatalf("%q, %v", stmts, err)
	}
	for _, s := range []*records.Store{one, two} {
		both.Go(func() {
			var begun []string
			ran, err := s.DB().Define(t.Context(), stmts,
				func(stmt string) { begun = append(begun, stmt) })
			if err != nil || !slices.Equal(ran, stmts) || !slices.Equal(begun, stmts) {
				t.Errorf("began %q, ran %q: %v", begun, ran, err)
			}
		})
	}
	both.Wait()
	if stmts, err := tables.Missing(t.Context(), one.DB()); err != nil || len(stmts) > 0 {
		t.Errorf("%q, %v", stmts, err)
	}
	if now := testdb.RawMySQL(t, b).Rows("SHOW TABLES LIKE 'IM%'"); !slices.Equal(now, whole) {
		t.Errorf("%q, want %q", now, whole)
	}
}

// TestMigratingWaitsForATableWithoutHoldingOthersUp: who changes a table waits for a transaction
// that has read it, and everybody else behind them.
func TestMigratingWaitsForATableWithoutHoldingOthersUp(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	exec(t, b.Admin, "ALTER TABLE IMUser DROP COLUMN sign_info")
	s := openMySQL(t, b)
	reader, err := b.Admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ExecContext(t.Context(), "SELECT id FROM IMUser"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := tables.Migrate(t.Context(), s.DB())
		done <- err
	}()
	waiting := func() bool {
		var n int
		err := b.Admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+
			"information_schema.PROCESSLIST WHERE DB=? AND INFO LIKE 'ALTER%'", b.Name).Scan(&n)
		return err == nil && n > 0
	}
	for deadline := time.Now().Add(time.Minute); !waiting(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing waits for the table")
		}
	}
	var n int // goes on while the reader still has not ended
	if err := b.Admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM IMUser").Scan(
		&n); err != nil {
		t.Error(err)
	}
	if err := reader.Rollback(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTheIndexOnUsersIsOffered(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	s := openMySQL(t, b)
	stmt, err := tables.UserIndex(t.Context(), s.DB())
	if err != nil || !strings.HasPrefix(stmt, "ALTER TABLE IMUser ADD KEY") {
		t.Fatalf("%q, %v", stmt, err)
	}
	if _, err := s.DB().Define(t.Context(), []string{stmt}, nil); err != nil {
		t.Error(err)
	}
	if stmt, err := tables.UserIndex(t.Context(), s.DB()); stmt != "" || err != nil {
		t.Errorf("%q, %v", stmt, err)
	}
}
