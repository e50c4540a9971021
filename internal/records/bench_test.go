package records_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// openStore opens an embedded store with its tables in a directory of the test's.
func openStore(tb testing.TB) *records.Store {
	tb.Helper()
	store, err := records.OpenSQLite(filepath.Join(tb.TempDir(), "dbproxy.db"), records.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	if _, err := store.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return store
}

// BenchmarkAppend stores batches of 100-byte texts of 1000 pairs; rows/s is what counts.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 16, 62, 128, 512} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			store := openStore(b)
			text := strings.Repeat("x", 100)
			rows := 0
			for b.Loop() {
				batch := chat.Batch{ID: chat.NewCommitID(), Now: uint32(time.Now().Unix())}
				for range size {
					p := uint32(rand.IntN(1000) + 1)
					batch.Drafts = append(batch.Drafts, chat.Draft{Talk: chat.PairTalk(p, p+100000), From: p, Type: chat.PairText, Content: text, Time: batch.Now})
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
		})
	}
}
