//go:build !race

package faults

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// TestMsfsFaults has msfs fail in every way while proxies are at work. Voice messages are refused
// in time, pages list those of before without their sound, and nothing else notices.
func TestMsfsFaults(t *testing.T) {
	never := make(chan struct{})
	for name, trouble := range map[string]msfs.Trouble{
		"msfs down":   {Down: true},
		"msfs silent": {Hold: never},
		"msfs talks nonsense": {Answer: []byte(
			"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"error_c")},
		"msfs is no HTTP":         {Answer: []byte("220 mail.example.com ESMTP\r\n")},
		"msfs ends in mid-answer": {Cut: 20},
		"msfs refuses all uploads": {Answer: []byte(
			"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := rig.NewRedisFleet(t)
			observed(f)
			w := rig.OpenFleet(t, f)
			w.Proxies = make([]*harness.Proxy, 1)
			through(t, w, name, func(ctx context.Context) { breakMsfs(t, w, trouble) })
		})
	}
}

// breakMsfs has users talk before, while and after msfs is in trouble.
func breakMsfs(t *testing.T, w *rig.Setup, trouble msfs.Trouble) {
	t.Helper()
	const voices = inShortPage
	from, to := uint32(21), uint32(22)
	c := w.Dial(t, 0)
	say := func(m *impb.IMMsgData) uint32 { return rig.Call[*impb.IMMsgData](t, c, m).GetMsgId() }
	voice := func(text string) *impb.IMMsgData {
		return rig.Message(impb.MsgType_MSG_TYPE_SINGLE_AUDIO, from, to, "\x00\x00\x00\x07"+text)
	}
	shown := func() (messages []string) {
		for _, m := range rig.Call[*impb.IMGetMsgListRsp](t, c,
			rig.Page(to, rig.Pair, from, 0, 100)).GetMsgList() {
			messages = append(messages, fmt.Sprint(m.GetMsgId(), " ", string(m.GetMsgData())))
		}
		return messages
	}
	var with, without []string
	for i := range uint32(voices) {
		text := fmt.Sprintf("sound %05d", i)
		original.WantEqual(t, "id of a voice message", say(voice(text)), i+1)
		with = slices.Insert(with, 0, fmt.Sprint(i+1, " \x00\x00\x00\x07", text))
		without = slices.Insert(without, 0, fmt.Sprint(i+1, " \x00\x00\x00\x07"))
	}
	w.Fleet.Files.Trouble(trouble)
	refused := make(chan uint32, 1)
	go func() { // beside what follows
		other, err := client.Call[*impb.IMMsgData](rig.Within(t), c,
			rig.Message(impb.MsgType_MSG_TYPE_SINGLE_AUDIO, 23, 24, "\x00\x00\x00\x07lost"))
		if err != nil {
			t.Error(err)
		}
		refused <- other.GetMsgId()
	}()
	begun := time.Now()
	original.WantEqual(t, "id of a voice message that cannot be stored", say(voice("lost")), 0)
	took := time.Since(begun)
	original.WantEqual(t, "id of another pair's", <-refused, 0)
	original.WantEqual(t, "id of a text in the same talk",
		say(rig.PairText(from, to, "a text in between")), voices+1)
	text := fmt.Sprint(voices+1, " a text in between")
	begun = time.Now()
	if got, want := shown(), append([]string{text}, without...); !slices.Equal(got, want) {
		t.Errorf("a page shows %q, want %q", got, want)
	}
	t.Logf("a voice message was refused after %v; a page of %d was answered after %v",
		took.Round(time.Millisecond), voices,
		time.Since(begun).Round(time.Millisecond))
	w.Fleet.Files.Trouble(msfs.Trouble{})
	if got, want := shown(), append([]string{text}, with...); !slices.Equal(got, want) {
		t.Errorf("a page shows %q after all, want %q", got, want)
	}
	original.WantEqual(t, "id of a voice message after that", say(voice("found again")), voices+2)
}

// inShortPage is how many voice messages a page has: so many that they could not be waited for one
// after the other.
const inShortPage = 10
