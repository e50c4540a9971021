package chat_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// voiceLabel is [语音] encrypted with the default key, as SPEC gives it.
const voiceLabel = "QhGXlpFjvMFUNrtl1aaPzA=="

func TestVoiceComesBackByteForByte(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, test := range map[string]struct {
		duration uint32
		sound    string
	}{
		"some sound":           {7, "sound"},
		"one byte":             {1, "s"},
		"duration 0":           {0, "sound"},
		"the longest duration": {4294967295, "sound"},
		"every byte":           {3, string(every)},
		"zeros":                {0, "\x00\x00\x00\x00\x00"},
		"half a megabyte":      {60, repeat("語音\x00\xff", 60_000)},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				g := w.group(1, 2)
				w.stored(w.pairVoice(1, 2, test.duration, test.sound))
				w.stored(w.groupVoice(2, g, test.duration, test.sound))
				for _, talk := range []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(g)} {
					page := w.all(1, talk)
					byID, err := w.byID(w.ctx, 1, talk, []uint32{1})
					w.must(err)
					for _, got := range [][]chat.Message{page, byID} {
						if len(got) != 1 || got[0].Data != voiceData(test.duration, test.sound) ||
							!got[0].Type.Voice() {
							w.Errorf("%s: came back as %.60q", talk, brief(got))
						}
					}
				}
			})
		})
	}
}

func TestVoiceHasARowInIMAudioWhoseIDIsItsContent(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		first := w.pairVoice(2, 1, 7, "sound")
		first.Time = w.later(1000) // the client's, not bounded here
		w.stored(first)
		w.says(1, 2, "between")
		w.stored(w.groupVoice(1, g, 0, "other sound"))
		w.raw.Want("SELECT id,fromId,toId,size,duration,created FROM IMAudio ORDER BY id",
			fmt.Sprintf("1 2 1 5 7 %d", w.later(1000)), fmt.Sprintf("2 1 %d 11 0 %d", g, w.now()))
		w.raw.Want("SELECT content,type FROM IMMessage_1 ORDER BY id", "1 2", "between 1")
		w.raw.Want("SELECT content,type FROM IMGroupMessage_1 ORDER BY id", "2 18")
	})
}

func TestVoiceIsShownByItsLabelInLists(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.stored(w.pairVoice(1, 2, 7, "sound"))
		w.stored(w.groupVoice(1, g, 7, "sound"))
		w.saysIn(g, 2, "x")
		w.stored(w.groupVoice(1, g, 7, "sound"))
		unread, err := w.unreadOf(w.ctx, 2)
		w.must(err)
		sessions, err := w.sessions(1, 0)
		w.must(err)
		var shown []string
		for _, u := range unread.Talks {
			shown = append(shown, fmt.Sprintf("%s %d %s", u.Talk, u.Last.Type, u.Last.Data))
		}
		for _, s := range sessions {
			shown = append(shown, fmt.Sprintf("%s %d %s", s.Talk, s.Last.Type, s.Last.Data))
		}
		pair, group := "pair 1-2 2 "+voiceLabel, fmt.Sprintf("group %d 18 %s", g, voiceLabel)
		wantSame(w, "unread and sessions", shown, []string{pair, group, group, pair})
	})
}

func TestVoiceWithoutItsSoundKeepsItsPlace(t *testing.T) {
	const row = " WHERE id=1" // in IMAudio, of the message that loses its sound
	path := func(value string) func(w *world) {
		return func(w *world) { w.raw.Run("UPDATE IMAudio SET path=" + value + row) }
	}
	for name, test := range map[string]struct {
		lose     func(w *world)
		duration uint32
	}{
		"the files are gone":     {func(w *world) { w.loseSounds() }, 7},
		"the row is gone":        {func(w *world) { w.raw.Run("DELETE FROM IMAudio" + row) }, 0},
		"the path is wrong":      {path("'no/such.audio'"), 7},
		"the path is empty":      {path("''"), 7},
		"the path is NULL":       {path("NULL"), 7},
		"the path is a place":    {path("'.'"), 7},
		"the path leads outside": {path("'../dbproxy.db'"), 7},
		"the path is absolute":   {path("'/etc/passwd'"), 7},
		"it names no sound":      {func(w *world) { w.contentIs("") }, 0},
		"it names no number":     {func(w *world) { w.contentIs("g0/000/1.audio") }, 0},
		"it names 0":             {func(w *world) { w.contentIs("0") }, 0},
		"it names -1":            {func(w *world) { w.contentIs("-1") }, 0},
		"the number is too long": {func(w *world) { w.contentIs("42949672970") }, 0},
		"there is no content":    {func(w *world) { w.contentIs(nil) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				g := w.group(1, 2)
				w.says(1, 2, "before")
				w.stored(w.pairVoice(1, 2, 7, "sound"))
				w.says(1, 2, "after")
				w.stored(w.groupVoice(1, g, 7, "other"))
				test.lose(w)
				want := fmt.Sprintf("3:after 2:%s 1:before", voiceData(test.duration, ""))
				wantSame(w, "the page", brief(w.all(2, chat.PairTalk(1, 2))), want)
				byID, err := w.byID(w.ctx, 2, chat.PairTalk(1, 2), []uint32{2})
				w.must(err)
				wantSame(w, "by id", brief(byID), "2:"+voiceData(test.duration, ""))
				other := "other"
				if name == "the files are gone" {
					other = ""
				}
				page := brief(w.all(2, chat.GroupTalk(g)))
				wantSame(w, "the group's", page, "1:"+voiceData(7, other))
			})
		})
	}
}

// contentIs gives the voice message of the pair another content.
func (w *world) contentIs(content any) {
	w.Helper()
	w.raw.Run("UPDATE IMMessage_1 SET content=? WHERE type=2", content)
}

func TestAPageOfVoiceIsCutAt4MiBWithoutLoadingTheRest(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		var s sounds
		w := start(t, e, s.wrap)
		const size = 1 << 20
		for range 9 {
			w.stored(w.pairVoice(1, 2, 1, repeat("s", size)))
		}
		page := w.all(2, chat.PairTalk(1, 2))
		if len(page) != 3 || page[0].ID != 9 || len(page[2].Data) != size+4 {
			w.Errorf("%d messages of 1 MiB and a little in an answer of 4 MiB", len(page))
		}
		if n := s.loads(); n > 5 {
			w.Errorf("%d sounds were loaded for that", n)
		}
		wantSame(w, "the next page", len(w.page(2, chat.PairTalk(1, 2), 6, 2)), 2)
	})
}

func TestAPageOfVoiceDoesNotWaitForASlowFileServer(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s := &sounds{load: func(ctx context.Context, _ func() ([]byte, error)) ([]byte, error) {
			<-ctx.Done()
			return nil, chat.Errorf(chat.Unavailable, "loading: %w", ctx.Err())
		}}
		w := start(t, e, s.wrap)
		const messages = 40
		for range messages {
			w.stored(w.pairVoice(1, 2, 1, "sound"))
		}
		w.says(1, 2, "text")
		// one after the other they would take 80 s
		ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
		defer cancel()
		page, err := w.askPage(ctx, 2, chat.PairTalk(1, 2), 0, 100)
		w.must(err)
		if ctx.Err() != nil || len(page) != messages+1 || page[0].Data != "text" ||
			page[1].Data != voiceData(1, "") {
			w.Errorf("%d messages, the first %q, within the deadline: %v", len(page), brief(page),
				ctx.Err() == nil)
		}
	})
}

func TestSoundsOfAPageAreLoadedSideBySide(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		const messages = 12
		var entered atomic.Int32
		both := make(chan struct{})
		s := &sounds{load: func(ctx context.Context, real func() ([]byte, error)) ([]byte, error) {
			if entered.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both:
				return real()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		w := start(t, e, s.wrap)
		for i := range messages {
			w.stored(w.pairVoice(1, 2, uint32(i), fmt.Sprint("sound ", i)))
		}
		page := w.all(2, chat.PairTalk(1, 2))
		for i, m := range page {
			wantSame(w, "a sound", m.Data,
				voiceData(uint32(messages-1-i), fmt.Sprint("sound ", messages-1-i)))
		}
		wantSame(w, "messages", len(page), messages)
	})
}

func TestAVoiceMessageLargerThanAnAnswerIsListedAlone(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "before")
		w.stored(w.pairVoice(1, 2, 1, repeat("s", chat.MaxAnswer+1)))
		if page := w.all(2, chat.PairTalk(1, 2)); len(page) != 1 || page[0].ID != 2 ||
			len(page[0].Data) != chat.MaxAnswer+5 {
			w.Errorf("a page of %d messages", len(page))
		}
		wantSame(w, "what is before", brief(w.page(2, chat.PairTalk(1, 2), 1, 10)), "1:before")
	})
}
