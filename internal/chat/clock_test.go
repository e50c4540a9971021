package chat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestTheClockJumpsAnHourBackAndForward(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		want, wantGroup := "", ""
		jumps := []time.Duration{0, -time.Hour, time.Hour, time.Hour, -2 * time.Hour, 3 * time.Hour}
		for i, jump := range jumps {
			w.advance(jump)
			for range 2 {
				text := fmt.Sprint("jump ", i)
				id := w.stored(w.pairText(1, 2, text))
				want = fmt.Sprintf("%d:%s %s", id, text, want)
				id = w.stored(w.groupText(1, g, text))
				wantGroup = fmt.Sprintf("%d:%s %s", id, text, wantGroup)
			}
			wantSame(w, "the pair", brief(w.all(2, chat.PairTalk(1, 2)))+" ", want)
			wantSame(w, "the group", brief(w.all(2, chat.GroupTalk(g)))+" ", wantGroup)
			wantSame(w, "unread", w.unread(2), fmt.Sprintf("1=%d g%d=%d", 2*(i+1), g, 2*(i+1)))
		}
	})
}
