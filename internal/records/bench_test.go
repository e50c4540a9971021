package records_test

import (
	"context"
	"math/rand/v2"
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
			b.Run(e.name+"/"+strconv.Itoa(size), func(b *testing.B) { benchmarkAppend(b, e.place(b).store(), size) })
		}
	}
}

func benchmarkAppend(b *testing.B, store *records.Store, size int) {
	text := strings.Repeat("x", 100)
	rows := 0
	for b.Loop() {
		batch := chat.Batch{ID: chat.NewCommitID(), Now: uint32(time.Now().Unix())}
		for range size {
			p := uint32(rand.IntN(1000) + 1)
			batch.Drafts = append(batch.Drafts, chat.Draft{
				Talk: chat.PairTalk(p, p+100000), From: p, Type: chat.PairText, Content: text, Time: batch.Now,
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
