package input

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
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// command runs a command of administrators on the setup's store.
func command(t *testing.T, w *rig.Setup, stdin string, args ...string) (string, error) {
	t.Helper()
	where := []string{"--data", w.Data}
	if w.Fleet != nil {
		where = []string{"--config", rig.WriteConfig(t, w.Fleet.Conf)}
	}
	return harness.Run(rig.Within(t), rig.Binary, stdin, append(args, where...)...)
}

// administer is command for one that must succeed.
func administer(t *testing.T, w *rig.Setup, stdin string, args ...string) string {
	t.Helper()
	out, err := command(t, w, stdin, args...)
	if err != nil {
		t.Errorf("%.300v", err)
	}
	return out
}

// administerNasty has administrators use the nasty texts that they may. Whoever they make with one
// as a name and a password logs in.
func administerNasty(t *testing.T, w *rig.Setup) {
	t.Helper()
	c := w.Dial(t, 0)
	people := [][]string{{"name", "password", "nick", "domain", "email"}}
	for _, n := range nastyTexts {
		if fit(n.text, chat.MaxUserName) && n.text != "" && !strings.ContainsAny(n.text, "\r\n") {
			people = append(people, []string{n.text, n.text, n.text, n.text, n.text})
		}
	}
	var file bytes.Buffer
	if err := csv.NewWriter(&file).WriteAll(people); err != nil {
		t.Fatal(err)
	}
	administer(t, w, file.String(), "user", "import", "-")
	administer(t, w, file.String(), "user", "import", "-", "--update")
	for i, row := range people[1:] {
		text := row[0]
		login := rig.Call[*impb.IMValidateRsp](t, c, &impb.IMValidateReq{
			UserName: &text, Password: proto.String(client.WirePassword(text)),
		})
		if login.GetResultCode() != 0 || login.GetUserInfo().GetUserNickName() != text {
			t.Errorf("%q logs in: %v", text, login)
		}
		if i%6 == 1 || allSettings() { // each takes several processes
			administerOne(t, w, text)
		}
	}
	feed := administer(t, w, "", "tail", "--once", "--content", "--lines", "1000")
	if !strings.Contains(feed, "中',password=0x61 #") {
		t.Errorf("the feed does not have a message:\n%.2000s", feed)
	}
}

// administerOne has administrators use a text that a user has as a name.
func administerOne(t *testing.T, w *rig.Setup, text string) {
	t.Helper()
	name := []rune("+" + text)
	name = name[:min(len(name), chat.MaxUserName)]
	administer(t, w, "secret\n", "user", "add", string(name),
		"--nick", text, "--domain", text, "--email", text)
	administer(t, w, text+"\n", "user", "passwd", text)
	administer(t, w, "", "user", "edit", "9", "--signature", text, "--avatar", text)
	administer(t, w, "", "department", "add", text)
	administer(t, w, "", "group", "create", text,
		"--creator", "1", "--members", "1,2", "--avatar", text,
		"--same-name") // clients have made such groups
	var shown struct{ Name, Nick string }
	out := administer(t, w, "", "user", "show", text, "--json")
	out = out[max(strings.Index(out, "{\n"), 0):] // warnings may come before it
	if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.Name != text ||
		shown.Nick != text {
		t.Errorf("%q is shown as %q: %v", text, out, err)
	}
}

// repairNasty leaves what races of original servers leave behind, with nasty texts in it, and has
// it repaired.
func repairNasty(t *testing.T, w *rig.Setup) {
	t.Helper()
	db, literal := w.DB, "CONVERT(X'%x' USING utf8mb4)"
	if w.Data != "" {
		var err error
		file := filepath.Join(w.Data, "dbproxy.db")
		db, err = sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		literal = "CAST(X'%x' AS TEXT)"
	}
	exec := func(query string) {
		t.Helper()
		if _, err := db.ExecContext(rig.Within(t), query); err != nil {
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
	repaired := administer(t, w, "", "doctor", "--repair", "--yes", "--json")
	if !strings.Contains(repaired, "split-talk") {
		t.Errorf("the doctor saw no split talk:\n%s", repaired)
	}
}
