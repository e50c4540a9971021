package records_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// BenchmarkAppend stores batches of 100-byte texts of 1000 pairs; rows/s is what counts.
func BenchmarkAppend(b *testing.B) {
	for _, e := range engines {
		for _, size := range []int{1, 16, 62, 128, 512} {
			b.Run(e.name+"/"+strconv.Itoa(size),
				func(b *testing.B) { benchmarkAppend(b, e.fixture(b).store(), size) })
		}
	}
}

func benchmarkAppend(b *testing.B, store *records.Store, size int) {
	b.ReportAllocs()
	text := strings.Repeat("x", 100)
	rows := 0
	for b.Loop() {
		batch := chat.Batch{ID: chat.NewCommitID(), Now: uint32(time.Now().Unix())}
		for range size {
			p := uint32(rand.IntN(1000) + 1)
			batch.Drafts = append(batch.Drafts, chat.Draft{
				Talk: chat.PairTalk(p,
					p+100000), From: p, Type: chat.PairText, Content: text, Time: batch.Now,
			})
		}
		if _, err := store.Append(context.Background(), batch, counters.Embedded{}); err != nil {
			b.Fatal(err)
		}
		if err := store.Applied(context.Background(), []chat.CommitID{batch.ID}); err != nil {
			b.Fatal(err)
		}
		rows += size
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkReads has many ask for single things at once, in turns with queries shared by those who
// wait and without. What counts is the ratio: how many more are served by sharing.
func BenchmarkReads(b *testing.B) {
	for _, e := range engines {
		p := e.fixture(b)
		const n = 2000
		alone, shared := p.store(), p.store()
		records.Unshared(alone)
		fillForReads(b, alone, n)
		ctx := b.Context()
		for name, ask := range map[string]func(s *records.Store, i uint32) error{
			"user": func(s *records.Store, i uint32) error {
				_,
					err := s.UsersByID(ctx, []uint32{i})
				return err
			},
			"login": func(s *records.Store, i uint32) error {
				_,
					err := s.UserByName(ctx, fmt.Sprint("user", i))
				return err
			},
			"last": func(s *records.Store, i uint32) error {
				_, err := s.Last(ctx, []chat.Talk{chat.PairTalk(i, i+n)})
				return err
			},
			"page": func(s *records.Store, i uint32) error {
				_, err := s.Page(ctx, chat.PairTalk(i, i+n), chat.PageQuery{Count: 10})
				return err
			},
			"joined": func(s *records.Store, i uint32) error {
				_, _,
					err := s.Joined(ctx, 1, i)
				return err
			},
			"group": func(s *records.Store, i uint32) error {
				_,
					err := s.Find(ctx, 1)
				return err
			},
		} {
			for _, callers := range []int{1, 4, 32} {
				b.Run(fmt.Sprintf("%s/%s/%d", e.name, name, callers), func(b *testing.B) {
					var took [2]time.Duration
					for b.Loop() {
						for i, store := range []*records.Store{alone, shared} {
							begun := time.Now()
							askAll(b, callers, func(i uint32) error { return ask(store, 1+i%n) })
							took[i] += time.Since(begun)
						}
					}
					b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "ratio")
					b.ReportMetric(float64(b.N)*asksEach/took[1].Seconds(), "shared/s")
					b.ReportMetric(float64(b.N)*asksEach/took[0].Seconds(), "alone/s")
				})
			}
		}
	}
}

const asksEach = 300 // in a turn

func askAll(b *testing.B, callers int, ask func(i uint32) error) {
	b.Helper()
	var next atomic.Uint32
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := next.Add(1); i <= asksEach; i = next.Add(1) {
				if err := ask(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func fillForReads(b *testing.B, store *records.Store, n uint32) {
	b.Helper()
	var users []chat.User
	var ids []uint32
	for i := range n {
		users = append(users, chat.User{Name: fmt.Sprint("user", i+1)})
		ids = append(ids, i+1)
	}
	if err := store.AddUsers(b.Context(), users); err != nil {
		b.Fatal(err)
	}
	group := chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "x", Members: ids}
	if _, err := store.Create(b.Context(), group, 1); err != nil {
		b.Fatal(err)
	}
	for range 3 {
		for some := range slices.Chunk(ids, 500) {
			batch := chat.Batch{ID: chat.NewCommitID(), Now: 1000}
			for _, i := range some {
				batch.Drafts = append(batch.Drafts,
					chat.Draft{Talk: chat.PairTalk(i, i+n), From: i, Type: chat.PairText,
						Content: "some text"})
			}
			if _, err := store.Append(b.Context(), batch, counters.Embedded{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
