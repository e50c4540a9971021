package command_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func message(from, to uint32, typ chat.MsgType, data string) *impb.IMMsgData {
	return &impb.IMMsgData{FromUserId: &from, ToSessionId: &to, MsgId: new(uint32(0)),
		CreateTime: new(uint32(time.Now().Unix())),
		MsgType:    impb.MsgType(typ).Enum(), MsgData: []byte(data)}
}

func text(from, to uint32, data string) *impb.IMMsgData {
	return message(from, to, chat.PairText, data)
}

func groupText(from, group uint32, data string) *impb.IMMsgData {
	return message(from, group, chat.GroupText, data)
}

func TestAMessageComesBackWithItsIDFilledInAndNothingElseChanged(t *testing.T) {
	rule(t, func(w *world) {
		for i, change := range []func(*impb.IMMsgData){
			func(*impb.IMMsgData) {},
			func(m *impb.IMMsgData) { m.MsgId = new(uint32(77)) }, // the request's own is ignored
			func(m *impb.IMMsgData) { m.CreateTime = new(uint32(0)) },
			// stored bounded, echoed as it is
			func(m *impb.IMMsgData) { m.CreateTime = new(uint32(4294967295)) },
			func(m *impb.IMMsgData) { m.AttachData = []byte{} },
			func(m *impb.IMMsgData) { m.AttachData = []byte("\x00\xff") },
			func(m *impb.IMMsgData) {
				m.MsgType = impb.MsgType(chat.PairVoice).Enum()
				m.MsgData = []byte("\x00\x00\x00\x00\xff")
			},
		} {
			req := text(1, 2, "x")
			change(req)
			want := proto.Clone(req).(*impb.IMMsgData)
			want.MsgId = new(uint32(i + 1))
			if answer := w.ask(req); !proto.Equal(answer, want) {
				w.Errorf("answered %v, want %v", answer, want)
			}
		}
	})
}

func TestWhatIsNotStoredComesBackWithID0OrNotAtAll(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		for name, test := range map[string]struct {
			req  *impb.IMMsgData
			want int // -1: no answer
		}{
			"no data":               {text(1, 2, ""), -1},
			"no data in a group":    {groupText(1, 1, ""), -1},
			"no data to oneself":    {text(1, 1, ""), -1},
			"no data in voice":      {message(1, 2, chat.PairVoice, ""), -1},
			"not in the group":      {groupText(9, 1, "x"), -1},
			"voice, not in it":      {message(9, 1, chat.GroupVoice, "1234sound"), -1},
			"to oneself":            {text(1, 1, "x"), 0},
			"from 0":                {text(0, 1, "x"), 0},
			"to 0":                  {text(1, 0, "x"), 0},
			"in group 0":            {groupText(1, 0, "x"), 0},
			"voice of four bytes":   {message(1, 2, chat.PairVoice, "1234"), 0},
			"too long":              {text(1, 2, strings.Repeat("x", 4097)), 0},
			"too long for anybody":  {groupText(9, 1, strings.Repeat("x", 4097)), 0},
			"not UTF-8":             {text(1, 2, "\xff"), 0},
			"with a NUL in a group": {groupText(1, 1, "\x00"), 0},
		} {
			test.req.MsgId = new(uint32(5))
			test.req.AttachData = []byte("attached")
			want := proto.Clone(test.req).(*impb.IMMsgData)
			want.MsgId = new(uint32(0))
			switch answer := w.ask(test.req); {
			case test.want == -1 && answer != nil:
				w.Errorf("%s: answered %v", name, answer)
			case test.want == 0 && !proto.Equal(answer, want):
				w.Errorf("%s: answered %v, want %v", name, answer, want)
			}
		}
	})
}

// What is pipelined takes effect in the order sent, though nobody waits for answers.

func TestReadsAfterAReadAckSeeIt(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		w.ask(&impb.IMDeviceTokenReq{UserId: new(uint32(1)), DeviceToken: new("t"),
			ClientType: impb.ClientType(0x11).Enum()})
		unread := &impb.IMUnreadMsgCntReq{UserId: new(uint32(1))}
		for range 20 {
			w.ask(text(2, 1, "x"))
			w.ask(groupText(2, 1, "x"))
			if got := w.ask(unread).(*impb.IMUnreadMsgCntRsp); got.GetTotalCnt() != 2 ||
				len(got.GetUnreadinfoList()) != 2 {
				w.Fatalf("after two messages: %v", got)
			}
			acks := []<-chan answered{
				w.begin(frame(w, &impb.IMMsgDataReadAck{UserId: new(uint32(1)),
					SessionId: new(uint32(2)), MsgId: new(uint32(0)),
					SessionType: impb.SessionType(1).Enum()})),
				w.begin(frame(w, &impb.IMMsgDataReadAck{UserId: new(uint32(1)),
					SessionId: new(uint32(1)), MsgId: new(uint32(0)),
					SessionType: impb.SessionType(2).Enum()})),
			}
			if got := w.ask(unread).(*impb.IMUnreadMsgCntRsp); got.GetTotalCnt() != 0 {
				w.Fatalf("after the acks: %v", got)
			}
			answer := w.ask(&impb.IMGetDeviceTokenReq{UserId: []uint32{1}})
			tokens := answer.(*impb.IMGetDeviceTokenRsp)
			if len(tokens.GetUserTokenInfo()) != 1 ||
				tokens.GetUserTokenInfo()[0].GetPushCount() != 0 {
				w.Fatalf("after the acks: %v", tokens)
			}
			for _, a := range acks {
				if w.await(a).ok {
					w.Error("an ack was answered")
				}
			}
		}
	})
}

func TestOfflineFilesAreListedAsTheirOrderSays(t *testing.T) {
	rule(t, func(w *world) {
		add := func(task string) *impb.IMFileAddOfflineReq {
			return &impb.IMFileAddOfflineReq{FromUserId: new(uint32(1)), ToUserId: new(uint32(2)),
				TaskId: &task, FileName: new("n"), FileSize: new(uint32(1))}
		}
		remove := func(task string) *impb.IMFileDelOfflineReq {
			return &impb.IMFileDelOfflineReq{FromUserId: new(uint32(1)), ToUserId: new(uint32(2)),
				TaskId: &task}
		}
		list := func() <-chan answered {
			return w.begin(frame(w, &impb.IMFileHasOfflineReq{UserId: new(uint32(2))}))
		}
		var lists []<-chan answered
		for i := range 20 {
			w.begin(frame(w, add(fmt.Sprint(i))))
			w.begin(frame(w, remove(fmt.Sprint(i-1))))
			lists = append(lists, list())
		}
		for i, l := range lists {
			rsp := w.decode(entryOf(w, &impb.IMFileHasOfflineReq{}),
				w.await(l)).(*impb.IMFileHasOfflineRsp)
			if files := rsp.GetOfflineFileList(); len(files) != 1 ||
				files[0].GetTaskId() != fmt.Sprint(i) {
				w.Fatalf("list %d: %v", i, files)
			}
		}
	})
}

func TestOfPipelinedChangesTheLastStands(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		var all []<-chan answered
		for i := range 30 {
			all = append(all,
				w.begin(frame(w, &impb.IMChangeSignInfoReq{UserId: new(uint32(1)),
					SignInfo: new(fmt.Sprint(i))})),
				w.begin(frame(w, &impb.IMChangeAvatarReq{UserId: new(uint32(1)),
					AvatarUrl: new(fmt.Sprint(i))})),
				w.begin(frame(w, &impb.IMGroupShieldReq{UserId: new(uint32(1)),
					GroupId: new(uint32(1)), ShieldStatus: new(uint32(i))})))
		}
		for _, a := range all {
			if !w.await(a).ok {
				w.Error("no answer")
			}
		}
		w.raw.Want("SELECT sign_info,avatar,(SELECT value FROM IMProxyMute) FROM IMUser "+
			"WHERE id=1", "29 29 29")
	})
}

func TestPipelinedLoginsAreCountedOneByOne(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		var all []<-chan answered
		for range 13 {
			all = append(all, w.begin(frame(w,
				&impb.IMValidateReq{UserName: new("x"), Password: new("wrong")})))
		}
		for i, a := range all {
			want := 1
			if i >= 11 {
				want = 6
			}
			if got := outcome(w, w.decode(entryOf(w, &impb.IMValidateReq{}),
				w.await(a))); got != want {
				w.Errorf("try %d: code %d, want %d", i+1, got, want)
			}
		}
	})
}

func TestAMessageAndTheRemovalOfItsSessionTakeEffectInTheOrderSent(t *testing.T) {
	rule(t, func(w *world) {
		remove := &impb.IMRemoveSessionReq{UserId: new(uint32(2)),
			SessionType: impb.SessionType(1).Enum(), SessionId: new(uint32(1))}
		for range 20 {
			sent, removed := w.begin(frame(w, text(1, 2, "x"))), w.begin(frame(w, remove))
			if got := outcome(w, w.decode(entryOf(w, remove), w.await(removed))); got != 0 ||
				!w.await(sent).ok {
				w.Fatalf("removed with code %d", got)
			}
			list := w.ask(&impb.IMRecentContactSessionReq{UserId: new(uint32(2)),
				LatestUpdateTime: new(uint32(0))}).(*impb.IMRecentContactSessionRsp)
			if len(list.GetContactSessionList()) != 0 {
				w.Fatalf("still listed: %v", list)
			}
		}
	})
}
