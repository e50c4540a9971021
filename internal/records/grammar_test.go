package records_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/servers"
	"github.com/teamtalk-go/dbproxy/test/tables"
)

// administer does what everything leaves to administrators and background loops.
func administer(ctx context.Context, s *records.Store) error {
	one := func(_ any, err error) error { return err }
	change := func(u *chat.User) error { u.Nick += "x"; return nil }
	close := func(d *chat.Department) error { d.Status = 1 - d.Status; return nil }
	for _, do := range []func() error{
		func() error { return one(s.AddUser(ctx, chat.User{Name: "ann"})) },
		func() error { return s.AddUsers(ctx, []chat.User{{Name: "bob"}, {Name: "cy"}}) },
		func() error { return one(s.AddDepartment(ctx, chat.Department{Name: "d"})) },
		func() error { return one(s.AddDepartment(ctx, chat.Department{Name: "d", Parent: 1})) },
		func() error { return one(s.ChangeDepartment(ctx, 1, close)) },
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
		func() error { _, _, err := s.UsersChanged(ctx, 0); return err },
		func() error { _, _, err := s.UsersChanged(ctx, 1); return err },
		func() error { return s.Reachable(ctx) },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// TestEveryStatementIsMySQL has all that the records can say to a MySQL server parsed by a grammar other than MariaDB's,
// which takes more than MySQL does.
func TestEveryStatementIsMySQL(t *testing.T) {
	t.Parallel()
	db := servers.MariaDB(t).New(t)
	var heard statements
	open := func() (*records.Store, error) {
		return records.OpenNotingMySQL(tables.At(db), records.Options{Log: discard}, heard.note)
	}
	store, err := open()
	closing(t, store, err)
	p := place{TB: t, engine: engines[1], raw: db.Admin}
	migrate(t, store)
	for _, stmt := range []string{"ALTER TABLE IMUser DROP COLUMN sign_info, DROP COLUMN avatar", "ALTER TABLE IMGroup DROP KEY idx_creator",
		"ALTER TABLE IMGroupMember DROP KEY idx_groupId_userId_status", "ALTER TABLE IMProxyToken DROP COLUMN userId"} {
		p.exec(stmt)
	}
	if ran := migrate(t, store); len(ran) < 4 {
		t.Errorf("ran only %q", ran)
	}
	p.oldGroups(store)
	for range 2 {
		if err := everything(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	}
	if err := administer(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Missing(t.Context()); err != nil {
		t.Fatal(err)
	}
	const mariaDBs = "INSERT INTO IMGroup (name) VALUES ('x') RETURNING id"
	asked := append(slices.Concat(slices.Collect(maps.Keys(heard.ran)), records.Unheard), mariaDBs)
	for _, want := range []string{"CREATE TABLE", "ALTER TABLE", "INSERT", "UPDATE", "DELETE", "SELECT", "SET SESSION"} {
		if !slices.ContainsFunc(asked, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no %s was seen", want)
		}
	}
	all := complaintsOf(t, asked)
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
