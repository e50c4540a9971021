package input

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// nastyText is a text to be tried where any may stand.
type nastyText struct{ what, text string }

// nastyTexts are what is tried as every text of every request.
var nastyTexts = append([]nastyText{
	{"empty", ""},
	{"quotes", rig.Secret + `'; DROP TABLE IMUser; -- " \ ` + "`"},
	{"or true", rig.Secret + `' OR '1'='1`},
	{"comments", "/*" + rig.Secret + "'*/ /*!50000 ' -- # \"" + "`"},
	{"format", rig.Secret + "%s %n ${x} $1 ? :a"},
	{"NUL", rig.Secret + "\x00after"},
	{"invalid UTF-8", rig.Secret + "\xff\xfe\xc0\x80"},
	{"newlines", rig.Secret + "\r\n{\"level\":\"ERROR\"}\n"},
	{"long", rig.Secret + strings.Repeat("😀", 20000)},
	{"as long as may be", strings.Repeat("中'\\😀", 1024)},
	{"trail bytes", "\x95\x5c'\xa5\x5c\\"},
}, injections()...)

// injections are texts that do harm where the server takes the bytes of UTF-8 for another character
// set. There the last byte of the first character makes one character with the backslash that is
// put before a quote, so that the quote ends the text: that of 中 in big5 and gbk, that of Á in
// sjis and cp932. Of bytes that are no UTF-8 few are tried, as the log does not say the same often.
func injections() (texts []nastyText) {
	for _, lead := range []string{"中", "Á"} {
		for _, rest := range []string{
			`'; DELETE FROM IMUser; #`,                       // empties a table
			`'; UPDATE IMUser SET password=0x6162 #`,         // sets everybody's
			`',password=0x61 #`,                              // the same, in an UPDATE
			`' OR 1=1 #`,                                     // finds somebody
			`\' OR 1=1 #`,                                    // the same
			`',1,0,1,1),(1,2,1,99,0x666f72676564,1,0,1,1) #`, // forges a message
			`"; DELETE FROM IMUser; #`,                       // in ANSI_QUOTES
			"`; DELETE FROM IMUser; #",                       // as a name
			`'/*`,                                            // what follows is no part of it
			`\`,                                              // takes the quote after it
		} {
			texts = append(texts, nastyText{lead + rest, lead + rest})
		}
	}
	return append(texts,
		nastyText{"a lead byte of gbk", "\xbf' OR 1=1 #"},
		nastyText{"one of sjis", "\x81' OR 1=1 #"})
}

// TestNastyTexts puts every nasty text in every text field of every request, and has administrators
// use those that they may. Each request is answered, or the log says why it was not; the
// connection, the store and the other connections are as before; no log has a text; and all servers
// have in their tables what the embedded store has, which knows no character sets.
func TestNastyTexts(t *testing.T) {
	var wanted contents
	t.Run(rig.Embedded.Name, func(t *testing.T) {
		wanted = nastyTextsEverywhere(t, rig.Embedded.At(t))
	})
	if wanted == nil {
		t.FailNow()
	}
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			wanted.compare(t, nastyTextsEverywhere(t, s.at(t)))
		})
	}
}

func nastyTextsEverywhere(t *testing.T, w *rig.Setup) contents {
	w.Start(t, "--log-level", "debug")
	p, other, db := w.Proxy(0), w.Dial(t, 0), w.DB
	if g := rig.Call[*impb.IMGroupCreateRsp](t, other,
		rig.NewGroup(1, 1, 2, 3)).GetGroupId(); g != 1 {
		t.Fatalf("the first group is %d", g)
	}
	tables := "SELECT count(*) FROM sqlite_schema"
	if w.Data == "" {
		tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()"
	}
	before := rig.Count(t, db, tables)
	for _, e := range catalog.Entries() {
		for _, req := range variants(e) {
			fields := req.ProtoReflect().Descriptor().Fields()
			for i := range fields.Len() {
				if f := fields.Get(i); f.Kind() == protoreflect.StringKind ||
					f.Kind() == protoreflect.BytesKind {
					for _, n := range nastyTexts {
						tryText(t, p, e, req, f, n.what, n.text)
					}
				}
			}
		}
		rig.CheckServed(t, other)
	}
	if n := rig.Count(t, db, "SELECT count(*) FROM IMUser"); n != 10 {
		t.Errorf("%d users are left of 10", n)
	}
	for _, n := range nastyTexts {
		if fit(n.text, chat.MaxSignature) && n.text != "" {
			storeText(t, other, n.text)
		}
	}
	administerNasty(t, w)
	repairNasty(t, w)
	if after := rig.Count(t, db, tables); after != before {
		t.Errorf("%d tables and indexes were there before, %d are now", before, after)
	}
	if w.Data != "" {
		var sound string
		if err := db.QueryRowContext(t.Context(),
			"PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
			t.Errorf("integrity check: %s, %v", sound, err)
		}
	}
	for _, l := range p.Log.Lines() {
		if l.Attrs == nil || strings.Contains(l.Raw, rig.Secret) {
			t.Errorf("a line of the log is broken or has content: %.300s", l.Raw)
		}
	}
	return readContents(t, w)
}

// fit is whether a text may be stored where so many bytes may stand.
func fit(text string, bytes int) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0) && len(text) <= bytes
}

// variants are the requests of an entry to be spoilt: one, or for messages one of each type.
func variants(e catalog.Entry) []proto.Message {
	req := filled(e.Request)
	if _, ok := req.(*impb.IMMsgData); !ok {
		return []proto.Message{req}
	}
	return []proto.Message{
		rig.PairText(1, 2, "some data"), rig.GroupText(1, 1, "some data"),
		rig.Message(impb.MsgType_MSG_TYPE_SINGLE_AUDIO, 1, 2, "\x00\x00\x00\x01sound"),
		rig.Message(impb.MsgType_MSG_TYPE_GROUP_AUDIO, 1, 1, "\x00\x00\x00\x01sound"),
	}
}

// tryText sends one nasty request on a connection of its own.
func tryText(
	t *testing.T, p *harness.Proxy, e catalog.Entry, example proto.Message,
	f protoreflect.FieldDescriptor, what, text string,
) {
	t.Helper()
	req := proto.Clone(example)
	if f.Name() == "user_name" { // the log names who is refused a login
		text = strings.ReplaceAll(text, rig.Secret, "who")
	}
	if f.Kind() == protoreflect.StringKind {
		req.ProtoReflect().Set(f, protoreflect.ValueOfString(text))
	} else {
		req.ProtoReflect().Set(f, protoreflect.ValueOfBytes([]byte(text)))
	}
	w, err := rig.DialWire(t.Context(), p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Put(t, rig.FrameOf(t, req, 1).Append(nil))
	if err := w.CloseWrite(); err != nil { // it is answered, or not, before the server closes
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s, %s %s", e.Name(), f.Name(), what)
	answer, err := w.Next(rig.Within(t))
	if err != nil {
		peer := w.LocalAddr().String()
		refused := func(l harness.Line) bool {
			return l.Text("peer") == peer && l.Text("message") == e.Name() && l.Text("reason") != ""
		}
		if e.Answer != nil && !slices.ContainsFunc(p.Log.Lines(), refused) {
			ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
			defer cancel()
			if _, err := p.Log.Await(ctx, refused); err != nil {
				t.Errorf("%s: no answer, and no line of the log says why: %v", name, err)
			}
		}
		return
	}
	checkEcho(t, name, e, req, f, answer)
	if err := w.AwaitClosed(rig.Within(t)); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// checkEcho sees that an answer has what is echoed, byte for byte: attach_data, the name of a
// login, a message's data; and that a message is not said to be stored when its text cannot be.
func checkEcho(
	t *testing.T, name string, e catalog.Entry, req proto.Message, f protoreflect.FieldDescriptor,
	answer pdu.Frame,
) {
	t.Helper()
	if e.Answer == nil || answer.Command != e.AnswerCommand || answer.Seq != 1 {
		t.Errorf("%s: answered by command 0x%04x", name, answer.Command)
		return
	}
	got := catalog.New(e.Answer)
	if err := proto.Unmarshal(answer.Body, got); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if echo := got.ProtoReflect().Descriptor().Fields().ByName(f.Name()); echo != nil &&
		(f.Name() == "attach_data" ||
			f.Name() == "user_name" || f.Name() == "msg_data" || f.Name() == "group_name") {
		want, came := req.ProtoReflect().Get(f), got.ProtoReflect().Get(echo)
		if !want.Equal(came) {
			t.Errorf("%s: the answer has %.60q, not %.60q", name, came.String(), want.String())
		}
	}
	if m, ok := got.(*impb.IMMsgData); ok {
		text := m.GetMsgType() == impb.MsgType_MSG_TYPE_SINGLE_TEXT ||
			m.GetMsgType() == impb.MsgType_MSG_TYPE_GROUP_TEXT
		unfit := len(m.GetMsgData()) <= 4 && !text || text &&
			(bytes.ContainsRune(m.GetMsgData(), 0) ||
				!bytes.Equal(bytes.ToValidUTF8(m.GetMsgData(), nil), m.GetMsgData()) ||
				len([]rune(string(m.GetMsgData()))) > 4096)
		if stored := m.GetMsgId() != 0; stored == unfit {
			t.Errorf("%s: message id %d", name, m.GetMsgId())
		}
	}
}

// TestTextsComeBackAsSent stores texts that are unusual but right, and reads them again.
func TestTextsComeBackAsSent(t *testing.T) { rig.OnStores(t, storeUnusualTexts) }

func storeUnusualTexts(t *testing.T, w *rig.Setup) {
	w.Start(t)
	c := w.Dial(t, 0)
	for what, text := range map[string]string{
		"quotes":    `it's "a" \ ` + "`b`" + ` '; DROP TABLE IMUser; --`,
		"format":    "100% %s %d ${x} ? :a $1 @v",
		"controls":  "tab\tnewline\r\nbell\a",
		"languages": "你好 😀 e\u0301 مرحبا \U0010ffff",
		"spaces":    "  around  ",
	} {
		t.Run(what, func(t *testing.T) { storeText(t, c, text) })
	}
}

// storeText stores a text in all that keeps one, and reads it again.
func storeText(t *testing.T, c *client.Client, text string) {
	t.Helper()
	id := rig.Call[*impb.IMMsgData](t, c, rig.PairText(1, 2, text)).GetMsgId()
	list := rig.Call[*impb.IMGetMsgByIdRsp](t, c, &impb.IMGetMsgByIdReq{
		UserId: proto.Uint32(2), SessionType: rig.Pair.Enum(), SessionId: proto.Uint32(1),
		MsgIdList: []uint32{id},
	}).GetMsgList()
	if len(list) != 1 || string(list[0].GetMsgData()) != text {
		t.Errorf("message: %v", list)
	}

	sign := &impb.IMChangeSignInfoReq{UserId: proto.Uint32(1), SignInfo: &text}
	avatar := &impb.IMChangeAvatarReq{UserId: proto.Uint32(1), AvatarUrl: &text}
	if r := rig.Call[*impb.IMChangeSignInfoRsp](t, c, sign); r.GetResultCode() != 0 {
		t.Errorf("signature: %v", r)
	}
	if r := rig.Call[*impb.IMChangeAvatarRsp](t, c, avatar); r.GetResultCode() != 0 {
		t.Errorf("avatar: %v", r)
	}
	user := rig.Call[*impb.IMUsersInfoRsp](t, c, rig.UsersInfo(1, 1)).GetUserInfoList()[0]
	if user.GetSignInfo() != text || user.GetAvatarUrl() != text {
		t.Errorf("user: %v", user)
	}

	create := rig.NewGroup(1, 1, 2)
	create.GroupName, create.GroupAvatar = &text, &text
	g := rig.Call[*impb.IMGroupCreateRsp](t, c, create).GetGroupId()
	groups := rig.Call[*impb.IMGroupInfoListRsp](t, c, &impb.IMGroupInfoListReq{
		UserId: proto.Uint32(1), GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &g,
			Version: proto.Uint32(0)}},
	}).GetGroupInfoList()
	if len(groups) != 1 || groups[0].GetGroupName() != text || groups[0].GetGroupAvatar() != text {
		t.Errorf("group: %v", groups)
	}

	token := &impb.IMDeviceTokenReq{UserId: proto.Uint32(3), DeviceToken: &text,
		ClientType: impb.ClientType_CLIENT_TYPE_ANDROID.Enum()}
	rig.Call[*impb.IMDeviceTokenRsp](t, c, token)
	tokens := rig.Call[*impb.IMGetDeviceTokenRsp](t, c,
		&impb.IMGetDeviceTokenReq{UserId: []uint32{3}}).GetUserTokenInfo()
	if len(tokens) != 1 || tokens[0].GetToken() != text {
		t.Errorf("token: %v", tokens)
	}

	m := original.Beside(t, nil, c)
	m.Post(&impb.IMFileAddOfflineReq{FromUserId: proto.Uint32(1), ToUserId: proto.Uint32(4),
		TaskId:   &text,
		FileName: &text, FileSize: proto.Uint32(1)})
	files := func() []*impb.OfflineFileInfo {
		list := &impb.IMFileHasOfflineReq{UserId: proto.Uint32(4)}
		return rig.Call[*impb.IMFileHasOfflineRsp](t, c, list).GetOfflineFileList()
	}
	if list := files(); len(list) != 1 || list[0].GetTaskId() != text ||
		list[0].GetFileName() != text {
		t.Errorf("file: %v", list)
	}
	m.Post(&impb.IMFileDelOfflineReq{FromUserId: proto.Uint32(1), ToUserId: proto.Uint32(4),
		TaskId: &text})
	if list := files(); len(list) != 0 {
		t.Errorf("removed file: %v", list)
	}
}
