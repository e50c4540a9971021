package chat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestABatchIsBoundedByRowsAndBytes(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		long := repeat("😀", 4096) // 16 KiB
		var last <-chan answer
		l.together(w, func() {
			for i := range uint32(150) {
				last = w.submit(w.pairText(1+i%3, 100, long))
			}
			for i := range uint32(1200) {
				last = w.submit(w.pairText(1+i%3, 200, "short"))
			}
		})
		await(w, last)
		w.says(1, 2, "after all these")
		for i, b := range l.seen() {
			bytes := 0
			for _, d := range b.Drafts {
				bytes += len(d.Content)
			}
			if len(b.Drafts) > 512 || bytes > 1<<20+len(long) {
				w.Errorf("batch %d has %d rows, %d bytes", i, len(b.Drafts), bytes)
			}
		}
		wantSame(w, "messages to 100", w.unreadTotal(100), 150)
		wantSame(w, "messages to 200", w.unreadTotal(200), 1200)
	})
}

func TestTheDataOfATextIsTheCallersAgainAfterSend(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		l.together(w, func() {
			data := []byte("first")
			for _, text := range []string{"first", "other"} {
				copy(data, text)
				w.svc.Send(w.ctx, chat.NewMessage{From: 1, To: 2, Type: chat.PairText, Data: data},
					func(uint32, error) {})
			}
		})
		w.says(1, 2, "last")
		wantSame(w, "the talk", brief(w.all(1, chat.PairTalk(1, 2))), "3:last 2:other 1:first")
	})
}

func TestUnreadTalksAreWholeOrRefused(t *testing.T) {
	rule(t, func(w *world) {
		const peers = 400
		long := repeat("😀", 4096) // 16 KiB
		var answers []<-chan answer
		for peer := range uint32(peers) {
			answers = append(answers, w.submit(w.pairText(100+peer, 1, long)))
		}
		for _, a := range answers {
			w.must(await(w, a).err)
		}
		var want []uint32
		for peer := range uint32(peers) {
			want = append(want, 100+peer) // their order as text, too
		}
		whole(w, 16384, func(u chat.UnreadTalk) uint32 { return u.Talk.Peer(1) }, want,
			func(ctx context.Context) ([]chat.UnreadTalk, error) {
				unread, err := w.unreadOf(ctx, 1)
				if err == nil {
					wantSame(w, "the total", unread.Total, peers)
				}
				return unread.Talks, err
			})
	})
}

func TestOneListThatIsTooLongRefusesNoOther(t *testing.T) {
	rule(t, func(w *world) {
		const peers = 300
		for peer := range uint32(peers) {
			w.submit(w.pairText(100+peer, 1, "x"))
		}
		w.says(2, 3, "x")
		w.says(1, 3, "x")
		var tooLong *chat.TooLongError
		for i, r := range w.svc.Unread(w.ctx, []chat.UnreadAsked{
			{User: 1, Limit: 1000}, {User: 3, Limit: 1000}, {User: 1}, {User: 4},
			{User: 3, Limit: 1},
		}) {
			want := []int{0, 2, peers, 0, 0}[i]
			refused := i == 0 || i == 4
			if len(r.Value.Talks) != want || errors.As(r.Err, &tooLong) != refused ||
				!refused && (r.Err != nil || r.Value.Total != uint32(want)) {
				w.Errorf("list %d has %d talks, %d messages, and the error is: %v", i,
					len(r.Value.Talks), r.Value.Total, r.Err)
			}
		}
		w.setToken(1, chat.IOS, "a")
		w.setToken(3, chat.IOS, "b")
		for i, r := range w.svc.PushTokens(w.ctx, []chat.TokensAsked{
			{Users: []uint32{3, 1}, Limit: 30}, {Users: []uint32{3}, Limit: 30}, {},
			{Users: []uint32{1, 3, 1}},
		}) {
			want := [][]chat.PushToken{nil, {{3, chat.IOS, "b", 2}}, nil,
				{{1, chat.IOS, "a", peers}, {3, chat.IOS, "b", 2}}}[i]
			wantSame(w, fmt.Sprint("tokens ", i), r.Value, want)
			if errors.As(r.Err, &tooLong) != (i == 0) {
				w.Errorf("tokens %d: %v", i, r.Err)
			}
		}
	})
}

func TestInfosOfGroupsAreWholeOrRefused(t *testing.T) {
	rule(t, func(w *world) {
		const groups = 3000
		var known []chat.GroupVersion
		w.raw.Run("BEGIN")
		for i := range groups {
			w.oldGroup(i+1, 1000+i, 1, 1)
			known = append(known, chat.GroupVersion{ID: uint32(i + 1)})
		}
		w.raw.Run("UPDATE IMGroup SET name=?, avatar=?", repeat("😀", 256),
			repeat("😀", 256)) // 2 KiB
		w.raw.Run("COMMIT")
		var want []uint32
		for i := range uint32(groups) {
			want = append(want, groups-i)
		}
		whole(w, 2048, func(g chat.GroupInfo) uint32 { return g.ID }, want,
			func(ctx context.Context) ([]chat.GroupInfo, error) {
				asked := chat.KnownGroups{Versions: known, Limit: chat.LimitOf(ctx)}
				return only(w.svc.GroupsNewerThan(w.ctx, []chat.KnownGroups{asked}))
			})
	})
}

// whole sees that a list of items of about so many bytes is whole where its limit allows it, or no
// bound, and is refused where there is not.
func whole[T any](
	w *world, bytes int, id func(T) uint32, want []uint32, list func(context.Context) ([]T, error),
) {
	w.Helper()
	for name, ctx := range map[string]context.Context{
		"no bound": w.ctx, "a limit": chat.WithLimit(w.ctx, len(want)*(bytes+64)),
	} {
		items, err := list(ctx)
		w.must(err)
		ids := make([]uint32, len(items))
		for i, item := range items {
			ids[i] = id(item)
		}
		if !slices.Equal(ids, want) {
			w.Errorf("with %s there are %d of %d items, or in another order", name, len(ids),
				len(want))
		}
	}
	items, err := list(chat.WithLimit(w.ctx, len(want)*bytes/2))
	var long *chat.TooLongError
	if !errors.As(err, &long) || long.Bytes < len(want)*bytes/4 ||
		long.Bytes > len(want)*(bytes+64) || len(items) > 0 {
		w.Errorf("with a limit there are %d items of about %d bytes, and the error is: %v",
			len(items), bytes, err)
	}
}

func TestNothingIsUnderWayAfterTheEndOfRun(t *testing.T) {
	for round := range 5 {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			onEngines(t, func(t *testing.T, e engine) {
				var over atomic.Bool
				s := &sounds{save: func(_ context.Context, _ string,
					real func() (string, error)) (string, error) {
					if over.Load() {
						t.Error("a sound is being stored after Run has returned")
					}
					return real()
				}}
				w := start(t, e, s.wrap)
				var senders sync.WaitGroup
				begun := make(chan struct{}, 100)
				for i := range uint32(4) {
					senders.Go(func() {
						for n := range 1000 {
							if a := <-w.submit(w.pairVoice(1+i, 101+i, 1, "sound")); a.err != nil {
								return
							}
							if n == int(i) {
								begun <- struct{}{}
							}
						}
					})
				}
				for range 4 {
					await(w, begun)
				}
				w.ends()
				w.ended()
				over.Store(true)
				senders.Wait()
			})
		})
	}
}

func TestBoundCreatedIsTheClientsTimeWithinBounds(t *testing.T) {
	for _, test := range []struct{ client, now, last, join, want uint32 }{
		{1000, 1000, 0, 0, 1000},
		{0, 1000, 0, 0, 0},
		{1300, 1000, 0, 0, 1300},
		{1301, 1000, 0, 0, 1300},
		{4294967295, 1000, 0, 0, 1300},
		{900, 1000, 950, 0, 950},
		{900, 1000, 950, 960, 960},
		{1400, 1000, 1350, 0, 1350},
		{0, 1000, 0, 990, 990},
	} {
		wantSame(t, fmt.Sprintf("%+v", test),
			chat.BoundCreated(test.client, test.now, test.last, test.join), test.want)
	}
}

func TestTheVoiceKeyHas32Bytes(t *testing.T) {
	for _, key := range []string{"", repeat("k", 31), repeat("k", 33), repeat("语", 32)} {
		if _, err := chat.New(chat.Store{}, chat.Options{VoiceKey: key}); err == nil {
			t.Errorf("%q was taken", key)
		}
	}
}
