package records_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/test/rig/logs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// hostile ends the text that it stands in, if that is taken for one of many character sets of
// several bytes.
const hostile = "中' OR 1=1 -- \\' \xf0\x9f\x98\x80"

// opened is a store on a server, and what its log says.
func opened(t *testing.T, at sqldb.MySQL) (*records.Store, *logs.Log) {
	t.Helper()
	var log logs.Log
	opt := records.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
	s, err := records.OpenMySQL(at, nil, opt)
	return closing(t, s, err), &log
}

// keepsText has people, messages and tokens with hostile text stored and found again.
func keepsText(t *testing.T, s *records.Store, admin *sql.DB) {
	t.Helper()
	ctx := t.Context()
	if _, err := s.AddUser(ctx, chat.User{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	id, err := s.AddUser(ctx, chat.User{Name: hostile})
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.UsersByName(ctx, []string{hostile, "bob" + hostile})
	if u := found[hostile]; err != nil || u.ID != id || len(found) != 1 {
		t.Errorf("of that name there is %d %q, in all %d: %v", u.ID, u.Name, len(found), err)
	}
	if _, err := s.Append(ctx, oneText(1, id, hostile), counters.Embedded{}); err != nil {
		t.Fatal(err)
	}
	page, err := testdb.Page(ctx, s, chat.PairTalk(1, id), chat.PageQuery{Count: 10})
	if err != nil || len(page) != 1 || string(page[0].Data) != hostile {
		t.Errorf("the talk has %+v: %v", page, err)
	}
	if err := s.SetToken(ctx, id, "ios:"+hostile, hostile); err != nil {
		t.Fatal(err)
	}
	devices, err := s.Devices(ctx, []uint32{1, id})
	if err != nil || len(devices) != 1 || devices[id] != "ios:"+hostile {
		t.Errorf("devices are %v: %v", devices, err)
	}
	var name string
	query := fmt.Sprint("SELECT HEX(name) FROM IMUser WHERE id=", id)
	if err := admin.QueryRowContext(ctx, query).Scan(&name); err != nil {
		t.Fatal(err)
	}
	if want := strings.ToUpper(fmt.Sprintf("%x", hostile)); name != want {
		t.Errorf("the table has %s, want %s", name, want)
	}
}

// TestSessionsAreWhatTheyShouldBe has a server set all it can for those who connect.
func TestSessionsAreWhatTheyShouldBe(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t)
	db := testdb.On(t, server)
	for _, impose := range []string{
		"SET GLOBAL init_connect='SET NAMES gbk'",
		"SET GLOBAL init_connect='SET NAMES sjis, autocommit=0, completion_type=1, " +
			"sql_select_limit=1, sql_safe_updates=1, sql_big_selects=0, max_join_size=1, " +
			"sql_mode=\"ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH\"'",
		"SET GLOBAL init_connect='SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY'",
	} {
		if _, err := db.Admin.ExecContext(t.Context(), impose); err != nil {
			t.Fatal(err)
		}
		b := testdb.On(t, server)
		s, _ := opened(t, testdb.At(b))
		keepsText(t, s, b.Admin)
		p := fixture{TB: t, engine: engines[1], raw: b.Admin}
		p.oldGroups(s)
		if err := everything(t.Context(), s); err != nil {
			t.Errorf("with %s: %v", impose, err)
		}
	}
}

// TestASessionThatDoesNotHoldIsNotUsed puts something between that has sessions speak latin1, as a
// proxy may.
func TestASessionThatDoesNotHoldIsNotUsed(t *testing.T) {
	t.Parallel()
	at := testdb.At(testdb.New(t))
	at.Addr = changing(t, at.Addr, "utf8mb4 COLLATE utf8mb4_bin", "latin1  COLLATE latin1_bin ")
	s, _ := opened(t, at)
	err := s.DB().Ping(t.Context())
	const says = `character_set_client "latin1"`
	if chat.KindOf(err) != chat.Unavailable || !strings.Contains(err.Error(), says) {
		t.Errorf("the answer is %v", err)
	}
	_, err = s.Append(t.Context(), oneText(1, 2, "x"), counters.Embedded{})
	if chat.KindOf(err) != chat.Unavailable {
		t.Errorf("a message was answered by %v", err)
	}
}

// changing forwards connections to addr, and puts one text for another, as long, into what goes
// there.
func changing(t *testing.T, addr, old, new string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return // closed
			}
			to, err := net.Dial("tcp", addr)
			if err != nil {
				from.Close()
				continue
			}
			go func() {
				io.Copy(from, to)
				from.Close()
			}()
			go func() {
				defer to.Close()
				packet := make([]byte, 1<<16)
				for {
					n, err := from.Read(packet)
					if err != nil {
						return
					}
					to.Write(bytes.ReplaceAll(packet[:n], []byte(old), []byte(new)))
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// TestWhatCannotBePreparedIsSpelled takes prepared statements away from a server, and gives them
// back.
func TestWhatCannotBePreparedIsSpelled(t *testing.T) {
	t.Parallel()
	t.Run("alone", func(t *testing.T) { spells(t, servers.StartMariaDB(t)) })
	t.Run("on a node of Galera", func(t *testing.T) { spells(t, servers.StartGalera(t).Nodes[0]) })
}

func spells(t *testing.T, server *servers.DatabaseServer) {
	t.Helper()
	b := testdb.On(t, server)
	if _, err := b.Admin.ExecContext(t.Context(),
		"SET GLOBAL max_prepared_stmt_count=0"); err != nil {
		t.Fatal(err)
	}
	s, log := opened(t, testdb.At(b))
	keepsText(t, s, b.Admin)
	p := fixture{TB: t, engine: engines[1], raw: b.Admin}
	p.oldGroups(s)
	if err := everything(t.Context(), s); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "max_prepared_stmt_count"); n == 0 || n > 4 {
		// by two pools
		t.Errorf("the log names max_prepared_stmt_count %d times:\n%s", n, log.String())
	}
	_, err := b.Admin.ExecContext(t.Context(), "SET GLOBAL max_prepared_stmt_count=1000")
	if err != nil {
		t.Fatal(err)
	}
	if err := everything(t.Context(), s); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "MySQL prepares statements again") {
		t.Errorf("the log does not say that it is over:\n%s", log.String())
	}
}

// TestFewStatementsAreKept asks with lists of all lengths.
func TestFewStatementsAreKept(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t)
	b := testdb.On(t, server)
	at := testdb.At(b)
	at.MaxConns = 2
	s, _ := opened(t, at)
	p := fixture{TB: t, engine: engines[1], raw: b.Admin}
	p.oldGroups(s)
	if err := everything(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 1000; n = 2*n - n/2 {
		ids := make([]uint32, n)
		talks := make([]chat.Talk, n)
		for i := range ids {
			ids[i], talks[i] = uint32(i+1), chat.PairTalk(1, uint32(i+2))
		}
		_, err1 := s.UsersByID(t.Context(), ids)
		_, err2 := s.PushShields(t.Context(), ids)
		_, err3 := s.Devices(t.Context(), ids)
		_, err4 := s.UnreadTotals(t.Context(), ids)
		_, err5 := s.Sounds(t.Context(), ids)
		_, err6 := s.Last(t.Context(), talks)
		_, err7 := s.GroupsNow(t.Context(), ids)
		_, err8 := s.InGroups(t.Context(), ids)
		_, err11 := s.InGroupsNow(t.Context(), ids)
		_, err12 := s.Unread(t.Context(), ids)
		_, err9 := s.PairsNow(t.Context(), ids)
		_, err10 := s.DevicesNow(t.Context(), ids)
		for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9, err10,
			err11, err12} {
			if err != nil {
				t.Fatal(i+1, err)
			}
		}
	}
	var name string
	var kept, ever int
	for what, n := range map[string]*int{"Prepared_stmt_count": &kept, "Com_stmt_prepare": &ever} {
		row := b.Admin.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE '"+what+"'")
		if err := row.Scan(&name, n); err != nil {
			t.Fatal(err)
		}
	}
	if most := at.Prepared(); kept > most || kept == ever {
		t.Errorf("of %d statements prepared %d are kept, %d may be", ever, kept, most)
	}
}

// TestOnlyBatchesJoinTexts reads the server's log of what it was sent.
func TestOnlyBatchesJoinTexts(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t, "--log-output=TABLE", "--general-log=1")
	for _, test := range []struct {
		join   sqldb.Joining
		joined bool
	}{{sqldb.JoinAuto, true}, {sqldb.JoinAlways, true}, {sqldb.JoinNever, false}} {
		b := testdb.On(t, server)
		at := testdb.At(b)
		at.Join = test.join
		s, _ := opened(t, at)
		for id := range uint32(3) {
			b := oneText(1, 2+id, "in a batch")
			if _, err := s.Append(t.Context(), b, counters.Embedded{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SetSignature(t.Context(), 1, "in a change", 1); chat.KindOf(
			err) != chat.NotFound {
			t.Fatal(err)
		}
		if _, err := s.UsersByName(t.Context(), []string{"in a read"}); err != nil {
			t.Fatal(err)
		}
		for value, inText := range map[string]bool{
			"in a batch": test.joined, "in a change": false, "in a read": false,
		} {
			var texts, bound int
			row := b.Admin.QueryRowContext(t.Context(),
				"SELECT COALESCE(SUM(command_type='Query'),0),"+
					"COALESCE(SUM(command_type='Execute'),0) FROM mysql.general_log"+
					" WHERE argument LIKE ? AND user_host LIKE ?", "%'"+value+"'%", b.User+"%")
			if err := row.Scan(&texts, &bound); err != nil {
				t.Fatal(err)
			}
			if inText != (texts > 0) || inText == (bound > 0) {
				t.Errorf("joining %d: %q came in %d texts, and bound %d times", test.join, value,
					texts, bound)
			}
		}
	}
}
