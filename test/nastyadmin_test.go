package test

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/harness"
)

// command runs a command of administrators on the place.
func (w *place) command(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	where := []string{"--data", w.data}
	if w.fleet != nil {
		where = []string{"--config", writeConfig(t, w.fleet.conf)}
	}
	return harness.Run(within(t), dbproxy, stdin, append(args, where...)...)
}

// administer is command for one that must succeed.
func (w *place) administer(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := w.command(t, stdin, args...)
	if err != nil {
		t.Errorf("%.300v", err)
	}
	return out
}

// administerNasty has administrators use the nasty texts that they may. Whoever they make with one
// as a password logs in.
func (w *place) administerNasty(t *testing.T) {
	t.Helper()
	c := w.dial(t, 0)
	var people bytes.Buffer
	list := csv.NewWriter(&people)
	rows := [][]string{{"name", "password", "nick", "domain", "email"}}
	for i, n := range nastyTexts {
		text := n.text
		if !fit(text, chat.MaxUserName) || text == "" || strings.ContainsAny(text, "\r\n") {
			continue
		}
		w.administer(t, text+"\n", "user", "add", text, "--nick", text, "--domain", text,
			"--email", text)
		w.administer(t, "", "user", "edit", "9", "--signature", text, "--avatar", text)
		w.administer(t, "", "department", "add", text, "--priority", fmt.Sprint(i))
		w.administer(t, "", "group", "create", text, "--creator", "1", "--members", "1,2", "--avatar", text)
		var shown struct{ Name, Nick string }
		out := w.administer(t, "", "user", "show", text, "--json")
		out = out[max(strings.Index(out, "{\n"), 0):] // warnings may come before it
		if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.Name != text || shown.Nick != text {
			t.Errorf("%q is shown as %q: %v", text, out, err)
		}
		name := []rune(fmt.Sprint(i, text))
		rows = append(rows, []string{string(name[:min(len(name), chat.MaxUserName)]), text, text, text, text})
		login := call[*impb.IMValidateRsp](t, c, &impb.IMValidateReq{
			UserName: &text, Password: proto.String(client.WirePassword(text)),
		})
		if login.GetResultCode() != 0 || login.GetUserInfo().GetUserNickName() != text {
			t.Errorf("%q logs in: %v", text, login)
		}
	}
	if err := list.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	feed := w.administer(t, "", "tail", "--once", "--content", "--lines", "1000")
	if !strings.Contains(feed, "中',password=0x61 #") {
		t.Errorf("the feed does not have a message:\n%.2000s", feed)
	}
	w.administer(t, people.String(), "user", "import", "-")
	w.administer(t, people.String(), "user", "import", "-", "--update")
}

// repairNasty leaves what races of original servers leave behind, with nasty texts in it, and has
// it repaired.
func (w *place) repairNasty(t *testing.T) {
	t.Helper()
	db, literal := w.db, "CONVERT(X'%x' USING utf8mb4)"
	if w.data != "" {
		var err error
		file := filepath.Join(w.data, "dbproxy.db")
		db, err = sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		literal = "CAST(X'%x' AS TEXT)"
	}
	exec := func(query string) {
		t.Helper()
		if _, err := db.ExecContext(within(t), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	for _, relation := range []int{800001, 800002} { // of one pair: one too many
		exec(fmt.Sprintf("INSERT INTO IMRelationShip (id,smallId,bigId,status,created,updated)"+
			" VALUES (%d,8,9,0,1,1)", relation))
		for i, n := range nastyTexts {
			if fit(n.text, chat.MaxContent) {
				exec(fmt.Sprintf("INSERT INTO IMMessage_%d "+
					"(relateId,fromId,toId,msgId,content,type,status,updated,created)"+
					" VALUES (%d,8,9,%d,"+literal+",1,0,1,1)", relation%8, relation, i+1, n.text))
			}
		}
	}
	repaired := w.administer(t, "", "doctor", "--repair", "--yes", "--json")
	if !strings.Contains(repaired, "split-talk") {
		t.Errorf("the doctor saw no split talk:\n%s", repaired)
	}
}
