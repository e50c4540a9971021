package call

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// page is a page of messages with texts, and with bytes that are none.
func page() *impb.IMGetMsgListRsp {
	kind := impb.MsgType_MSG_TYPE_SINGLE_TEXT.Enum()
	info := func(id uint32, data string) *impb.MsgInfo {
		return &impb.MsgInfo{
			MsgId: &id, FromSessionId: &id, CreateTime: &id, MsgType: kind, MsgData: []byte(data),
		}
	}
	return &impb.IMGetMsgListRsp{
		UserId: proto.Uint32(1),
		MsgList: []*impb.MsgInfo{
			info(1, "a <b> \"你好\" 👩‍👩‍👧\n"), info(2, "\x00\x00\x00\x03abc"), info(3, "\xff"),
			info(4, "\x1b[31m"), info(5, "B4ARdOHy4UktX4x32eJ3vQ=="),
		},
		AttachData: []byte{},
	}
}

func TestDecodedJSONDiffersInBytesAlone(t *testing.T) {
	texts, err := chat.NewTextCipher(chat.DefaultVoiceKey)
	if err != nil {
		t.Fatal(err)
	}
	for decode, want := range map[bool][]string{
		false: {
			"YSA8Yj4gIuS9oOWlvSIg8J+RqeKAjfCfkanigI3wn5GnCg==", "AAAAA2FiYw==", "/w==",
			"G1szMW0=", "QjRBUmRPSHk0VWt0WDR4MzJlSjN2UT09",
		},
		true: {
			"a <b> \"你好\" 👩‍👩‍👧\n", "base64:AAAAA2FiYw==", "base64:/w==",
			"base64:G1szMW0=", "hello world!",
		},
	} {
		var decoded decoder
		if decode {
			decoded = decoding(texts)
		}
		text, err := formatJSON(page(), decoded)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			UserID     int     `json:"user_id"`
			AttachData *string `json:"attach_data"`
			MsgList    []struct {
				MsgID   int    `json:"msg_id"`
				MsgType string `json:"msg_type"`
				MsgData string `json:"msg_data"`
			} `json:"msg_list"`
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		noData := got.AttachData != nil && *got.AttachData == ""
		if got.UserID != 1 || !noData || len(got.MsgList) != len(want) {
			t.Fatalf("decode %v:\n%s", decode, text)
		}
		for i, w := range want {
			g := got.MsgList[i]
			if g.MsgData != w || g.MsgID != i+1 || g.MsgType != "MSG_TYPE_SINGLE_TEXT" {
				t.Errorf("decode %v: got %+v, want the data %q", decode, g, w)
			}
		}
		if decode && !bytes.Contains(text, []byte("<b>")) {
			t.Errorf("< is not shown as it is:\n%s", text)
		}
	}
}

// Whatever comes, the explanation ends, shows all bytes, and fits a terminal.
func TestExplainedFramesOfAnyKind(t *testing.T) {
	body := bytes.Repeat([]byte("ab"), 20)
	whole := pdu.Frame{Service: 3, Command: 0x0301, Seq: 65535, Body: body}.Append(nil)
	heartbeat := pdu.Frame{Service: 7, Command: 0x0701}.Append(nil)
	for name, stream := range map[string][]byte{
		"two":        append(bytes.Clone(heartbeat), whole...),
		"cut":        whole[:40],
		"header cut": whole[:9],
		"too short":  []byte("\x00\x00\x00\x05\x00\x01\x00\x00\x00\x00\x99\x99\x00\x00\x00\x00abc"),
		"too long":   []byte("\xff\xff\xff\xff\x00\x01\x00\x00\xff\xff\x99\x99\xff\xff\xff\xffabc"),
		"no frame":   []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"),
	} {
		var out bytes.Buffer
		explainFrames(&out, "received", stream)
		shown := 0
		for line := range strings.Lines(out.String()) {
			if terminal.Width(strings.TrimSuffix(line, "\n")) > lineWidth {
				t.Errorf("%s: %q is wider than %d cells", name, line, lineWidth)
			}
			if _, text, ok := strings.Cut(line, "  |"); ok {
				shown += len(strings.TrimSuffix(text, "|\n"))
			}
		}
		headers := strings.Count(out.String(), "  version ")
		if shown += headers * pdu.HeaderLen; shown != len(stream) {
			t.Errorf("%s: %d of %d bytes are shown:\n%s", name, shown, len(stream), &out)
		}
	}
}
