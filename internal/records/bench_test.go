package records_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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

// BenchmarkReads has a batch of requests asked for together, and the same one by one. What counts
// is the ratio: how many more are served together.
func BenchmarkReads(b *testing.B) {
	for _, e := range engines {
		const n, batch = 2000, 64
		s := e.fixture(b).store()
		fillForReads(b, s, n)
		ctx := b.Context()
		for name, ask := range map[string]func(ids []uint32) error{
			"user": func(ids []uint32) error {
				_, err := s.UsersByID(ctx, ids)
				return err
			},
			"last": func(ids []uint32) error {
				_, err := s.Last(ctx, pairsOf(ids, n))
				return err
			},
			"page": func(ids []uint32) error {
				var queries []chat.PageQuery
				for _, t := range pairsOf(ids, n) {
					queries = append(queries,
						chat.PageQuery{Talk: t, Count: 10, Bytes: 32 << 10, Cuts: true})
				}
				for _, page := range s.Pages(ctx, queries) {
					if page.Err != nil {
						return page.Err
					}
				}
				return nil
			},
		} {
			b.Run(e.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				var together, alone time.Duration
				for i := 0; b.Loop(); i++ {
					ids := make([]uint32, batch)
					for k := range ids {
						ids[k] = uint32(1 + (i*batch+k)%n)
					}
					begun := time.Now()
					if err := ask(ids); err != nil {
						b.Fatal(err)
					}
					together += time.Since(begun)
					begun = time.Now()
					for k := range ids {
						if err := ask(ids[k : k+1]); err != nil {
							b.Fatal(err)
						}
					}
					alone += time.Since(begun)
				}
				b.ReportMetric(alone.Seconds()/together.Seconds(), "ratio")
				b.ReportMetric(float64(b.N)*batch/together.Seconds(), "together/s")
				b.ReportMetric(float64(b.N)*batch/alone.Seconds(), "alone/s")
			})
		}
	}
}

// pairsOf are the talks that fillForReads has made of users.
func pairsOf(ids []uint32, n uint32) (talks []chat.Talk) {
	for _, i := range ids {
		talks = append(talks, chat.PairTalk(i, i+n))
	}
	return talks
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
