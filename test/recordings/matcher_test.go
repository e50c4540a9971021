package recordings

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

// answered is a recorded frame with every kind of value, to be spoilt.
const answered = `{"service": 2, "command": "0x0202", "seq": 198, "message":
	"IMRecentContactSessionRsp", "body": {
	"attach_data": "eA==", "user_id": 3, "contact_session_list": [
	{"latest_msg_data": "cGluZw==", "latest_msg_from_user_id": 1,
	"latest_msg_id": 1, "latest_msg_type": 17,
	 "session_id": 2, "session_status": 0, "session_type": 2, "updated_time": "$now"},
	{"latest_msg_data": "cG9uZw==", "latest_msg_from_user_id": 2,
	"latest_msg_id": 9, "latest_msg_type": 1,
	 "session_id": 7, "session_status": 0, "session_type": 1, "updated_time": "$now+100"}]}}`

func readFrame(t *testing.T, text string) recordedFrame {
	t.Helper()
	var f recordedFrame
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestMatcher spoils a frame in every way and sees that each is found, and the frame itself is not.
func TestMatcher(t *testing.T) {
	start := time.Now()
	want := readFrame(t, strings.Replace(answered, "$now+100", "$now", 1))
	diff := func(text string) string {
		frame, err := readFrame(t, text).encode(start)
		if err != nil {
			t.Fatal(err)
		}
		return gocmp.Diff(want.wanted(), want.seen(frame, start))
	}
	if d := diff(answered); d != "" {
		t.Errorf("the frame itself differs:\n%s", d)
	}
	named := diff(strings.Replace(answered, `"latest_msg_id": 9`, `"latest_msg_id": 10`, 1))
	if !strings.Contains(named, `"contact_session_list[0].latest_msg_id":`) {
		t.Errorf("the difference does not name the field:\n%s", named)
	}
	for what, spoilt := range map[string][2]string{
		"service":          {`"service": 2`, `"service": 3`},
		"command":          {`"0x0202"`, `"0x0203"`},
		"sequence number":  {`198`, `199`},
		"bytes":            {`"eA=="`, `"eQ=="`},
		"bytes absent":     {`"attach_data": "eA==",`, ``},
		"number":           {`"user_id": 3`, `"user_id": 4`},
		"number absent":    {`"user_id": 3,`, ``},
		"number in a list": {`"latest_msg_id": 9`, `"latest_msg_id": 8`},
		"enum":             {`"latest_msg_type": 17`, `"latest_msg_type": 18`},
		"zero absent":      {`"session_status": 0, "session_type": 2`, `"session_type": 2`},
		"nested bytes":     {`"cGluZw=="`, `"cGluZ3g="`},
		"a time too late":  {`$now+100`, `$now+301`},
		"a time too early": {`"updated_time": "$now"}`, `"updated_time": 1400000000}`},
	} {
		text := strings.Replace(answered, spoilt[0], spoilt[1], 1)
		if text == answered {
			t.Fatalf("%s: nothing was spoilt", what)
		}
		if diff(text) == "" {
			t.Errorf("%s: not found", what)
		}
	}
}

// TestMatcherFindsWhatIsTooMuch adds fields, known and unknown, and list elements to a frame.
func TestMatcherFindsWhatIsTooMuch(t *testing.T) {
	start := time.Now()
	want := readFrame(t, `{"service": 3, "command": "0x030a", "seq": 1, "message":
		"IMGetMsgByIdRsp", "body": {
		"user_id": 1, "session_type": 1, "session_id": 2}}`)
	frame, err := want.encode(start)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(want.wanted(), want.seen(frame, start)); d != "" {
		t.Fatalf("the frame itself differs:\n%s", d)
	}
	body := frame.Body
	for what, more := range map[string][]byte{
		"empty bytes": protowire.AppendBytes(protowire.AppendTag(nil, 20, protowire.BytesType),
			nil),
		"a list": protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), nil),
		"unknown": protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType),
			1),
		"broken": {0xff},
	} {
		frame.Body = append(body[:len(body):len(body)], more...)
		if gocmp.Diff(want.wanted(), want.seen(frame, start)) == "" {
			t.Errorf("%s: not found", what)
		}
	}
}

// TestReplayNotices replays recordings that were spoilt against the binary: each must fail.
func TestReplayNotices(t *testing.T) {
	var single, framing recording
	for _, r := range readRecordings(t) {
		switch r.Scenario {
		case "single-text":
			single = r
		case "framing":
			framing = r
		}
	}
	p := rig.Start(t, rig.NewStore(t))
	for _, tt := range []struct {
		what  string
		steps []step
		want  string
	}{
		{"an answer that was not recorded", []step{{Send: single.Steps[0].Send}, single.Steps[1]},
			"seq"},
		{"one at the end", []step{{Send: single.Steps[0].Send}}, "after all steps"},
		{"a wrong field", []step{{Send: single.Steps[0].Send, Recv: single.Steps[1].Recv}},
			"map[step 0:"},
		{"a connection that is to be closed", []step{{Send: single.Steps[0].Send, Closed: true}},
			"instead of closing"},
		{"a connection that is not to be closed", []step{{Raw: framing.Steps[8].Raw},
			single.Steps[3]}, "ended"},
	} {
		r := replay{recording: recording{Scenario: tt.what, Steps: tt.steps}, addr: p.Addr,
			write: writeBytes}
		diffs, err := r.run(t.Context())
		if got := fmt.Sprint(diffs, err); !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %v", tt.what, got)
		}
	}
}

// left is a leftover with every kind of value, to be spoilt: a time of the run as JSON, the same as
// text, a userCnt, and a file's URL are to be filled in.
const left = `{"database": {
	"IMGroup": [{"id": 1, "name": "g", "userCnt": %[3]s, "updated": %[1]s},
		{"id": 2, "name": "h", "updated": 5}],
	"IMRecentSession": [{"userId": 1, "status": null, "updated": %[1]s},
		{"userId": 2, "status": 0, "updated": %[1]s}],
	"IMAudio": [{"id": 1, "path": "%[4]s"}]},
	"redis": {"msg_id_1": "3", "group_member_1": {"1": "%[2]s", "2": "%[2]s"}, "device_x": ""}}`

// TestLeftoverNotices spoils a leftover in every way and sees that each is found, and the leftover
// itself is not.
func TestLeftoverNotices(t *testing.T) {
	start := time.Now()
	read := func(text string) leftover {
		t.Helper()
		var r recording
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		l, err := r.leftover()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	late := fmt.Sprint(start.Unix() + 2)
	recorded := fmt.Sprintf(left, `"$now"`, "$now", "4", "$url")
	got := fmt.Sprintf(left, late, late, "2", "http://files/1.audio")
	diff := func(got string) map[string]string {
		return compareLeftover(t, marks{start, "http://files/"}, read(recorded), read(got))
	}
	if d := diff(got); len(d) > 0 {
		t.Errorf("the leftover itself differs: %v", d)
	}
	for _, tt := range []struct{ where, old, with string }{
		{"table IMGroup", `"id": 2`, `"id": 3`},
		{"table IMGroup", `{"id": 2,`, `{"id": 1, "name": "g", "updated": ` + late +
			`}, {"id": 2,`},
		{"table IMGroup", `"updated": ` + late, `"updated": 5`},
		{"table IMGroup", `"updated": 5`, `"updated": ` + late},
		{"table IMRecentSession", `null`, `0`},
		{"table IMRecentSession", `"userId": 1,`, ``},
		{"table IMRecentSession", `"IMRecentSession"`, `"IMRecentSessions"`},
		{"table IMDepart (changed)", `"IMGroup"`, `"IMDepart (changed)": [{"id": 1}], "IMGroup"`},
		{"table IMAudio", `http://files/`, `http://other/`},
		{"key msg_id_1", `"3"`, `"4"`},
		{"key msg_id_1", `"3"`, `{"3": "3"}`},
		{"key msg_id_1", `"msg_id_1": "3", `, ``},
		{"key device_x", `, "device_x": ""`, ``},
		{"key unread_1", `"msg_id_1"`, `"unread_1": {"2": "1"}, "msg_id_1"`},
		{"key group_member_1", `"2": "` + late + `"`, `"3": "` + late + `"`},
		{"key group_member_1", `"2": "` + late + `"`, `"2": "5"`},
	} {
		spoilt := strings.Replace(got, tt.old, tt.with, 1)
		if spoilt == got {
			t.Fatalf("there is no %s", tt.old)
		}
		if d := diff(spoilt); d[tt.where] == "" {
			t.Errorf("%s instead of %s: found %v", tt.with, tt.old, d)
		}
	}
}
