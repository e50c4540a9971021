package records_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// owns fails the test unless these users, and no others of 1 to 9, own the token of their device.
func owns(t testing.TB, s *records.Store, want ...uint32) {
	t.Helper()
	devices, err := s.DevicesNow(t.Context(), []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9})
	if err != nil {
		t.Fatal(err)
	}
	var owners []uint32
	for _, d := range devices {
		if d.Token != "" {
			owners = append(owners, d.User)
		}
	}
	if fmt.Sprint(owners) != fmt.Sprint(want) {
		t.Errorf("%v own their tokens, want %v", owners, want)
	}
}

// formerTokens makes IMProxyToken that of an earlier version, with rows as it left them.
func (p fixture) formerTokens() {
	p.Helper()
	p.exec("DROP TABLE IMProxyToken")
	create := "CREATE TABLE IMProxyToken (token varbinary(2048) NOT NULL DEFAULT '', userId int " +
		"unsigned NOT NULL DEFAULT 0, PRIMARY KEY (token))"
	if p.engine.name == "embedded" {
		create = "CREATE TABLE IMProxyToken (token TEXT NOT NULL DEFAULT '', userId INTEGER NOT " +
			"NULL DEFAULT 0, PRIMARY KEY (token)) WITHOUT ROWID"
	}
	p.exec(create)
	p.exec("INSERT INTO IMProxyDevice (userId,device,rev) VALUES " +
		"(1,'ios:a',1),(2,'ios:a',1),(3,'bare:语',1),(4,'',1)")
	p.exec("INSERT INTO IMProxyToken (token,userId) VALUES ('a',2),('语',3),('gone',0),('b',4)")
}

func (p fixture) count(query string) (n int) {
	p.Helper()
	if err := p.raw.QueryRowContext(p.Context(), query).Scan(&n); err != nil {
		p.Fatal(err)
	}
	return n
}

func TestTokensOfAnEarlierVersionAreCarriedOver(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		p.formerTokens()
		s := p.open(records.Options{})
		if stmts, err := tables.MissingOwn(t.Context(), s.DB()); err != nil || len(stmts) > 0 {
			t.Errorf("serving would touch it: %q, %v", stmts, err)
		}
		migrate(t, s)
		owns(t, s, 2, 3)
		if n := p.count("SELECT COUNT(*) FROM IMProxyToken"); n != 3 {
			t.Errorf("%d rows", n)
		}
		if ran := migrate(t, s); len(ran) > 0 {
			t.Errorf("ran again: %q", ran)
		}
		if err := s.SetToken(t.Context(), 1, "ios:a", "a"); err != nil {
			t.Error(err)
		}
		owns(t, s, 1, 3)
	})
}

// TestAnEarlierVersionGoesOnBesideTheNewKeyOfTokens executes what it says.
func TestAnEarlierVersionGoesOnBesideTheNewKeyOfTokens(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	p := engines[1].fixture(t)
	p.raw = b.Admin
	p.formerTokens()
	found := checkup.CheckMaster(t.Context(), testdb.Patient(b),
		checkup.CheckOptions{MakesOwn: true})
	said := fmt.Sprintf("%+v", found[slices.IndexFunc(found, func(f checkup.Finding) bool {
		return f.Item == "own tables" && f.Grade == checkup.Wrong
	})])
	for _, word := range []string{"IMProxyToken", "earlier version", "migrate", "meanwhile"} {
		if !strings.Contains(said, word) {
			t.Errorf("the check does not say %q: %s", word, said)
		}
	}
	s := openMySQL(t, b)
	write := func() {
		t.Helper()
		for _, user := range []string{"7", "8"} {
			p.exec("UPDATE IMProxyToken SET userId=0 WHERE token='old" + user + "'")
			p.exec("INSERT INTO IMProxyToken (token,userId) VALUES ('new" + user + "'," + user +
				") ON DUPLICATE KEY UPDATE userId=VALUES(userId)")
			p.exec("INSERT INTO IMProxyDevice (userId,device,rev) VALUES (" + user + ",'ios:new" +
				user + "',1) ON DUPLICATE KEY UPDATE rev=rev+1")
		}
	}
	stmts, err := tables.Missing(t.Context(), s.DB())
	if err != nil {
		t.Fatal(err)
	}
	for _, stmt := range stmts { // written between any two
		write()
		if _, err := s.DB().Define(t.Context(), []string{stmt}, nil); err != nil &&
			stmt == stmts[len(stmts)-1] {
			t.Logf("to be run again: %v", err)
		} else if err != nil {
			t.Error(err)
		}
	}
	migrate(t, s)
	owns(t, s, 2, 3, 7, 8)
	write()
	write()
	if err := s.SetToken(t.Context(), 7, "ios:new7", "new7"); err != nil {
		t.Error(err)
	}
	owns(t, s, 2, 3, 7, 8)
}

func TestTokensTakeNoMoreRowsThanUsersHaveDevices(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.open(records.Options{})
		for i := range 20 {
			for user := uint32(1); user <= 3; user++ {
				platform := []string{"", "ios:", "android:"}[(i+int(user))%3]
				token := fmt.Sprintf("t%d of %d", i%7, user%2) // 1 and 3 have one device in turn
				if i%5 == 4 {
					platform, token = "", "" // a logout
				}
				if err := s.SetToken(t.Context(), user, platform+token, token); err != nil {
					t.Fatal(err)
				}
			}
			if n := p.count("SELECT COUNT(*) FROM IMProxyToken"); n > 3 {
				t.Fatalf("%d rows for 3 users, after %d changes of each", n, i+1)
			}
		}
	})
}
